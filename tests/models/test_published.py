"""Files with the exact published layouts of R50+ViT-B/16, at full size."""

import numpy as np
import pytest

from ddep_tf.models import encoder, weights

import published

POSITIONS = 'Transformer/posembed_input/pos_embedding'
PRE_LOGITS = ['pre_logits/bias', 'pre_logits/kernel']
HEAD = ['head/bias', 'head/kernel']


def _assert_holds(model, arrays, but=()):
    named = weights.named_variables(model)
    for key in set(arrays) - set(but):
        value = named[key].numpy()
        np.testing.assert_array_equal(value, arrays[key].reshape(value.shape),
                                      err_msg=key)


@pytest.fixture
def saved(tmp_path):
    """Saves arrays, and removes the large file in the end."""
    path = tmp_path / 'R50+ViT-B_16.npz'

    def save(arrays):
        weights.save_npz(path, arrays)
        return path
    yield save
    path.unlink()


@pytest.mark.full  # Three GB of memory, nearly.
def test_imagenet21k(saved):
    arrays = published.arrays(21843, (14, 14), 768)
    path = saved(arrays)
    assert weights.position_grid_of(path) == (14, 14)
    model = encoder.build_classifier('r50_vit_b16', 21843, 768)
    report = weights.load_vit_npz(model, path)
    assert report == weights.LoadReport(sorted(arrays), [], [])
    _assert_holds(model, arrays)
    del model  # Two of them at a time take a GB more.
    report = weights.load_vit_npz(encoder.build_encoder('r50_vit_b16'), path)
    assert report.unused == ['cls', *HEAD, *PRE_LOGITS]
    assert report.loaded == sorted(set(arrays) - set(report.unused))


def test_finetuned_at_384(saved):
    arrays = published.arrays(1000, (24, 24))
    path = saved(arrays)
    assert weights.position_grid_of(path) == (24, 24)
    model = encoder.build_classifier('r50_vit_b16', 1000,
                                     image_size=(384, 384))
    report = weights.load_vit_npz(model, path)
    assert report == weights.LoadReport(sorted(arrays), [], [])
    _assert_holds(model, arrays)
    del model
    # The encoder keeps the file's grid, whatever size its images have.
    small = encoder.build_encoder('r50_vit_b16', (224, 160), weights=path)
    assert weights.position_grid(small) == (24, 24)
    _assert_holds(small, arrays, ['cls', *HEAD])
