"""What a run is measured by: one plain view beside many, saved predictions."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.data import pipelines
from ddep_tf.evaluation import evaluator, rounds
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.objectives import segment
from ddep_tf.runtime import build, feed, inputs

import networks

pytestmark = pytest.mark.quick

ONE = tf.distribute.OneDeviceStrategy('/cpu:0')


@pytest.fixture(name='network', scope='module')
def random_network():
    """Answers depend on the place, so that a flip changes them."""
    weights = np.random.default_rng(0).normal(size=(5, 5, 3, 6))

    return networks.Plain(6, lambda images: 3.0 * tf.nn.conv2d(
        images, weights.astype('f4'), 1, 'SAME'))


def _evaluator(run, network):
    return evaluator.Evaluator(run, segment.Segment(network), ONE)


def _run(make_run, **changes):
    return make_run('segment', evaluation=specs.EvalSpec(**changes))


def test_single_scale_is_measured_beside(make_run, network):
    run = _run(make_run, flip=True, scales=(0.5, 1.0), single_scale=True)
    plain = _run(make_run)
    source, = inputs.open_inputs(run, '', ('val',))['val']
    result = _evaluator(run, network).measure(source)
    expected = _evaluator(plain, network).measure(source)
    assert result['single_scale'] == {
        key: expected[key] for key in ('mean_iou', 'pixel_accuracy', 'iou',
                                       'confusion_matrix')}
    assert 'single_scale' not in expected
    assert result['confusion_matrix'] != expected['confusion_matrix']
    without = _run(make_run, flip=True, scales=(0.5, 1.0))
    assert _evaluator(without, network).measure(source) == {
        key: value for key, value in result.items() if key != 'single_scale'}


def test_single_scale_is_not_measured_twice(make_run, network):
    run = _run(make_run, single_scale=True)
    source, = inputs.open_inputs(run, '', ('val',))['val']
    assert 'single_scale' not in _evaluator(run, network).measure(source)


def test_each_prediction_of_the_whole_evaluation_is_seen(make_run, network):
    run = _run(make_run, flip=True, single_scale=True, batch_size=4)
    source, = inputs.open_inputs(run, '', ('val',))['val']
    seen = []
    result = _evaluator(run, network).measure(
        source, lambda *pair: seen.append(pair))
    assert [name for name, _ in seen] == source.ids
    assert np.sum([one.matrix for _, one in seen], 0).tolist() == (
        result['confusion_matrix'])
    predictor = predictor_lib.Predictor(network, dataclasses.replace(
        run.evaluation, batch_size=1))
    for example, (_, one) in zip(pipelines.eval_dataset(source, 1), seen):
        ids = one.predicted
        np.testing.assert_array_equal(one.image, example['image'])
        np.testing.assert_array_equal(one.label, example['label'])
        ((expected,), _), = predictor.predict([rounds.Group(
            [example['image'].numpy()], example['label'].shape)])
        assert ids.dtype == np.uint8
        assert (ids == expected).mean() > 0.999  # Near ties may turn.


@pytest.mark.parametrize('stage', ['classify', 'denoise'])
@pytest.mark.parametrize('batch_size, rounds', [(2, 2), (4, 2), (1, 3)])
def test_replicas_share_the_batches(make_run, two, monkeypatch, stage,
                                    batch_size, rounds):
    """Six images: of 2, the last round has one batch; of 4, the last batch is
    smaller, and has a round of its own."""
    run = make_run(stage, evaluation=specs.EvalSpec(batch_size=batch_size))
    source, = inputs.open_inputs(run, '', ('val',))['val']
    found, calls = [], []
    to_all = feed.to_all
    monkeypatch.setattr(feed, 'to_all', lambda strategy, part: (
        calls.append(strategy), to_all(strategy, part))[1])
    for strategy in ONE, two:
        with strategy.scope():
            keras.utils.set_random_seed(0)
            objective = build.build_objective(run, build.build_network(run))
        found.append(evaluator.Evaluator(run, objective, strategy).measure(
            source))
    one, other = found
    assert calls.count(two) == rounds and one['images'] == 6
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(other[name], one[name], rtol=1e-5)
