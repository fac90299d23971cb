"""The losses of segmentation, against other implementations of them."""

import kept
import keras
import numpy as np
import pytest
import scipy.special
import sklearn.metrics
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.objectives import losses

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(0, 2, (3, 4, 5, 6)).astype(np.float32)
LABELS = RNG.integers(0, 5, (3, 4, 5)).astype(np.int32)  # Class 5 is absent.
LABELS[0, :2] = LABELS[1] = 255  # The second image has no label.
VALID = LABELS != 255
WEIGHTS = (0.5, 3.0, 0.0, 1.0, 7.0, 2.0)


def _cross_entropy(**changes):
    """Returns the losses of the labelled pixels, [n]."""
    return losses.cross_entropy(
        tf.constant(LABELS), tf.constant(LOGITS),
        specs.LossSpec(**changes)).numpy()[VALID]


def _of_keras(loss):
    """Returns what a loss of Keras gives for the labelled pixels, [n]."""
    truth = keras.ops.one_hot(LABELS[VALID], 6)
    return loss(truth, LOGITS[VALID]).numpy()


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_cross_entropy_is_that_of_keras(smoothing):
    expected = _of_keras(keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction=None))
    np.testing.assert_allclose(_cross_entropy(label_smoothing=smoothing),
                               expected, rtol=1e-5)


@pytest.mark.parametrize('gamma', [0.5, 1.0, 2.0])
def test_focal_loss_is_that_of_keras(gamma):
    expected = _of_keras(keras.losses.CategoricalFocalCrossentropy(
        alpha=1.0, gamma=gamma, from_logits=True, reduction=None))
    np.testing.assert_allclose(_cross_entropy(focal_gamma=gamma), expected,
                               rtol=1e-4, atol=1e-6)


def test_focus_and_smoothing_together():
    focus = (1 - np.exp(-_cross_entropy())) ** 2
    np.testing.assert_allclose(
        _cross_entropy(focal_gamma=2.0, label_smoothing=0.3),
        focus * _cross_entropy(label_smoothing=0.3), rtol=1e-5)


def test_weights_give_the_weighted_mean_of_scikit_learn():
    weights = losses.pixel_weights(
        tf.constant(LABELS), specs.LossSpec(class_weights=WEIGHTS)).numpy()
    assert not weights[~VALID].any()
    of_pixels = weights[VALID]
    expected = sklearn.metrics.log_loss(
        LABELS[VALID], scipy.special.softmax(LOGITS[VALID].astype(float), -1),
        sample_weight=np.array(WEIGHTS)[LABELS[VALID]], labels=range(6))
    assert (of_pixels * _cross_entropy()).sum() / of_pixels.sum() == (
        pytest.approx(expected, rel=1e-5))
    plain = losses.pixel_weights(tf.constant(LABELS), specs.LossSpec())
    np.testing.assert_array_equal(plain, VALID)


def test_dice_is_the_formula_for_the_classes_of_each_image():
    probabilities = scipy.special.softmax(LOGITS.astype(float), -1)
    expected = []
    for labels, valid, p in zip(LABELS, VALID, probabilities):
        of_classes = []
        for label in np.unique(labels[valid]):
            truth, of_class = labels[valid] == label, p[valid][:, label]
            of_classes.append(1 - 2 * of_class[truth].sum() / (
                of_class.sum() + truth.sum()))
        expected.append(np.mean(of_classes) if of_classes else 0.0)
    found = losses.dice(tf.constant(LABELS), tf.constant(LOGITS))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert expected[1] == 0.0


def test_dice_is_0_for_what_is_right_and_1_for_what_is_wrong():
    right = tf.one_hot(LABELS[2:], 6, 100.0)
    labels = tf.constant(LABELS[2:])
    assert float(losses.dice(labels, right)[0]) == pytest.approx(0, abs=1e-6)
    assert float(losses.dice((labels + 1) % 6, right)[0]) == (
        pytest.approx(1, abs=1e-6))


@pytest.mark.parametrize('spec', [
    specs.LossSpec(focal_gamma=0.5), specs.LossSpec(focal_gamma=2.0),
    specs.LossSpec(label_smoothing=0.1), specs.LossSpec(dice_weight=1.0)])
def test_gradients_are_finite_where_the_network_is_sure(spec):
    labels = tf.constant(LABELS)
    for scale in (-200.0, 200.0):  # Sure of the truth, and of all else.
        logits = tf.constant(tf.one_hot(LABELS, 6, scale))
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_sum(
                losses.cross_entropy(labels, logits, spec) *
                losses.pixel_weights(labels, spec))
            loss += spec.dice_weight * tf.reduce_sum(
                losses.dice(labels, logits))
        gradient = tape.gradient(loss, logits).numpy()
        assert np.isfinite(gradient).all() and np.isfinite(loss)
        assert not gradient[~VALID].any()


def test_no_pixel_is_gathered_or_scattered():
    spec = specs.LossSpec(class_weights=WEIGHTS, focal_gamma=1.0,
                          label_smoothing=0.1, dice_weight=1.0)

    def step(labels, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = tf.reduce_sum(
                losses.cross_entropy(labels, logits, spec) *
                losses.pixel_weights(labels, spec))
            loss += tf.reduce_sum(losses.dice(labels, logits))
        return tape.gradient(loss, logits)

    traced = tf.function(step).get_concrete_function(LABELS, LOGITS)
    kinds = {op.type for op in traced.graph.get_operations()}
    assert 'OneHot' in kinds
    slow = [kind for kind in kinds if any(
        part in kind for part in ('Gather', 'Scatter', 'Segment', 'Sparse'))]
    assert not slow


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_gradients_are_those_of_tensorflow(smoothing):
    logits, labels = LOGITS[VALID], LABELS[VALID]
    upstream = RNG.normal(size=labels.shape).astype(np.float32)
    truth = tf.one_hot(labels, 6) * (1 - smoothing) + smoothing / 6

    def gradient(loss):
        with tf.GradientTape() as tape:
            given = tf.constant(logits)
            tape.watch(given)
            found = loss(given)
        return tape.gradient(found, given, upstream)

    np.testing.assert_allclose(
        gradient(lambda given: losses.cross_entropy(
            tf.constant(labels), given,
            specs.LossSpec(label_smoothing=smoothing))),
        gradient(lambda given: tf.nn.softmax_cross_entropy_with_logits(
            truth, given)), atol=1e-6)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_of_what_has_all_classes_nothing_is_kept(smoothing):
    spec = specs.LossSpec(label_smoothing=smoothing)
    found = kept.elements(
        lambda logits: losses.cross_entropy(tf.constant(LABELS), logits, spec),
        tf.constant(LOGITS))
    assert found <= LABELS.size  # Beside the logits themselves.


def test_a_sure_and_right_pixel_keeps_the_digits_of_its_loss():
    logits = np.array([[[[1000.0, 1000.0 - 12.0]]]], np.float32)
    found = losses.cross_entropy(
        tf.zeros((1, 1, 1), tf.int32), tf.constant(logits), specs.LossSpec())
    np.testing.assert_allclose(found, np.log1p(np.exp(-12.0)), rtol=0.02)
