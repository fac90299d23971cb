"""Follows runs in Weights & Biases or MLflow, beside their own logs. No TF.

Both are told by their own environment variables where they write: to a server,
or to this disk. What fails here fails alone: one line says so, and the run
goes on.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import importlib.util
import os
import pathlib
import time
from typing import Any

from ddep_tf import errors, files, specs

WANDB, MLFLOW = SERVICES = ('wandb', 'mlflow')
FILE = 'tracking.json'  # {service: the run's id there}, in the run folder.
PROJECT = 'ddep_tf'  # Unless the environment names another.
# How a run ended, as MLflow calls it.
FINISHED, KILLED, FAILED = 'FINISHED', 'KILLED', 'FAILED'
_FINAL = ('val', 'test', 'test_details', 'seconds')  # Of a result.
# Seconds until the services are asked again once they have failed [O].
_PAUSE_SECONDS = 300
# A server that does not answer must not keep a run from saving its state
# within half of --grace, 15 seconds. All are defaults of the environment.
_PATIENCE = {'MLFLOW_HTTP_REQUEST_TIMEOUT': '5',
             'MLFLOW_HTTP_REQUEST_MAX_RETRIES': '1',
             'WANDB_INIT_TIMEOUT': '30', 'WANDB_FINISH_TIMEOUT': '15'}


@dataclasses.dataclass(frozen=True)
class Tracking:
    """Where runs are followed.

    Attributes:
      service: one of SERVICES.
      group: the experiment that they belong to; '' is none.
    """
    service: str
    group: str = ''


def chosen(service: str, group: str = '') -> Tracking:
    """Returns the Tracking of a flag. UserError if its package is missing."""
    if importlib.util.find_spec(service) is None:
        raise errors.UserError(
            f'--track={service} needs the package {service}: pip install '
            f"'ddep_tf[{service}]'")
    return Tracking(service, group)


class Tracker:
    """Tells a service of one run.

    Args:
      service: as it is named in messages.
      client: what speaks to it; None tells nobody.
    """

    def __init__(self, service: str = '', client: Any = None):
        self._service = service
        self._client = client
        self._quiet_until = 0.0
        self._has_failed = False

    def log(self, row: Mapping[str, Any]) -> None:
        """Tells numbers of a step, which is the row's 'step'."""
        if time.monotonic() >= self._quiet_until:
            numbers = _numbers({k: v for k, v in row.items() if k != 'step'})
            self._tell('log', row['step'], numbers)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Tells what was measured in the end, of a result as of
        `result.json`."""
        final = {name: result.get(name) for name in _FINAL}
        self._tell('log', result['steps'], _numbers({'final': final}))

    def close(self, ended: str) -> None:
        """Ends the run there: FINISHED, KILLED or FAILED."""
        self._tell('close', ended)

    def _tell(self, method, *args):
        if self._client is None:
            return
        try:
            getattr(self._client, method)(*args)
        except Exception as error:  # Of a service, it may be any.
            self._quiet_until = time.monotonic() + _PAUSE_SECONDS
            if not self._has_failed:
                _say(self._service, error)
            self._has_failed = True


@contextlib.contextmanager
def followed(tracking: Tracking | None, run: specs.RunSpec,
             run_dir: pathlib.Path) -> Iterator[Tracker]:
    """Follows a run while the block lasts, under the id it had before.

    Args:
      tracking: Tracking; None follows nothing.
      run: RunSpec.
      run_dir: path of the run folder, which remembers the id.
    """
    tracker = _opened(tracking, run, run_dir) if tracking else Tracker()
    try:
        yield tracker
    except (errors.Preempted, KeyboardInterrupt):
        tracker.close(KILLED)
        raise
    except BaseException:
        tracker.close(FAILED)
        raise
    tracker.close(FINISHED)


def _opened(tracking, run, run_dir):
    """Returns the Tracker of a run, which tells nobody if it failed."""
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    kinds = {WANDB: _Wandb, MLFLOW: _Mlflow}
    try:
        path = run_dir / FILE
        ids = files.read_json(path) if path.exists() else {}
        client = kinds[tracking.service](
            tracking.group, run, run_dir, ids.get(tracking.service))
        files.write_json(path, {**ids, tracking.service: client.id})
        return Tracker(tracking.service, client)
    except Exception as error:
        _say(tracking.service, error)
        return Tracker()


class _Wandb:
    """A run of Weights & Biases.

    Attributes:
      id: of the run.

    Args:
      group: of the run; '' is none.
      run: RunSpec.
      run_dir: pathlib.Path of the run folder.
      known: id under which it was followed before; None is a new one.
    """

    def __init__(self, group: str, run: specs.RunSpec,
                 run_dir: pathlib.Path, known: str | None):
        import wandb
        self._run = wandb.init(
            project=os.environ.get('WANDB_PROJECT') or PROJECT,
            id=known, resume='allow', reinit='create_new',
            name=run_dir.name, group=group or None, job_type=run.stage,
            config=None if known else _config(run),
            dir=None if files.is_bucket(run_dir) else run_dir)
        self.id = self._run.id
        # Steps that are done again have been logged before: W&B's own count
        # cannot go back.
        self._run.define_metric('*', step_metric='step')

    def log(self, step: int, numbers: dict[str, float]) -> None:
        self._run.log({'step': step, **numbers})

    def close(self, ended: str) -> None:
        if ended == KILLED:
            self._run.mark_preempting()
        self._run.finish(exit_code=int(ended != FINISHED))


class _Mlflow:
    """A run of MLflow. Attributes and arguments as of _Wandb."""

    def __init__(self, group: str, run: specs.RunSpec,
                 run_dir: pathlib.Path, known: str | None):
        import mlflow
        self._client = mlflow.MlflowClient()
        if known:
            self._client.update_run(known, status='RUNNING')
            self.id = known
            return
        experiment = mlflow.set_experiment(
            os.environ.get('MLFLOW_EXPERIMENT_NAME') or PROJECT)
        tags = {'stage': run.stage, **({'group': group} if group else {})}
        self.id = self._client.create_run(
            experiment.experiment_id, run_name=run_dir.name,
            tags=tags).info.run_id
        # It takes 6000 characters a value and 100 values at a time.
        params = [mlflow.entities.Param(name, str(value)[:6000])
                  for name, value in _flat(_config(run), '.')]
        for start in range(0, len(params), 100):
            self._client.log_batch(self.id, params=params[start:start + 100])

    def log(self, step: int, numbers: dict[str, float]) -> None:
        import mlflow
        now = int(1000 * time.time())
        self._client.log_batch(self.id, metrics=[
            mlflow.entities.Metric(name, value, now, step)
            for name, value in numbers.items()])

    def close(self, ended: str) -> None:
        self._client.set_terminated(self.id, ended)


def _config(run):
    """Returns a RunSpec as nested dicts."""
    values = dataclasses.asdict(run)
    return {**values, 'data': dict(enumerate(values['data']))}


def _numbers(values):
    """Returns the numbers of nested dicts, {'a/b': float}."""
    return {name: float(value) for name, value in _flat(values, '/')
            if isinstance(value, (int, float))}


def _flat(values, separator):
    """Yields (joined keys, value) of nested dicts."""
    for name, value in values.items():
        if isinstance(value, dict):
            for inner, leaf in _flat(value, separator):
                yield f'{name}{separator}{inner}', leaf
        else:
            yield str(name), value


def _say(service, error):
    print(f'--track={service} fails ({errors.first_line(error)}): the run goes '
          'on, and may be missing there', flush=True)
