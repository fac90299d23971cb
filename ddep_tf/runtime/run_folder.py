"""A run folder: its files, and that none of them is lost. No TF."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from typing import Any

import ddep_tf
from ddep_tf import errors, files, spec_base, specs

CONFIG = 'config.json'
RESULT = 'result.json'
WEIGHTS = 'weights.npz'
# The mean IoU of each test image, and pictures of the worst and the best.
PER_IMAGE, EXTREMES = 'per_image.csv', 'samples/extremes'
LEVELS = 'samples/levels'  # An image denoised at several levels of noise.
STARTS = ('init_encoder', 'init_decoder')  # Fields that name initial weights.
_PACKAGES = ('tensorflow', 'keras', 'tensorflow-datasets', 'numpy')


def create(run_dir: str | os.PathLike) -> None:
    """Creates the folder. UserError if it cannot be created."""
    with _writing(run_dir):
        files.path(run_dir).mkdir(parents=True, exist_ok=True)


def open_run(run_dir: str | os.PathLike, run: specs.RunSpec,
             operative: str) -> None:
    """Writes the config into a folder, or checks that it holds the same run.

    Args:
      run_dir: path of the folder.
      run: RunSpec.
      operative: the operative gin config as text.

    Raises:
      UserError: the folder holds another config, or cannot be written.
    """
    folder = files.path(run_dir)
    create(folder)
    with _writing(folder):
        # A run that was refused before it trained may be corrected in place.
        if is_started(folder):
            _check_same(folder, run)
        else:
            files.write_text(folder / 'operative.gin', operative)
            write_config(folder, run)


def check_shared(run_dir: str | os.PathLike, run: specs.RunSpec,
                 worker: int) -> None:
    """Checks that another worker sees the folder that the chief has opened.

    Args:
      run_dir: path of the folder.
      run: RunSpec of this worker.
      worker: index of this worker.

    Raises:
      UserError: it sees another folder, or has another config.
    """
    if not (files.path(run_dir) / CONFIG).exists():
        raise errors.UserError(
            f'worker {worker} sees no {CONFIG} in --run_dir {run_dir}, where '
            'worker 0 wrote it: give all workers one folder on a disk that '
            'they share, or in a bucket')
    _check_same(files.path(run_dir), run)


def number_of(run: specs.RunSpec) -> int:
    """Returns a number that tells a RunSpec from others, below 2 ** 48, which
    float64 holds."""
    text = json.dumps(_comparable(dataclasses.asdict(run)), sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


@contextlib.contextmanager
def _writing(run_dir):
    try:
        yield
    except OSError as error:
        raise errors.UserError(
            f'--run_dir {run_dir} cannot be written ({error.strerror}): '
            'choose another folder, or free space') from error


def is_started(run_dir: str | os.PathLike) -> bool:
    """Returns whether a run folder holds anything that must not be lost."""
    folder = files.path(run_dir)
    return has_state(folder) or any((folder / name).exists()
                                    for name in (RESULT, WEIGHTS))


def has_state(run_dir: str | os.PathLike) -> bool:
    """Returns whether a training has saved anything in a run folder, to go on
    from."""
    folder = files.path(run_dir)
    return any((folder / name).exists() for name in (
        'state/checkpoint', 'state/best/checkpoint')) or any(
            folder.glob('state/ckpt-*.index'))


def read_result(run_dir: str | os.PathLike) -> dict[str, Any] | None:
    """Returns the result of a finished run, None if it is unfinished."""
    path = files.path(run_dir, RESULT)
    return files.read_json(path) if path.exists() else None


def finished_result(run_dir: str | os.PathLike, run: specs.RunSpec,
                    test: bool = True) -> dict[str, Any] | None:
    """Returns the result of a run if nothing is left to do.

    None if the run is unfinished, or if `test` asks for the test split, which
    the run's first data set names, and it was not evaluated.
    """
    result = read_result(run_dir)
    untested = result and test and run.data[0].test_split and (
        result['test'] is None)
    return None if untested else result


def write_result(run_dir: str | os.PathLike, result: dict[str, Any]) -> None:
    """Marks the run as finished. Written last."""
    files.write_json(files.path(run_dir, RESULT), result)


def write_config(run_dir: str | os.PathLike, run: specs.RunSpec) -> None:
    """Writes which run a folder holds. OSError if it cannot be written."""
    files.write_text(files.path(run_dir, CONFIG), spec_base.to_json(run))


def read_run(run_dir: str | os.PathLike) -> specs.RunSpec:
    """Returns the RunSpec of a run folder. UserError if it is not one."""
    path = files.path(run_dir, CONFIG)
    if not path.exists():
        runs = sorted(path.parent for path in path.parent.glob(
            f'runs/*/{CONFIG}'))
        advice = (f'; it is the folder of an experiment: name one of its runs, '
                  f'such as {runs[-1]}' if runs else '')
        raise errors.UserError(f'{run_dir} is not a run folder: it has no '
                               f'{CONFIG}{advice}')
    return spec_base.from_dict(specs.RunSpec, files.read_json(path))


def commit() -> str:
    """Returns the checkout's commit, '' outside of one."""
    # An installed package may lie in a repository that is not this project's.
    if not _git('ls-files', pathlib.Path(__file__).name):
        return ''
    return _git('describe', '--always', '--dirty', '--abbrev=12')


def _git(*arguments):
    """Returns what git says of this folder, '' if it fails or is not there."""
    try:
        done = subprocess.run(['git', *arguments], capture_output=True,
                              text=True, cwd=pathlib.Path(__file__).parent,
                              check=False)
    except OSError:
        return ''
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Returns {name: version} of what results may depend on.

    '' where a package is not installed under that name.
    """
    return {'ddep_tf': ddep_tf.__version__,
            **{name: _version(name) for name in _PACKAGES},
            'python': platform.python_version()}


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ''  # Another distribution of it, such as tensorflow-tpu.


def _check_same(folder, run):
    # Fields that an earlier version did not have are at their defaults.
    old, new = (_comparable(dataclasses.asdict(spec))
                for spec in (read_run(folder), run))
    if old == new:
        return
    changed = sorted(_differences(old, new, ''))
    raise errors.UserError(
        f'--run_dir {folder} holds a run of another config, which '
        f'differs in {", ".join(changed[:4])}: choose another folder, or '
        'remove this one')


def _comparable(config):
    """Paths are compared by their target, not as they were typed."""
    return {key: str(files.path(value).resolve())
            if key in STARTS and value else value
            for key, value in config.items()}


def _differences(old, new, prefix):
    if isinstance(old, dict) and isinstance(new, dict):
        for key in set(old) | set(new):
            yield from _differences(old.get(key), new.get(key),
                                    f'{prefix}.{key}'.lstrip('.'))
    elif old != new:
        yield prefix
