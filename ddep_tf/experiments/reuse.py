"""Finished runs of other experiments, taken over in place of training. No TF.

Experiments overlap: those of the paper share their classification and many of
their denoising runs, which cost the most.
"""

from collections.abc import Callable, Iterable
import dataclasses
import json
import os
import pathlib
import time

from ddep_tf import errors, files, specs
from ddep_tf.runtime import claim, run_folder

# What a finished run needs no more, or what is of this process alone.
_LEFT = ('state', claim.NAME)
# What is written after all else, in this order: a copy that is cut short is
# made again, or is a run that has not begun.
_LAST = (run_folder.CONFIG, run_folder.WEIGHTS, run_folder.RESULT)
_WAIT_SECONDS, _POLL_SECONDS = 600.0, 1.0  # For another worker's copy.


class Finished:
    """The finished runs of some experiments.

    Two runs are the same if their configs are, and if what they start from is
    the same file or, in turn, the same run. The data is taken to be the same.

    Args:
      exp_dirs: folders of experiments, local or in a bucket.
      is_chief: whether this process makes the copies. The other workers that
        train a run with it come to the same decision, and wait for the copy.

    Raises:
      UserError: there are no runs in one of them.
    """

    def __init__(self, exp_dirs: Iterable[str | os.PathLike],
                 is_chief: bool = True):
        self._is_chief = is_chief
        self._folders: dict[str, list[pathlib.Path]] = {}
        for exp_dir in exp_dirs:
            found = [config.parent for config in sorted(files.path(
                exp_dir).glob(f'runs/*/{run_folder.CONFIG}'))]
            if not found:
                raise errors.UserError(
                    f'--reuse {exp_dir} has no runs/: name the folder of an '
                    'experiment, such as runs/cityscapes_main')
            for folder in found:
                self._note(folder)

    def _note(self, folder):
        try:
            run = run_folder.read_run(folder)
        except errors.UserError:  # Of a version with other fields.
            return
        self._folders.setdefault(_identity(run), []).append(folder)

    def take(self, run: specs.RunSpec, run_dir: str | os.PathLike,
             test: bool, sleep: Callable[[float], object] = time.sleep
             ) -> pathlib.Path | None:
        """Copies a finished run that is the same into a folder.

        Args:
          run: RunSpec; what it starts from is there.
          run_dir: its folder. If a training has begun there, nothing is taken.
          test: whether the run must have been evaluated on the test split.
          sleep: waits so many seconds for another worker's copy; may raise.

        Returns:
          The folder it was copied from, None if there was none.

        Raises:
          WorkerLost: the chief has not made the copy in ten minutes.
        """
        # Without --reuse nothing is looked at: in a bucket that costs requests.
        if not self._folders or run_folder.has_state(run_dir):
            return None
        for folder in self._folders.get(_identity(run), ()):
            result = run_folder.finished_result(folder, run, test)
            if not result:
                continue
            if not self._is_chief:
                _await_copy(run_dir, run, test, sleep)
            elif not run_folder.finished_result(run_dir, run, test):
                _take_over(folder, run_dir, run, result)
            return folder
        return None


def _identity(run):
    """Returns what tells a run from others, as text."""
    config = dataclasses.asdict(run)
    for field in run_folder.STARTS:
        config[field] = _start(config[field])
    return json.dumps(config, sort_keys=True)


def _start(path):
    """Returns the identity of a run that initial weights come from, or the
    path of a file of weights."""
    if path and files.path(path, run_folder.CONFIG).is_file():
        return _identity(run_folder.read_run(path))
    return path and str(files.path(path).resolve())


def _take_over(folder, run_dir, run, result):
    _copy(folder, files.path(run_dir), (*_LEFT, *_LAST))
    run_folder.write_config(run_dir, run)
    weights = files.path(folder, run_folder.WEIGHTS)
    if weights.exists():
        files.copy(weights, files.path(run_dir, run_folder.WEIGHTS))
    run_folder.write_result(run_dir, result)


def _await_copy(run_dir, run, test, sleep):
    end = time.monotonic() + _WAIT_SECONDS
    while not run_folder.finished_result(run_dir, run, test):
        if time.monotonic() > end:
            raise errors.WorkerLost(
                f'the first worker has not taken {run_dir} over in '
                f'{_WAIT_SECONDS / 60:.0f} minutes: start all workers again')
        sleep(_POLL_SECONDS)


def _copy(source, target, left):
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_dir() and path.name not in left:
            _copy(path, target / path.name, ())
        elif path.name not in left:
            files.copy(path, target / path.name)
