"""Runs are followed in other services, and do not depend on them."""

import json
import pathlib
import sys
import types
from unittest import mock

import pytest

from ddep_tf import errors, specs
from ddep_tf.runtime import tracking

SERVICES = pathlib.Path(__file__).resolve().parent.parent / 'fixtures/services'
RUN = specs.RunSpec('segment', (specs.DatasetSpec(name='mine'),), steps=4)
RESULT = {'val': 0.5, 'test': None, 'steps': 4, 'commit': 'abc', 'seconds': 9,
          'seed': 3, 'test_details': {'mean_iou': 0.25, 'iou': [0, 1]}}


def _follow(where, service, *rows, group='', error=None):
    with tracking.followed(tracking.Tracking(service, group), RUN,
                           where) as tracker:
        for row in rows:
            tracker.log(row)
        if error:
            raise error
        tracker.finish(RESULT)


@pytest.fixture(name='told')
def _told(tmp_path, monkeypatch):
    """A function that returns the calls that wandb got since it was called."""
    path = tmp_path / 'told.jsonl'
    monkeypatch.setenv('TOLD', str(path))
    monkeypatch.syspath_prepend(str(SERVICES))
    monkeypatch.delitem(sys.modules, 'wandb', raising=False)

    def calls():
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]
    yield calls
    sys.modules.pop('wandb', None)


def test_wandb_is_told_config_rows_and_result(told, tmp_path):
    _follow(tmp_path, 'wandb', {'step': 1, 'train/loss': 2.5}, group='exp')
    (name, _, init), *_ = calls = told()
    assert name == 'init' and init['id'] is None
    assert (init['name'], init['group'], init['job_type']) == (
        tmp_path.name, 'exp', 'segment')
    assert init['config']['steps'] == 4
    assert init['config']['data']['0']['name'] == 'mine'
    assert [args[0] for name, args, _ in calls if name == 'log'] == [
        {'step': 1, 'train/loss': 2.5},
        {'step': 4, 'final/val': 0.5, 'final/seconds': 9.0,
         'final/test_details/mean_iou': 0.25}]
    assert calls[-1] == ['finish', [], {'exit_code': 0}]


@pytest.mark.parametrize('error, ended', [
    (errors.Preempted('asked'), ['mark_preempting', 'finish']),
    (KeyboardInterrupt(), ['mark_preempting', 'finish']),
    (errors.TrainingStopped('nan'), ['finish'])])
def test_a_run_that_goes_on_is_the_same_one_there(told, tmp_path, error,
                                                  ended):
    with pytest.raises(type(error)):
        _follow(tmp_path, 'wandb', {'step': 1, 'val': 1}, error=error)
    calls = told()
    assert [call[0] for call in calls][-len(ended):] == ended
    assert calls[-1][-1] == {'exit_code': 1}
    _follow(tmp_path, 'wandb')
    (_, _, init), *_ = told()
    assert init['id'] == 'given' and init['config'] is None


def test_a_service_that_fails_is_said_once_and_harms_nothing(
        told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('REFUSES', '1')
    _follow(tmp_path, 'wandb', *({'step': i, 'val': i} for i in range(9)))
    assert capsys.readouterr().out == (
        '--track=wandb fails (no network): the run goes on, and may be '
        'missing there\n')
    assert not (tmp_path / tracking.FILE).exists() and not told()


def test_a_service_that_fails_later_is_left_alone_for_a_while(
        monkeypatch, capsys):
    now, told = [1000.0], []
    monkeypatch.setattr(tracking.time, 'monotonic', lambda: now[0])

    def log(step, numbers):
        told.append(step)
        if step < 5:
            raise OSError('gone')
    tracker = tracking.Tracker('mlflow', types.SimpleNamespace(log=log))
    for step in (1, 2, 3):
        tracker.log({'step': step, 'val': 1})
    now[0] += 301
    for step in (4, 5):
        tracker.log({'step': step, 'val': 1})
    now[0] += 301
    tracker.log({'step': 6, 'val': 1})
    assert told == [1, 4, 6]
    assert capsys.readouterr().out.count('\n') == 1


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(tracking.importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(errors.UserError, match=r"'ddep_tf\[mlflow\]'"):
        tracking.chosen('mlflow')


def test_nothing_is_told_without_a_service(tmp_path):
    with tracking.followed(None, RUN, tmp_path) as tracker:
        tracker.log({'step': 1, 'val': 1})
        tracker.finish(RESULT)
    assert not list(tmp_path.iterdir())


def test_mlflow_is_told_params_metrics_and_how_it_ended(tmp_path, monkeypatch):
    mlflow = mock.Mock()
    client = mlflow.MlflowClient.return_value
    client.create_run.return_value.info.run_id = 'seven'
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    with pytest.raises(errors.Preempted):
        _follow(tmp_path, 'mlflow', {'step': 1, 'val': 0.5}, group='exp',
                error=errors.Preempted('asked'))
    assert client.create_run.call_args.kwargs == {
        'run_name': tmp_path.name,
        'tags': {'stage': 'segment', 'group': 'exp'}}
    assert mock.call('data.0.name', 'mine') in (
        mlflow.entities.Param.call_args_list)
    assert mlflow.entities.Metric.call_args.args == (
        'val', 0.5, mock.ANY, 1)
    assert client.set_terminated.call_args.args == ('seven', 'KILLED')
    params, metrics = client.log_batch.call_args_list
    assert 0 < len(params.kwargs['params']) <= 100
    assert len(metrics.kwargs['metrics']) == 1
    _follow(tmp_path, 'mlflow')
    assert client.create_run.call_count == 1
    assert client.update_run.call_args.args == ('seven',)
    assert client.set_terminated.call_args.args == ('seven', 'FINISHED')


@pytest.mark.full
def test_mlflow_keeps_params_metrics_and_how_it_ended(tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_TRACKING_URI', f'sqlite:///{tmp_path}/db')
    monkeypatch.delenv('MLFLOW_EXPERIMENT_NAME', raising=False)
    with pytest.raises(errors.Preempted):
        _follow(tmp_path, 'mlflow', {'step': 1, 'val': 0.5}, group='exp',
                error=errors.Preempted('asked'))
    client = mlflow.MlflowClient()
    run_id = json.loads((tmp_path / tracking.FILE).read_text())['mlflow']
    assert client.get_run(run_id).info.status == 'KILLED'
    _follow(tmp_path, 'mlflow', {'step': 2, 'val': 0.75})
    experiment = client.get_experiment_by_name('ddep_tf')
    found, = client.search_runs([experiment.experiment_id])
    assert (found.info.run_id, found.info.status) == (run_id, 'FINISHED')
    assert (found.data.tags['stage'], found.data.tags['group']) == (
        'segment', 'exp')
    assert found.data.params['data.0.name'] == 'mine'
    assert found.data.params['optimizer.learning_rate'] == '0.0001'
    assert [(m.step, m.value) for m in client.get_metric_history(
        run_id, 'val')] == [(1, 0.5), (2, 0.75)]
    assert found.data.metrics['final/test_details/mean_iou'] == 0.25
