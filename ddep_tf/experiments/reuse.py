"""Finished runs of other experiments, taken over in place of training. No TF.

Experiments overlap: those of the paper share their classification and many of
their denoising runs, which cost the most.
"""

from collections.abc import Iterable
import dataclasses
import json
import os
import pathlib

from ddep_tf import errors, files, specs
from ddep_tf.runtime import claim, run_folder

# What a finished run needs no more, or what is of this process alone.
_LEFT = ('state', claim.NAME, run_folder.RESULT)


class Finished:
    """The finished runs of some experiments.

    Two runs are the same if their configs are, and if what they start from is
    the same file or, in turn, the same run. The data is taken to be the same.

    Args:
      exp_dirs: folders of experiments, local or in a bucket.

    Raises:
      UserError: there are no runs in one of them.
    """

    def __init__(self, exp_dirs: Iterable[str | os.PathLike]):
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
             test: bool) -> pathlib.Path | None:
        """Copies a finished run that is the same into a folder.

        Args:
          run: RunSpec; what it starts from is there.
          run_dir: its folder. If it is started, nothing is taken.
          test: whether the run must have been evaluated on the test split.

        Returns:
          The folder it was copied from, None if there was none.
        """
        # Without --reuse nothing is looked at: in a bucket that costs requests.
        if not self._folders or run_folder.is_started(run_dir):
            return None
        for folder in self._folders.get(_identity(run), ()):
            result = run_folder.finished_result(folder, run, test)
            if result:
                _copy(folder, files.path(run_dir), _LEFT)
                run_folder.write_config(run_dir, run)
                run_folder.write_result(run_dir, result)
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


def _copy(source, target, left):
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_dir() and path.name not in left:
            _copy(path, target / path.name, ())
        elif path.name not in left:
            files.copy(path, target / path.name)
