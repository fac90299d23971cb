"""A run whose devices are those of another process, as a TPU slice's are.

A CPU stands for the chips: everything but the TPU's own strategy is as it is
on a slice.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# A script, or a launcher, with this in place of the TPU's strategy.
_DRIVE = '''
import runpy, sys
from ddep_tf.runtime import strategy
def initialize(resolver):
    import tensorflow as tf
    return tf.distribute.OneDeviceStrategy(
        '/job:worker/replica:0/task:0/device:CPU:0')
strategy._initialize = initialize
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def free_port():
    with socket.socket() as some:
        some.bind(('localhost', 0))
        return some.getsockname()[1]


@contextlib.contextmanager
def serving(count=1):
    """Yields the processes of so many hosts, and their addresses."""
    ports = [free_port() for _ in range(count)]
    with contextlib.ExitStack() as stack:
        hosts = []
        for port in ports:
            host = stack.enter_context(subprocess.Popen(
                [sys.executable, '-m', 'ddep_tf.runtime.tpu_host', str(port)],
                stderr=subprocess.DEVNULL))
            stack.callback(host.kill)
            hosts.append(host)
        yield hosts, ','.join(f'grpc://localhost:{port}' for port in ports)


def start(address, script, *args, **kwargs):
    """Starts a script that drives the hosts at an address."""
    return subprocess.Popen(
        [sys.executable, '-c', _DRIVE, str(script), *args,
         '--strategy=tpu', f'--tpu={address}'], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '3'}, **kwargs)


def run(address, script, *args):
    """As `start`; returns (exit code, output, errors) at the end."""
    process = start(address, script, *args)
    out, err = process.communicate(timeout=500)
    return process.returncode, out, err
