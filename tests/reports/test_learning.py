"""Outcomes along the fine-tuning, against values made by hand."""

import math

import pytest

from ddep_tf import files
from ddep_tf.experiments import records
from ddep_tf.reports import learning, page, read, stats, tables, write

import result_cases

pytestmark = pytest.mark.quick

OURS, THEIRS = stats.Side('', 'ddep'), stats.Side('', 'supervised')
# The baseline ends at 40, 50, 60: 45 is 90 % of their mean.
CURVES = {
    OURS: {10: [{100: 45, 200: 20, 300: 50}, {100: 30, 200: 44, 300: 60},
                {100: 10, 200: 20, 300: 44.9}]},
    THEIRS: {10: [{100: 10, 200: 45, 300: 40}, {100: 20, 200: 30, 300: 50},
                  {100: 5, 200: 44, 300: 60}]}}
SCORES = {side: {10: [30, 31, 32]} for side in (OURS, THEIRS)}


@pytest.fixture
def results(tmp_path):
    return result_cases.write(tmp_path / 'small', SCORES, CURVES)


def _outcome(folder):
    return learning.outcome(read.read_experiment(folder), 10, OURS, THEIRS)


def test_means_and_steps_by_hand(results):
    found = _outcome(results)
    means = [(115 / 3, 95 / 3), (134 / 3, 100 / 3), (74.9 / 3, 109 / 3)]
    assert found.along.values == pytest.approx(
        [ours - theirs for ours, theirs in means])
    assert found.along.arm_mean == pytest.approx(sum(a for a, _ in means) / 3)
    # Of three, the mean of the bootstrap is at its lowest and highest in
    # 1/27 of the draws each, which is more than 2.5 %.
    assert (found.along.low, found.along.high) == pytest.approx(
        (min(found.along.values), max(found.along.values)))
    assert found.target == pytest.approx(45)
    # 100, 300 and never; 200, 300 and 300.
    assert found.ours == learning.Reach(300, 2, 3)
    assert found.theirs == learning.Reach(300, 3, 3)


def test_runs_that_do_not_get_there_count(tmp_path):
    curves = {**CURVES, OURS: {10: [{100: 50, 200: 20, 300: 9}] + [
        {100: 1, 200: 2, 300: 3}] * 2}}
    folder = result_cases.write(tmp_path / 'slow', SCORES, curves)
    assert _outcome(folder).ours == learning.Reach(math.inf, 1, 3)
    row = dict(zip(*tables.learning_rows(read.read_experiment(folder))))
    assert row['Steps to it, first arm'] == 'not reached (1 of 3)'
    assert row['Steps to it, second arm'] == '300 (3 of 3)'


def test_only_steps_that_both_were_validated_after_count(tmp_path):
    curves = {**CURVES, OURS: {10: [{100: 45, 150: 99, 300: 50}] * 2}}
    found = _outcome(result_cases.write(tmp_path / 'other', SCORES, curves))
    # The third run has no curve, so that its pair is none.
    assert found.along.values == pytest.approx(
        [95 / 2 - 50 / 2, 95 / 2 - 70 / 2])
    assert found.along.seeds == (0, 1) and found.ours.count == 2
    assert found.target == pytest.approx(0.9 * 45)


def test_the_curve_of_the_grid_is_not_that_of_its_arm(results):
    """Beside the chosen run of a grid on held-out images stands the final
    one, of the same seed."""
    runs = read.read_experiment(results).runs
    grid = {**vars(runs[0]), 'run': 'sweep', 'role': records.SWEEP,
            'chosen': 1, 'test': None}
    _append(results / 'runs.csv', records.RunRow, grid)
    _append(results / 'curves.csv', records.CurveRow,
            {**grid, 'step': 100, 'val': 0.99})
    found = learning.curves(read.read_experiment(results), '')
    assert found[10]['ddep'][0] == ([100, 200, 300], pytest.approx(
        [45, 20, 50]))
    assert learning.mean_curve(found[10]['ddep'])[1][0] == pytest.approx(
        85 / 3)


def _append(path, cls, row):
    with open(path, 'a') as file:
        file.write(files.csv_text(records.columns(cls), [row]).split('\n')[1])


@pytest.mark.parametrize('asked', [False, True])
def test_the_readme_has_them_if_the_experiment_asks(tmp_path, asked):
    folder = result_cases.write(tmp_path / 'small', SCORES, CURVES,
                                spec={'learning_outcomes': asked})
    row = '| 45.0 | 300 (2 of 3) | 300 (3 of 3) |'
    assert (row in write.results_readme(folder)) == asked
    assert '300 (2 of 3)' in page.build_page(
        read.read_experiment(folder), folder / 'figures')
