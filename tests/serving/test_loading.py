"""ddep_tf.load on runs; of exported models see test_export.py."""

import json

import numpy as np
import pytest

import ddep_tf
from ddep_tf import errors, specs
from ddep_tf.evaluation import predict, predictor
from ddep_tf.runtime import run_folder
from ddep_tf.serving import formats

import segment_runs

RNG = np.random.default_rng(0)


@pytest.fixture(scope='module')
def loaded(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    run, network = segment_runs.write(
        folder, evaluation=specs.EvalSpec(flip=True))
    return run, network, ddep_tf.load(folder)


def test_predicts_what_the_launcher_does(loaded):
    run, network, model = loaded
    image = RNG.integers(0, 256, (45, 70, 3)).astype('u1')
    ((expected,), _), = predictor.Predictor(network, run.evaluation).predict(
        [predict.as_group([image], run.data[0])])
    np.testing.assert_array_equal(model.predict(image), expected)
    ids, probabilities = model.predict(image, probabilities=True)
    np.testing.assert_array_equal(ids, expected)
    assert probabilities.shape == (45, 70, 6)
    np.testing.assert_allclose(probabilities.sum(-1), 1, 1e-5)
    assert model.class_names[0] == 'background'
    assert model.palette[ids].shape == (45, 70, 3)


def test_takes_one_image_a_batch_or_a_list(loaded):
    model = loaded[2]
    images = RNG.integers(0, 256, (2, 32, 40, 3)).astype('u1')
    one = [model.predict(image) for image in images]
    np.testing.assert_array_equal(model.predict(images), one)
    several = model.predict([images[0], images[1, :20]])
    np.testing.assert_array_equal(several[0], one[0])
    assert several[1].shape == (20, 40)
    ids, probabilities = model.predict([images[0]], probabilities=True)
    assert len(ids) == len(probabilities) == 1


@pytest.mark.parametrize('images', [
    np.zeros((8, 8, 3), 'f4'), np.zeros((8, 8), 'u1'),
    np.zeros((8, 8, 4), 'u1'), np.zeros((0, 8, 3), 'u1'),
    np.zeros((0, 8, 8, 3), 'u1'), [np.zeros((8, 8, 1), 'u1')]])
def test_other_arrays_are_refused(loaded, images):
    with pytest.raises(errors.UserError, match='images must be uint8'):
        loaded[2].predict(images)


def test_what_cannot_be_loaded_is_named(tmp_path, make_run):
    with pytest.raises(ValueError, match='neither a run'):
        ddep_tf.load(tmp_path)
    run_folder.open_run(tmp_path / 'denoise', make_run('denoise'), '')
    with pytest.raises(ValueError, match='is a denoise run'):
        ddep_tf.load(tmp_path / 'denoise')
    run_folder.open_run(tmp_path / 'segment', make_run('segment'), '')
    with pytest.raises(ValueError, match='weights'):
        ddep_tf.load(tmp_path / 'segment')
    (tmp_path / 'model.json').write_text('{"format": "gone"}')
    with pytest.raises(ValueError, match='export it again'):
        ddep_tf.load(tmp_path)


@pytest.mark.parametrize('form', formats.FORMATS)
def test_a_damaged_model_is_named(tmp_path, form):
    (tmp_path / 'model.json').write_text(json.dumps({
        'format': form, 'class_names': ['a'], 'palette': [[0, 0, 0]],
        'image_size': None}))
    for damage in (None, b'not a model'):
        if damage:
            (tmp_path / formats.FORMATS[form].file).write_bytes(damage)
        with pytest.raises(errors.UserError, match='export it again'):
            ddep_tf.load(tmp_path)
