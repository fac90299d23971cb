"""runs.csv and the like: one schema writes and reads them, of any version."""

import csv
import dataclasses
import json
import math
import pathlib
import shutil

import pytest

from ddep_tf.experiments import records
from ddep_tf.reports import read, stats, tables, write

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).resolve().parents[2] / 'results'
CAMVID = RESULTS / 'camvid_small'


def _head(path):
    with open(path, newline='', encoding='utf-8') as file:
        return next(csv.reader(file))


@pytest.mark.parametrize('name, cls', [
    ('runs.csv', records.RunRow), ('curves.csv', records.CurveRow),
    ('per_class.csv', records.ClassRow)])
def test_columns_stay_in_their_order(name, cls):
    head = _head(CAMVID / name)  # New ones come behind.
    assert records.columns(cls)[:len(head)] == head


def _edit_columns(path, change):
    with open(path, newline='', encoding='utf-8') as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def results(tmp_path):
    """A copy of committed results."""
    return pathlib.Path(shutil.copytree(CAMVID, tmp_path / 'results'))


@pytest.mark.parametrize('name, column', [
    ('runs.csv', name) for name in records.columns(records.RunRow)
    if name not in ('run', 'arm', 'labels', 'seed')] + [
    ('curves.csv', 'step'), ('curves.csv', 'val'), ('per_class.csv', 'iou')])
def test_a_column_that_is_absent_is_blank(results, name, column):
    whole = read.read_experiment(results)
    _edit_columns(results / name, lambda row: {
        key: value for key, value in row.items() if key != column})
    cut = read.read_experiment(results)
    assert len(cut.runs) == len(whole.runs)
    if name == 'runs.csv':
        assert getattr(cut.runs[0], column) in ('', None, False) or (
            math.isnan(getattr(cut.runs[0], column)))
    assert write.results_readme(str(results)).startswith('# CamVid')
    if column in ('role', 'learning_rate', 'step', 'iou'):
        assert pathlib.Path(write.write_report(results)).exists()


def test_scores_do_not_depend_on_columns_beside_them(results):
    before = stats.scores(read.read_experiment(results))
    _edit_columns(results / 'runs.csv', lambda row: {
        **{key: value for key, value in row.items()
           if key not in ('seconds', 'pixel_accuracy', 'width')},
        'of a later version': 'x'})
    after = stats.scores(read.read_experiment(results))
    assert [(s.arm, s.labels, s.mean, s.std) for s in after] == [
        (s.arm, s.labels, s.mean, s.std) for s in before]
    assert len(after) == 6


def test_a_metric_is_added_in_one_place(results, monkeypatch):
    """From a run's result to runs.csv, and from there to the scores."""
    @dataclasses.dataclass(frozen=True)
    class RunRow(records.RunRow):
        frequency_weighted: float = dataclasses.field(
            metadata=records.of_result('test_details',
                                       'frequency_weighted_iou',
                                       title='Weighted IoU'))

    monkeypatch.setattr(records, 'RunRow', RunRow)
    assert records.measured({'test': 0.5, 'test_details': {
        'frequency_weighted_iou': 0.25}}) == {
            **dict.fromkeys(records.measured({})), 'test': 0.5,
            'frequency_weighted': 0.25}
    # Runs of before have none of it, nor does a column of nothing show.
    assert 'Weighted IoU' not in tables.score_rows(
        read.read_experiment(results))[0]
    _edit_columns(results / 'runs.csv', lambda row: {
        **row, 'frequency_weighted': 0.25 if row['arm'] == 'ddep' else ''})
    head, *rows = tables.score_rows(read.read_experiment(results))
    column = head.index('Weighted IoU')
    assert {(row[head.index('Arm')], row[column]) for row in rows} == {
        ('ddep', '25.0'), ('scratch', '-'), ('supervised', '-')}
    assert 'frequency_weighted' in tables.scores_csv(
        read.read_experiment(results)).splitlines()[0]


@pytest.mark.parametrize('column', ['arm', 'labels', 'seed'])
def test_what_a_row_cannot_do_without_is_asked_for(results, column):
    _edit_columns(results / 'runs.csv', lambda row: {**row, column: ''})
    with pytest.raises(ValueError, match='labels and seed'):
        read.read_experiment(results)


def test_a_result_without_a_test_has_blank_scores():
    result = {'val': 0.4, 'test': None, 'test_details': None, 'steps': 5}
    found = records.measured(result)
    assert found['val'] == 0.4 and found['steps'] == 5
    assert found['single_scale'] is None and found['pixel_accuracy'] is None
    json.dumps(found)
