"""Prediction on files: at their own size, by a run that segments."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.evaluation import predict, predictor

pytestmark = pytest.mark.quick


class _Halves:
    """Class 1 where an image is bright; keeps the sizes that it is given."""

    num_outputs = 2

    def __init__(self):
        self.sizes = []

    def __call__(self, images, training=False):
        del training
        self.sizes.append(images.shape[1:3])
        return tf.concat([-images[..., :1], images[..., :1]], -1)


@pytest.mark.parametrize('changes, inner', [
    ({}, (64, 96)), ({'scale': 0.5}, (32, 48)), ({'short_side': 32}, (32, 48)),
    ({'short_side': 128}, (128, 192))])
def test_images_are_resized_as_in_training(changes, inner):
    image = np.zeros((64, 96, 3), np.uint8)
    image[:, 48:] = 255
    network = _Halves()
    tf.config.run_functions_eagerly(True)
    try:
        (ids, _), = predictor.Predictor(network, specs.EvalSpec()).predict([
            predict.as_group([image], specs.DatasetSpec(**changes))])
    finally:
        tf.config.run_functions_eagerly(False)
    assert network.sizes == [inner]
    assert ids.shape == (1, 64, 96) and ids.dtype == np.uint8
    np.testing.assert_array_equal(ids[0], image[..., 0] // 255)


def test_a_run_of_another_stage_is_refused():
    run = specs.RunSpec(stage='denoise', data=(specs.DatasetSpec(
        name='own'),))
    with pytest.raises(errors.UserError, match='denoise'):
        predict.predict_files('here', run, [], 'out', None)


class _Small:
    """Stands in for a Predictor of two devices with room for 24 pixels."""

    own_replicas = 2
    calls = 0

    def __init__(self, *args):
        pass

    def predict(self, groups, with_probabilities):
        _Small.calls += 1
        most = max(np.prod(group.label_size) for group in groups)
        if most > 24:
            raise tf.errors.ResourceExhaustedError(None, None, 'OOM')
        return [(np.zeros((1, *group.label_size), np.uint8), None)
                for group in groups]


def _small_devices(monkeypatch, folder, sizes):
    """Predicts images of some sizes with a _Small."""
    _Small.calls = 0
    for name, size in sizes.items():
        Image.new('RGB', size).save(folder / f'{name}.png')
    monkeypatch.setattr(predict.build, 'load_network', lambda *_: None)
    monkeypatch.setattr(predict.predictor_lib, 'Predictor', _Small)
    run = specs.RunSpec(stage='segment', data=(specs.DatasetSpec(
        name='own', num_classes=2),))
    predict.predict_files('run', run, [folder], folder / 'out',
                          tf.distribute.get_strategy(), ['ids'])


def test_an_image_beyond_the_memory_is_named_with_a_way_out(
        tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match='large, 7 x 4 .*EvalSpec.tile'):
        _small_devices(monkeypatch, tmp_path, {'large': (7, 4)})
    assert not (tmp_path / 'out').exists()


def test_an_image_beyond_the_memory_takes_no_other_with_it(
        tmp_path, monkeypatch, capsys):
    _small_devices(monkeypatch, tmp_path, {
        'a': (7, 4), 'b': (6, 4), 'c': (3, 4), 'd': (2, 2), 'e': (4, 7)})
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'b.png', 'c.png', 'd.png']
    out = capsys.readouterr().out
    assert 'skipped: a, 7 x 4' in out and 'skipped: e, 4 x 7' in out
    assert '2 of 5 skipped' in out


def test_of_a_video_beyond_the_memory_no_more_frames_are_tried(
        tmp_path, monkeypatch, capsys):
    def images(photo, *_):
        large = photo.name.name == 'b'
        for number in range(20 if large else 1):
            yield photo.name / str(number), np.zeros(
                (7, 4, 3) if large else (2, 2, 3), np.uint8)

    monkeypatch.setattr(predict, '_images', images)
    _small_devices(monkeypatch, tmp_path, {'a': (2, 2), 'b': (7, 4)})
    assert _Small.calls == 3  # Both at once, then each alone.
    assert [path.name for path in (tmp_path / 'out').rglob('*.*')] == ['0.png']
    assert '1 of 2 skipped' in capsys.readouterr().out
