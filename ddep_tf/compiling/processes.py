"""Lowers and compiles programs, each in a process of its own. No TensorFlow."""

from collections.abc import Sequence
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import ddep_tf
from ddep_tf import errors, files, spec_base
from ddep_tf.compiling import chips, environment
from ddep_tf.compiling import program as program_lib
from ddep_tf.runtime import child_process, run_folder

SECONDS = 20 * 60  # Of a core, for a lowering and for a compilation.
# Beside other processes they last longer.
_LIMITED = ('sh', '-c', f'ulimit -S -t {SECONDS}; exec "$@"', 'sh')
_PACKAGE = pathlib.Path(ddep_tf.__file__).resolve().parent
_COMPILER = _PACKAGE / 'compiling' / 'compiler.py'
_USED = re.compile(r'Used ([\d.]+)([KMGT]) of [\d.]+[KMGT] hbm')
_UNITS = {'K': 2 ** -20, 'M': 2 ** -10, 'G': 1.0, 'T': 2 ** 10}  # In GiB.


def compile_for(program: program_lib.Program,
                topology: str) -> program_lib.Compiled:
    """Compiles a program for one chip of a topology.

    Raises:
      UserError: it cannot be lowered or compiled, for another reason than the
        chip's memory or its time.
    """
    chip = chips.CHIPS[chips.parse(topology)[0]]
    python = environment.python()
    try:
        hlo, lower_seconds, lower_host = _lowered(program)
        found = _run([python, _COMPILER, hlo, topology,
                      'megacore' if chip.cores > 1 else ''],
                     'libtpu does not compile the program')
    except TimeoutError:
        return program_lib.Compiled(program_lib.TIMED_OUT)
    took = {'host': max(_gib(found['host']), lower_host),
            'lower_seconds': lower_seconds,
            'compile_seconds': found['seconds']}
    if 'exhausted' in found:
        return program_lib.Compiled(program_lib.TOO_LARGE,
                                    _used(found['exhausted']), **took)
    parts = {name: _gib(found[name])
             for name in ('arguments', 'outputs', 'temporaries', 'code')}
    # The compiler leaves the outputs out of what it checks.
    fits = sum(parts.values()) <= chip.usable_gib
    return program_lib.Compiled(
        program_lib.FITS if fits else program_lib.TOO_LARGE,
        sum(parts.values()), **parts, gflop=found['flops'] / 1e9, **took)


def _lowered(program):
    """Returns the HLO file of a program, and the seconds and GiB it took.

    It is kept, since it serves all chips, until the code of this package or
    the version of a library changes.
    """
    text = spec_base.to_json(program)
    folder = files.cache_folder() / 'hlo'
    folder.mkdir(parents=True, exist_ok=True)
    made_by = json.dumps(run_folder.versions()) + _sources()
    stem = hashlib.sha256((text + made_by).encode()).hexdigest()[:16]
    hlo, took = folder / f'{stem}.hlo', folder / f'{stem}.json'
    if not took.exists():
        source = folder / f'{stem}.program.json'
        files.write_text(source, text)
        found = _run([sys.executable, '-m', 'ddep_tf.compiling.lower', source,
                      hlo], 'TensorFlow does not lower the program')
        files.write_json(took, found)
    found = files.read_json(took)
    return hlo, found['seconds'], _gib(found['host'])


def _sources():
    """Returns a hash of the code of this package."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _run(command: Sequence[str | os.PathLike], failure: str) -> dict:
    """Returns the JSON that a process prints last.

    Raises:
      UserError: it failed; what it said last.
      TimeoutError: it was killed after SECONDS.
    """
    words = [os.fspath(word) for word in command]
    done = subprocess.run(
        [*_LIMITED, *words], capture_output=True, text=True, check=False,
        env={**child_process.environment(), 'CUDA_VISIBLE_DEVICES': ''})
    if done.returncode == -signal.SIGXCPU:
        raise TimeoutError
    if done.returncode < 0:
        raise errors.UserError(f'{failure}: ended by signal '
                               f'{-done.returncode}, perhaps for want of this '
                               "machine's memory")
    if done.returncode:
        raise errors.UserError(f'{failure}: {_last_line(done.stderr)}')
    return json.loads(_last_line(done.stdout))


def _last_line(text):
    return (text.strip().splitlines() or [''])[-1]


def _used(message):
    found = _USED.search(message)
    return float(found[1]) * _UNITS[found[2]] if found else None


def _gib(size):
    return size / 2 ** 30
