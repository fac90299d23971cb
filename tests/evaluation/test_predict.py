"""Prediction on files: at their own size, and nothing is overwritten."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.evaluation import predict, predictor

pytestmark = pytest.mark.quick


class _Halves:
    """Class 1 where an image is bright; keeps the sizes that it is given."""

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
        ids = predict.predict_image(
            predictor.Predictor(network, specs.EvalSpec()), image,
            specs.DatasetSpec(**changes))
    finally:
        tf.config.run_functions_eagerly(False)
    assert network.sizes == [inner]
    assert ids.shape == (64, 96) and ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, image[..., 0] // 255)


def _files(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    return [folder / name for name in names]


@pytest.mark.parametrize('names, output, named', [
    (['a.png'], '.', 'a.png'), (['a.jpg', 'a_colour.png'], '.', 'a_colour'),
    (['a.jpg', 'a.png'], 'out', 'a.png'),
    (['x/a.jpg', 'y/a.jpg'], 'out', 'a.jpg'),
    (['a.jpg', 'a_colour.jpg'], 'out', 'a_colour')])
def test_no_mask_replaces_an_input_or_another_mask(tmp_path, names, output,
                                                   named):
    paths = _files(tmp_path, *names)
    before = {path: path.read_bytes() for path in paths}
    run = specs.RunSpec(stage='segment', data=(specs.DatasetSpec(
        name='own', num_classes=2),))
    with pytest.raises(errors.UserError, match=named):
        predict.predict_files('nowhere', run, paths, tmp_path / output, None)
    assert {path: path.read_bytes() for path in paths} == before


def test_inputs_are_found_or_named(tmp_path):
    paths = _files(tmp_path, 'b.jpg', 'a.PNG')
    (tmp_path / 'notes.txt').write_text('none')
    assert predict.find_images([tmp_path]) == paths[::-1]
    (tmp_path / 'empty').mkdir()
    for name in ('empty', 'missing'):
        with pytest.raises(errors.UserError, match=name):
            predict.find_images([tmp_path / name])


def test_a_broken_image_is_named(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    path = tmp_path / 'a.png'
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(errors.UserError, match='a.png'):
        predict.read_image(path)


def test_a_run_of_another_stage_is_refused():
    run = specs.RunSpec(stage='denoise', data=(specs.DatasetSpec(
        name='own'),))
    with pytest.raises(errors.UserError, match='denoise'):
        predict.predict_files('here', run, [], 'out', None)


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_a_phone_photo_is_read_upright(tmp_path, orientation):
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :24] = 255
    # How a camera stores it: the tag says how to turn it back.
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90,
            8: Image.Transpose.ROTATE_270}[orientation]
    stored = Image.fromarray(upright).transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / 'photo.jpg', quality=100, exif=exif)
    read = predict.read_image(tmp_path / 'photo.jpg')
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).max() < 10


def test_sixteen_bits_are_refused_by_name(tmp_path):
    path = tmp_path / 'deep.png'
    Image.fromarray(np.full((4, 4), 3000, np.uint16)).save(path)
    with pytest.raises(errors.UserError, match='deep.png.*16 bits'):
        predict.read_image(path)
