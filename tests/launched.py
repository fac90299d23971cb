"""Processes that begin where a launcher begins, with TensorFlow imported.

The import takes 8 s of a core. One process does it for all: it imports, and
nothing else, and each launcher is a fork of it.
"""

import atexit
import contextlib
import io
import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

import gcs_server

# The process that imports TensorFlow for all has the environment of this one.
os.environ.update(gcs_server.RETRIES)
_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload(
    ['tensorflow', 'keras', 'orbit', 'tensorflow_datasets', 'scipy.stats'])


class Launched:
    """A started script, with the methods of subprocess.Popen that tests use.

    Attributes:
      pid: of the process.

    Args:
      script: path of a Python file.
      args: of its command line.
      cwd: its working folder.
      environment: its environment variables, all of them.
    """

    def __init__(self, script, args, cwd, environment):
        folder = pathlib.Path(tempfile.mkdtemp(prefix='launched-'))
        self._outputs = folder / 'stdout', folder / 'stderr'
        self._process = _context.Process(target=_run, args=(
            str(script), list(map(str, args)), str(cwd), dict(environment),
            self._outputs))
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def said(self):
        """Returns what it has written to stdout so far."""
        path = self._outputs[0]
        return path.read_text() if path.exists() else ''

    def poll(self):
        return self._process.exitcode

    def communicate(self, timeout=None):
        """Waits for its end; returns what it wrote, (stdout, stderr)."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return tuple(path.read_text() for path in self._outputs)

    def wait(self, timeout=None):
        self.communicate(timeout)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self._process.kill()


def _run(script, args, cwd, environment, outputs):
    """Becomes what `python SCRIPT ARGS` is once its imports are done."""
    for number, path in enumerate(outputs, 1):
        with open(path, 'wb') as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = [script, *args]
    paths = environment.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[:0] = filter(None, [os.path.dirname(script), *paths])
    try:
        runpy.run_path(script, run_name='__main__')
    finally:
        # multiprocessing ends a process without it.
        atexit._run_exitfuncs()
        with contextlib.suppress(io.UnsupportedOperation):
            sys.stdout.flush()
