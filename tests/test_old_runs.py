"""Folders of an earlier version resume: fixtures/old_runs/README.md."""

import pathlib
import tarfile

import numpy as np
import pytest

from ddep_tf import configure, files
from ddep_tf.experiments import executors, runner
from ddep_tf.reports import write

import commands

ROOT = pathlib.Path(__file__).resolve().parent.parent
OLD = ROOT / 'tests' / 'fixtures' / 'old_runs'


@pytest.fixture(name='expected')
def _expected():
    return files.read_json(OLD / 'expected.json')


def _unpack(name, where):
    with tarfile.open(OLD / f'{name}.tar.xz') as archive:
        archive.extractall(where, filter='data')
    return where / name


def test_a_killed_run_resumes_to_the_weights_of_its_own_version(
        expected, tmp_path):
    run_dir = _unpack('denoise', tmp_path)
    before = files.read_csv(run_dir / 'metrics.csv')
    code, out, err = commands.run(
        'pretrain_decoder', *expected['denoise'], f'--run_dir={run_dir.name}',
        cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert code == 0, err
    assert 'step 3 of 8' in out
    rows = files.read_csv(run_dir / 'metrics.csv')
    assert len(before) == 5 and rows[:3] == before[:3]
    np.testing.assert_allclose([float(row['loss']) for row in rows],
                               expected['losses'], rtol=1e-5)
    result = files.read_json(run_dir / 'result.json')
    for split in ('val', 'test'):
        assert result[split] == pytest.approx(expected[split], rel=1e-5)
    _check_weights(run_dir / 'weights.npz', tmp_path / 'encoder.npz')


def _check_weights(path, encoder):
    """The encoder kept each bit, what was trained is as it was."""
    with np.load(path) as found, np.load(OLD / 'expected.npz') as trained, \
            np.load(encoder) as frozen:
        assert set(found.files) == {*trained.files, *frozen.files}
        for key in frozen.files:
            np.testing.assert_array_equal(found[key], frozen[key], key)
        # Where a gradient is nil, rounding decides the sign of Adam's step.
        close = [np.isclose(found[key], trained[key], rtol=0, atol=1e-5)
                 for key in trained.files]
    assert np.mean(np.concatenate([c.ravel() for c in close])) > 0.99


def test_a_finished_experiment_is_done_and_reported_alike(
        expected, tmp_path, monkeypatch):
    where = _unpack('experiment', tmp_path)
    monkeypatch.chdir(tmp_path)
    before = files.read_csv(where / 'runs.csv')
    table = files.read_csv(where / 'table.csv')
    flags = [text.split('=', 1) for text in expected['experiment']]
    spec, stages, operative = configure.load_experiment(
        *([value for flag, value in flags if flag == name]
          for name in ('--gin_file', '--gin_param')))

    def train(*_):
        raise AssertionError('all runs were done')
    experiment = runner.Experiment(spec, stages, operative, where.name, '',
                                   executors.Serial(train))
    experiment.run()
    page = pathlib.Path(write.write_report(where)).read_text('utf-8')
    assert f'{len(before)} of {len(before)} runs done' in page
    for name, rows in (('runs.csv', before), ('table.csv', table)):
        after = files.read_csv(where / name)
        assert len(after) == len(rows) > 0
        for old, new in zip(rows, after):
            assert old.items() <= new.items()
