"""Servers of several hosts, driven by one process. On CPUs: the chips of a TPU
are what is not tested here."""

import contextlib
import socket
import subprocess
import sys

_DRIVE = '''
import sys
import tensorflow as tf
resolver = tf.distribute.cluster_resolver.TPUClusterResolver(sys.argv[1])
tf.config.experimental_connect_to_cluster(resolver)
for device in tf.config.list_logical_devices('CPU'):
    with tf.device(device.name):
        if '/job:worker' in device.name:
            print(tf.add(1, 2).device, flush=True)
'''


def _free_port():
    with socket.socket() as some:
        some.bind(('localhost', 0))
        return some.getsockname()[1]


def test_one_process_computes_on_every_host():
    ports = [_free_port(), _free_port()]
    with contextlib.ExitStack() as stack:
        for port in ports:
            process = stack.enter_context(subprocess.Popen(
                [sys.executable, '-m', 'ddep_tf.runtime.tpu_host', str(port)],
                stderr=subprocess.DEVNULL))
            stack.callback(process.kill)
        hosts = ','.join(f'grpc://localhost:{port}' for port in ports)
        done = subprocess.run([sys.executable, '-c', _DRIVE, hosts],
                              capture_output=True, text=True, check=False,
                              timeout=180)
    assert done.stdout.splitlines() == [
        f'/job:worker/replica:0/task:{task}/device:CPU:0' for task in (0, 1)
    ], done.stderr
