"""An environment of its own for libtpu and JAX, through which it is reached.

What TensorFlow needs and what they need never has to agree. No TensorFlow.
"""

import os
import pathlib
import shutil
import subprocess
import sys

from ddep_tf import errors, files

# JAX of the month of libtpu.
LIBTPU = '0.0.23'
PACKAGES = ('jax==0.7.2', 'jaxlib==0.7.2', f'libtpu=={LIBTPU}')


def python() -> pathlib.Path:
    """Returns the Python of the environment, which is made where it is
    missing: 900 MB, of which 250 are downloaded.

    Raises:
      UserError: it cannot be made.
    """
    name = '-'.join(p.replace('==', '-') for p in PACKAGES)
    folder = files.cache_folder() / f'{name}-python{sys.version_info.minor}'
    if not folder.exists():
        print(f'making {folder} ...', flush=True)
        try:
            with files.new_folder(folder) as made:
                for command in _commands(made):
                    _run(command)
        except OSError:
            if not folder.exists():  # Another process made it meanwhile.
                raise
    return folder / 'bin' / 'python'


def _commands(folder):
    interpreter = folder / 'bin' / 'python'
    uv = _uv()
    if uv:
        return [[uv, 'venv', '--quiet', '--python', sys.executable, folder],
                [uv, 'pip', 'install', '--quiet', '--python', interpreter,
                 *PACKAGES]]
    return [[sys.executable, '-m', 'venv', folder],
            [interpreter, '-m', 'pip', 'install', '--quiet',
             '--disable-pip-version-check', *PACKAGES]]


def _uv() -> str:
    """Returns the path of uv, beside this Python or on the PATH, or ''."""
    beside = files.path(sys.executable).with_name('uv')
    return str(beside) if beside.exists() else shutil.which('uv') or ''


def _run(command):
    done = subprocess.run([os.fspath(word) for word in command],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ['?']
        raise errors.UserError(
            f'the environment of {", ".join(PACKAGES)} cannot be made '
            f'({lines[-1].strip()}): it needs a package index')
