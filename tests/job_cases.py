"""What tests of jobs share: a stand-in for Python, awkward arguments."""

import json
import os
import pathlib
import subprocess
import sys
import time
import types

# What a shell, Slurm or Kubernetes could interpret.
HARD = ["--gin_param=ExperimentSpec.arms=('ddep',)", '--gin_param=a="b c" \\ d',
        '--run_dir=/mnt/ddep/my runs/$(x) $$y $RUN_INDEX ${HOME} `id` * ;&|',
        "--gin_param=it's $", '--data_dir=$(RUN_INDEX)$$(z)$$']

_STUB = '''#!{python} -S
import json, os, signal, sys, time
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
with open(os.environ['STUB_OUT'] + '.part', 'w') as out:
    json.dump(sys.argv[1:], out)
os.rename(out.name, os.environ['STUB_OUT'])
while os.environ.get('STUB_WAITS') and not asked:
    time.sleep(0.01)
if asked:
    time.sleep(0.3)
    open(os.environ['STUB_OUT'] + '.saved', 'w').close()
    sys.exit(143)
sys.exit(int(os.environ.get('STUB_EXIT', '0')))
'''


def planned(name, level, *needs):
    """A run of a plan, as far as jobs know it."""
    return types.SimpleNamespace(name=name, level=level, needs=needs)


class Stub:
    """A command `python` that records its arguments."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self._out = self.folder / 'argv.json'
        self.program('python', _STUB.format(python=sys.executable))

    def program(self, name, text):
        """Puts a program of this name on the path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def run(self, argv, **environment):
        """Returns (exit code, arguments that arrived or None, stderr)."""
        process = self._start(argv, environment)
        _, err = process.communicate(timeout=30)
        arrived = json.loads(self._out.read_text()) if (
            self._out.exists()) else None
        return process.returncode, arrived, err

    def stop(self, argv, signals, **environment):
        """Starts a command and sends it signals.

        Returns:
          (exit code, whether `python` had saved its state by then).
        """
        process = self._start(argv, {'STUB_WAITS': '1', **environment})
        deadline = time.monotonic() + 30
        while not self._out.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.05)
        process.wait(timeout=30)
        saved = self._out.with_name(self._out.name + '.saved').exists()
        process.communicate(timeout=30)
        return process.returncode, saved

    def _start(self, argv, environment):
        self._out.unlink(missing_ok=True)
        path = f'{self.folder}:{os.environ["PATH"]}'
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={'PATH': path, 'STUB_OUT': str(self._out), **environment})


def expand(text, known):
    """Expands a word of `command` as the reference of Kubernetes says.

    $(NAME) is replaced by a known variable and otherwise kept; $$ becomes $,
    so that $$(NAME) is never replaced.
    """
    out, i = '', 0
    while i < len(text):
        if text.startswith('$$', i):
            out, i = out + '$', i + 2
        elif text.startswith('$(', i) and ')' in text[i:]:
            end = text.index(')', i)
            out += known.get(text[i + 2:end], text[i:end + 1])
            i = end + 1
        else:
            out, i = out + text[i], i + 1
    return out
