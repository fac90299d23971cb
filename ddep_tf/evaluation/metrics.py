"""The confusion matrix and the scores derived from it. NumPy only."""

import numpy as np
from numpy.typing import ArrayLike

from ddep_tf import errors, spec_base, specs


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike,
                     num_classes: int,
                     ignore_label: int = specs.IGNORE_LABEL) -> np.ndarray:
    """Counts pixels by true and predicted class.

    Args:
      labels: integer array of any shape, ids in [0, num_classes) or
        `ignore_label`.
      predictions: integer array of the same shape, ids in [0, num_classes)
        wherever the label is not ignored.
      num_classes: at least 1.
      ignore_label: pixels with this label are not counted.

    Returns:
      [C, C] int64; rows are the truth, columns the prediction.

    Raises:
      ValueError: the shapes differ, a type is not an integer type, or an id
        lies outside the classes.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if not spec_base.is_count(num_classes):
        raise errors.UserError('num_classes must be a whole number above 0, '
                               f'got {num_classes!r}')
    num_classes = int(num_classes)
    if labels.shape != predictions.shape:
        raise errors.UserError('labels and predictions must have one shape, '
                               f'got {labels.shape} and {predictions.shape}')
    for name, ids in (('labels', labels), ('predictions', predictions)):
        if ids.dtype.kind not in 'iu':
            raise errors.UserError(f'{name} must be integers, got {ids.dtype}')
    valid = labels != ignore_label
    truth = labels[valid].astype(np.int64)
    guess = predictions[valid].astype(np.int64)
    _check_ids(truth, num_classes, 'labels')
    _check_ids(guess, num_classes, 'predictions')
    counts = np.bincount(truth * num_classes + guess,
                         minlength=num_classes * num_classes)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def check_labels(labels: np.ndarray, num_classes: int) -> None:
    """Raises UserError unless train ids, 255 apart, are of the classes."""
    _check_ids(labels[labels != specs.IGNORE_LABEL], num_classes, 'labels')


def iou_per_class(matrix: ArrayLike) -> np.ndarray:
    """Returns the IoU of each class, [C] float64 in [0, 1].

    NaN marks a class that neither the truth nor the prediction contains.

    Args:
      matrix: [C, C] counts, rows are the truth.
    """
    counts = _square(matrix)
    hits = np.diag(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - np.diag(counts)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(union > 0, hits / union, np.nan)


def mean_iou(matrix: ArrayLike) -> float:
    """Returns the mean IoU over the classes with pixels in truth or
    prediction; NaN if there are none."""
    iou = iou_per_class(matrix)
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float('nan')


def pixel_accuracy(matrix: ArrayLike) -> float:
    """Returns the fraction of the counted pixels that is right."""
    counts = _square(matrix)
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float('nan')


def _square(matrix: ArrayLike) -> np.ndarray:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise errors.UserError('a confusion matrix is [C, C], got shape '
                               f'{counts.shape}')
    return counts


def _check_ids(ids, num_classes, name):
    if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise errors.UserError(f'{name} hold the id {wrong}, outside the '
                               f'{num_classes} classes')
