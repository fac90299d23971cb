"""What is left of a decoder whose content is taken out."""

import keras
import numpy as np
import pytest

from ddep_tf.models import controls


def _decoder():
    layers = [keras.layers.Conv2D(4, 3, use_bias=False),
              keras.layers.GroupNormalization(2)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *layers])
    rng = np.random.default_rng(0)
    initial = model.get_weights()
    model.set_weights([rng.normal(size=w.shape) for w in initial])
    return model, initial


@pytest.mark.parametrize('control', ['shuffled', 'norms'])
def test_kernels_keep_their_norms_alone(control):
    model, initial = _decoder()
    trained = model.get_weights()
    controls.remove_content(model, initial, control, seed=0)
    kernel = model.get_weights()[0]
    assert np.linalg.norm(kernel) == pytest.approx(
        np.linalg.norm(trained[0]), rel=1e-6)
    assert abs(np.corrcoef(kernel.ravel(), trained[0].ravel())[0, 1]) < 0.3


def test_shuffled_entries_are_the_same_in_another_order():
    model, initial = _decoder()
    trained = model.get_weights()
    controls.remove_content(model, initial, 'shuffled', seed=3)
    first = model.get_weights()
    for before, after in zip(trained, first, strict=True):
        np.testing.assert_array_equal(np.sort(before, None),
                                      np.sort(after, None))
    assert (first[0] != trained[0]).any()
    model.set_weights(trained)
    controls.remove_content(model, initial, 'shuffled', seed=4)
    assert (model.get_weights()[0] != first[0]).any()


def test_norms_restores_what_is_no_kernel():
    model, initial = _decoder()
    controls.remove_content(model, initial, 'norms', seed=0)
    kernel, *others = model.get_weights()
    np.testing.assert_allclose(kernel / np.linalg.norm(kernel),
                               initial[0] / np.linalg.norm(initial[0]),
                               rtol=1e-6)
    for before, after in zip(initial[1:], others, strict=True):
        np.testing.assert_array_equal(before, after)
