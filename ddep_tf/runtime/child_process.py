"""What processes need that import the same package as this one. No TF."""

import os
import pathlib

import ddep_tf

_ROOT = pathlib.Path(ddep_tf.__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """Returns the environment variables of such a process."""
    paths = (str(_ROOT), os.environ.get('PYTHONPATH', ''))
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, paths))}
