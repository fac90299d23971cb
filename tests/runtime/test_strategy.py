"""A TPU that is not there is one line."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.runtime import strategy

import remote_hosts


def test_without_credentials_google_is_not_asked(monkeypatch, tmp_path):
    """Zone and project are given: no metadata server is needed."""
    monkeypatch.setenv('NO_GCE_CHECK', 'true')
    monkeypatch.setenv('CLOUDSDK_CONFIG', str(tmp_path))
    monkeypatch.setenv('GCE_METADATA_IP', '127.0.0.1:1')
    with pytest.raises(errors.UserError,
                       match='^--tpu=my-tpu: .*Credentials.*--project'):
        strategy.get_strategy('tpu', 'my-tpu', 'us-central2-b', 'p')


@pytest.mark.parametrize('config', [
    '{"cluster": ', '[]', '{"cluster": "host0:1", "task": {"index": 0}}',
    '{"cluster": {"worker": ["localhost:1", "localhost:2"]}, '
    '"task": {"type": "worker", "index": 2}}'])
def test_a_malformed_tf_config_is_one_line(monkeypatch, config):
    monkeypatch.setenv('TF_CONFIG', config)
    with pytest.raises(errors.UserError, match='TF_CONFIG .*docs/gpu') as found:
        strategy.get_strategy('multi_worker')
    assert '\n' not in str(found.value)


@pytest.fixture(autouse=True)
def no_hosts(monkeypatch):
    """Forgets the hosts again that a test names."""
    monkeypatch.setattr(strategy, '_driven', [])


def _resolver(port):
    return tf.distribute.cluster_resolver.TPUClusterResolver(
        f'grpc://localhost:{port}')


def test_a_host_that_never_starts_is_said(monkeypatch, capsys):
    monkeypatch.setattr(strategy, 'WAIT_SECONDS', 0.0)
    port = remote_hosts.free_port()
    with pytest.raises(errors.WorkerLost,
                       match=f'no server answers at localhost:{port}'):
        strategy.get_strategy('tpu', f'grpc://localhost:{port}')


def test_a_host_that_starts_late_is_waited_for(capsys):
    port = remote_hosts.free_port()

    def listen():
        time.sleep(1.5)
        with socket.create_server(('localhost', port)) as server:
            server.accept()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    strategy._await_hosts(_resolver(port))
    thread.join()
    assert capsys.readouterr().out.startswith(f'waiting for localhost:{port} ')


def test_a_tpu_of_this_machine_has_no_hosts_to_wait_for():
    strategy._await_hosts(
        tf.distribute.cluster_resolver.TPUClusterResolver('local'))


@pytest.mark.parametrize('environment, threads', [
    ({}, 1), ({'TF_NUM_INTEROP_THREADS': '3'}, 0)])
def test_a_cpu_computes_one_operation_at_a_time(environment, threads):
    """Several at a time are slower and need more memory."""
    script = ('import tensorflow as tf\n'
              'from ddep_tf.runtime import strategy\n'
              'strategy.get_strategy()\n'
              'get = tf.config.threading.get_inter_op_parallelism_threads\n'
              'print(get())')
    found = subprocess.run(
        [sys.executable, '-c', script], capture_output=True, text=True,
        check=True, env={**os.environ, 'CUDA_VISIBLE_DEVICES': '',
                         **environment})
    assert found.stdout.split()[-1] == str(threads)
