"""Which classes are taken for which: tables of a report's page."""

from collections.abc import Iterator, Sequence

import numpy as np

from ddep_tf.experiments import records
from ddep_tf.reports import read, run_files, tables
from ddep_tf.reports.html_elements import Html, element, name, scrolling, table

# Of more classes, the largest confusions are listed instead of all.
MANY_CLASSES = 20
_LARGEST = 15


def total(experiment: read.Experiment,
          runs: Sequence[records.RunRow]) -> np.ndarray | None:
    """Returns the test pixels of runs by true (rows) and predicted class.

    Returns:
      [C, C] int64; None if no run has counted them, or if they differ in
      their classes.
    """
    found = [matrix for run in runs if (matrix := run_files.confusion_matrix(
        experiment.exp_dir, run.run)) is not None]
    if not found or len({matrix.shape for matrix in found}) > 1:
        return None
    return np.sum(found, axis=0)


def shares(matrix: np.ndarray) -> np.ndarray:
    """Returns the share of each class's pixels that is predicted as each
    class, [C, C] float64; a row of nan for a class without pixels."""
    pixels = matrix.sum(1, keepdims=True)
    with np.errstate(invalid='ignore'):
        return matrix / pixels


def build(matrix: np.ndarray, class_names: Sequence[str], label: str) -> Html:
    """Returns the table of a matrix, or of its largest entries.

    Args:
      matrix: [C, C] int64, rows are the truth.
      class_names: of the classes; those beyond get a number.
      label: says whose predictions these are.
    """
    names = [*class_names, *map(str, range(len(class_names), len(matrix)))]
    if len(matrix) > MANY_CLASSES:
        return table(largest(matrix, names), f'{label}: the largest '
                     'confusions, by their pixels', names=True)
    return _matrix(matrix, names, label)


def largest(matrix: np.ndarray, names: Sequence[str]) -> tables.Table:
    """Returns the pairs of classes with the most confused pixels."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=np.int64))
    order = np.argsort(-wrong, axis=None, kind='stable')[:_LARGEST]
    part = shares(matrix)
    rows = [['Truth', 'Predicted as', '% of the truth', '% of all errors']]
    for row, column in zip(*np.unravel_index(order, matrix.shape)):
        if wrong[row, column]:
            rows.append([
                names[row], names[column],
                tables.points(100 * part[row, column]),
                tables.points(100 * wrong[row, column] / wrong.sum())])
    return rows


def _matrix(matrix, names, label) -> Html:
    head = element('thead', element('tr', *(
        element('th', text, scope='col')
        for text in ('True class', '% of pixels', *map(name, names)))))
    body = element('tbody', *_lines(matrix, names))
    return scrolling(label, element(
        'table', element('caption', f'{label}: % of the pixels of a true '
                         'class (row) by predicted class (column)'),
        head, body, class_='matrix' + ' upright' * (len(names) > 6)))


def _lines(matrix, names) -> Iterator[Html]:
    part, pixels = shares(matrix), matrix.sum(1)
    every = max(pixels.sum(), 1)
    for row, label in enumerate(names):
        yield element(
            'tr', element('th', name(label), scope='row'),
            element('td', tables.points(100 * pixels[row] / every)),
            *(_cell(share, row == column)
              for column, share in enumerate(part[row])))


def _cell(share, is_right) -> Html:
    shade = None if np.isnan(share) else f'--share: {share:.3f}'
    return element('td', tables.points(100 * share), style=shade,
                   class_='right' if is_right else 'wrong')
