"""The matrices of a report, and what is told of many classes."""

import json
import pathlib

import numpy as np
import pytest

from ddep_tf.reports import confusion, read, write

import report_cases

pytestmark = pytest.mark.quick
# Rows are the truth: of 'a' 8 of 10 pixels are right, 'c' has none.
MATRIX = np.array([[8, 2, 0], [30, 60, 10], [0, 0, 0]])
NAMES = ['a', 'b', 'c']


def test_shares_are_of_the_true_class():
    np.testing.assert_array_equal(confusion.shares(MATRIX), [
        [0.8, 0.2, 0], [0.3, 0.6, 0.1], [np.nan] * 3])


def test_a_matrix_of_few_classes_is_shown_whole():
    text = confusion.build(MATRIX, NAMES, 'ddep')
    assert text.count('class="right"') == 3 and text.count('"wrong"') == 6
    for cell in ('>80.0<', '>20.0<', '>30.0<', '>60.0<', '>10.0<',
                 '--share: 0.800', '>9.1<', '>90.9<'):
        assert cell in text
    assert 'nan' not in text and text.count('>-<') == 3


def test_classes_without_a_name_have_a_number():
    assert '>2</span></th>' in confusion.build(MATRIX, NAMES[:2], 'ddep')


def test_the_largest_confusions_are_those_with_the_most_pixels():
    assert confusion.largest(MATRIX, NAMES)[1:] == [
        ['b', 'a', '30.0', '71.4'], ['b', 'c', '10.0', '23.8'],
        ['a', 'b', '20.0', '4.8']]


def test_of_many_classes_the_largest_confusions_are_listed():
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 100, (150, 150))
    matrix[70, 3] = 1000
    text = confusion.build(matrix, [f'class {i}' for i in range(150)], 'dep')
    assert text.count('<tr>') == 1 + 15
    assert text.index('>class 70<') < text.index('>class 3<')
    assert text.count('class 70') == 1


@pytest.mark.parametrize('arms', [('scratch',), ('supervised', 'ddep')])
def test_pixels_add_up_over_seeds(tmp_path, arms):
    folder = report_cases.make_experiment(tmp_path / 'exp', arms)
    experiment = read.read_experiment(folder)
    runs = [run for run in experiment.finished()
            if (run.arm, run.labels) == (arms[0], 10)]
    total = confusion.total(experiment, runs)
    np.testing.assert_array_equal(total, sum(
        report_cases.confusion_matrix(3, seed) for seed in (0, 1, 2)))
    text = pathlib.Path(write.write_report(folder)).read_text('utf-8')
    assert text.count('<caption>' + arms[0] + ': % of the pixels') == 2


def test_runs_of_other_classes_are_not_added_up(tmp_path):
    folder = report_cases.make_experiment(tmp_path / 'exp', ('scratch',))
    experiment = read.read_experiment(folder)
    runs = [run for run in experiment.finished() if run.labels == 10]
    path = folder / 'runs' / runs[0].run / 'result.json'
    path.write_text(json.dumps({'test': 0.5, 'test_details': {
        'confusion_matrix': [[1, 0], [0, 1]]}}))
    assert confusion.total(experiment, runs) is None
    assert confusion.total(experiment, runs[1:]) is not None
