import numpy as np
import pytest
from sklearn import metrics as reference

import ddep_tf

pytestmark = pytest.mark.quick


def _random(classes=7, ignored=0.2, shape=(4, 33, 17)):
    rng = np.random.default_rng(3)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    predictions = rng.integers(0, classes, shape).astype(np.uint8)
    labels[rng.random(shape) < ignored] = 255
    return labels, predictions


def test_confusion_matrix_equals_scikit_learn():
    labels, predictions = _random()
    valid = labels != 255
    expected = reference.confusion_matrix(
        labels[valid], predictions[valid], labels=range(7))
    matrix = ddep_tf.confusion_matrix(labels, predictions, 7)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_iou_equals_scikit_learn():
    labels, predictions = _random()
    valid = labels != 255
    expected = reference.jaccard_score(labels[valid], predictions[valid],
                                       average=None, labels=range(7))
    iou = ddep_tf.iou_per_class(
        ddep_tf.confusion_matrix(labels, predictions, 7))
    np.testing.assert_allclose(iou, expected, rtol=1e-12)


def test_absent_class_is_nan_and_left_out_of_the_mean():
    matrix = ddep_tf.confusion_matrix(
        np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    iou = ddep_tf.iou_per_class(matrix)
    assert np.isnan(iou[2])
    assert ddep_tf.mean_iou(matrix) == pytest.approx(0.5)


@pytest.mark.parametrize('labels, predictions', [
    ([0, 3], [0, 0]), ([0, 1], [0, 9]), ([0, 1], [0]), ([0, -1], [0, 0]),
    ([0.0, 1.0], [0, 1])])
def test_bad_ids_are_refused(labels, predictions):
    with pytest.raises(ValueError, match='labels|predictions'):
        ddep_tf.confusion_matrix(np.array(labels), np.array(predictions), 3)


def test_ignored_pixels_may_hold_any_prediction():
    matrix = ddep_tf.confusion_matrix(
        np.array([255, 1]), np.array([200, 1]), 2)
    assert matrix.sum() == 1
