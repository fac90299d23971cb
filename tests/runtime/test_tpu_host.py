"""The servers of a slice's hosts, driven by one process. On CPUs: the chips of
a TPU are what is not tested here."""

import http.server
import os
import subprocess
import sys
import threading

import pytest

from ddep_tf.runtime import tpu_chips, tpu_host

import remote_hosts
import tpu_machines

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
NAMES = ('TPU_WORKER_ID', 'TPU_HOSTNAME_OVERRIDE', 'TPU_WORKER_HOSTNAMES',
         'CLOUD_TPU_TASK_ID', 'TPU_MESH_CONTROLLER_ADDRESS',
         'TPU_MESH_CONTROLLER_PORT', 'TF_PLUGGABLE_DEVICE_LIBRARY_PATH',
         'NEXT_PLUGGABLE_DEVICE_USE_C_API', 'TPU_LIBRARY_PATH')


def test_one_process_computes_on_every_host():
    with remote_hosts.serving(2) as (servers, hosts):
        done = subprocess.run([sys.executable, '-c', _DRIVE, hosts],
                              capture_output=True, text=True, check=False,
                              timeout=180)
        for server in servers:
            server.terminate()
            assert server.wait(timeout=30) == 0  # Its chips are free again.
    assert done.stdout.splitlines() == [
        f'/job:worker/replica:0/task:{task}/device:CPU:0' for task in (0, 1)
    ], done.stderr


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """The environment of a host with chips, given back after the test."""
    monkeypatch.setattr(os, 'environ', {
        k: v for k, v in os.environ.items() if k not in NAMES})
    monkeypatch.setattr(tpu_chips, 'ROOT', str(tpu_machines.make(
        tmp_path, [tpu_machines.V5E], ['vfio/0'])))
    library = tmp_path / 'libtpu.so'
    library.touch()
    os.environ['TPU_LIBRARY_PATH'] = str(library)
    return os.environ


@pytest.fixture
def metadata(monkeypatch):
    """A server in place of Google's; returns what it knows, to be filled."""
    known = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            found = known.get(self.path[1:])
            asked = self.headers['Metadata-Flavor'] == 'Google'
            self.send_response(200 if found and asked else 404)
            self.end_headers()
            self.wfile.write((found or '').encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(tpu_host, '_METADATA',
                        f'http://127.0.0.1:{server.server_port}/')
    yield known
    server.shutdown()
    server.server_close()


def test_a_pod_of_a_slice_takes_its_own_name_out_of_all(environment, metadata):
    environment.update(TPU_WORKER_ID='1', TPU_WORKER_HOSTNAMES='a-0.s,a-1.s')
    tpu_host.set_up()
    assert environment['TPU_HOSTNAME_OVERRIDE'] == 'a-1.s'
    assert environment['NEXT_PLUGGABLE_DEVICE_USE_C_API'] == 'true'
    assert (environment['TF_PLUGGABLE_DEVICE_LIBRARY_PATH'] ==
            environment['TPU_LIBRARY_PATH'])
    assert 'CLOUD_TPU_TASK_ID' not in environment


def test_what_a_job_file_has_set_stays(environment, metadata):
    environment.update(TPU_WORKER_ID='1', TPU_HOSTNAME_OVERRIDE='own',
                       TPU_WORKER_HOSTNAMES='a,b')
    tpu_host.set_up()
    assert environment['TPU_HOSTNAME_OVERRIDE'] == 'own'


def test_a_tpu_vm_asks_the_metadata_server(environment, metadata):
    metadata.update({
        'attributes/agent-worker-number': '2',
        'attributes/worker-network-endpoints':
            'unknown:unknown:10.0.0.7,unknown:unknown:10.0.0.9',
        'network-interfaces/0/ip': '10.0.0.9'})
    tpu_host.set_up()
    assert {name: environment.get(name) for name in NAMES[:6]} == {
        'TPU_WORKER_ID': '2', 'CLOUD_TPU_TASK_ID': '2',
        'TPU_HOSTNAME_OVERRIDE': '10.0.0.9', 'TPU_WORKER_HOSTNAMES': None,
        'TPU_MESH_CONTROLLER_ADDRESS': '10.0.0.7:8476',
        'TPU_MESH_CONTROLLER_PORT': '8476'}


def test_elsewhere_nothing_is_set(environment, metadata, monkeypatch):
    before = dict(environment)
    monkeypatch.setattr(tpu_chips, 'ROOT', '/nowhere')
    tpu_host.set_up()
    assert environment == before
