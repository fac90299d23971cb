"""Serves the TPU chips of this host to a run that another process drives.

  python -m ddep_tf.runtime.tpu_host [PORT]

On a slice of several hosts one TensorFlow process drives all chips, through a
server on each host: `--strategy=tpu --tpu=grpc://HOST0,grpc://HOST1`.
"""

import os
import signal
import sys
from typing import TYPE_CHECKING
import urllib.error
import urllib.request

from ddep_tf.runtime import tpu_chips, tpu_install

if TYPE_CHECKING:
    import tensorflow as tf

PORT = 8470  # TPUClusterResolver's default for an address without a port.
_METADATA = 'http://metadata.google.internal/computeMetadata/v1/instance/'


def serve(port: int = PORT) -> 'tf.distribute.Server':
    """Returns a server of this host's chips, which answers from now on.

    Args:
      port: TCP port.
    """
    import tensorflow as tf  # Not above: job files are written without it.
    # The driving process tells each server which of the hosts it is.
    cluster = tf.train.ClusterSpec({'tpu_worker': [f'localhost:{port}']})
    return tf.distribute.Server(cluster, job_name='tpu_worker', task_index=0)


def set_up() -> None:
    """Sets what libtpu reads: the plugin, and which host of a slice this is.

    Raises:
      UserError: there are chips, and libtpu is not installed.
    """
    if tpu_chips.kinds():
        tpu_install.load_plugin()
        _name_host()


def _name_host():
    """Sets which host of its slice this is, where that is not set.

    Kubernetes Engine gives each pod of a slice the names of all hosts, and its
    own index; its workers take their own name out of that. On a TPU VM the
    metadata server knows, as TensorFlow's own grpc_tpu_worker asks it.
    """
    known = {'TPU_WORKER_ID': os.environ.get('TPU_WORKER_ID', '')}
    hosts = os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')
    if known['TPU_WORKER_ID'].isdigit():
        own = int(known['TPU_WORKER_ID'])
        known['TPU_HOSTNAME_OVERRIDE'] = hosts[own] if own < len(hosts) else ''
    else:
        index = _metadata('attributes/agent-worker-number')
        # Of each host: "unknown:unknown:ADDRESS".
        first = _metadata('attributes/worker-network-endpoints').split(',')[0]
        address = first.rpartition(':')[2]
        known = {
            'TPU_WORKER_ID': index, 'CLOUD_TPU_TASK_ID': index,
            'TPU_HOSTNAME_OVERRIDE': _metadata('network-interfaces/0/ip'),
            'TPU_MESH_CONTROLLER_ADDRESS': address and f'{address}:8476',
            'TPU_MESH_CONTROLLER_PORT': address and '8476'}
    for name, value in known.items():
        if value:
            os.environ.setdefault(name, value)


def _metadata(key):
    """Returns what Google's metadata server says, '' without one."""
    request = urllib.request.Request(
        _METADATA + key, headers={'Metadata-Flavor': 'Google'})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode().strip()
    except (OSError, urllib.error.URLError):
        return ''


def main() -> None:
    """Serves until it is asked to end.

    TensorFlow takes SIGTERM for itself, to tell the driving process of it, and
    would go on holding the chips.
    """
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # Of all threads.
    set_up()
    # Kept: without a reference, it would end.
    server = serve(*map(int, sys.argv[1:]))  # noqa: F841
    signal.sigwait(ends)
    os._exit(0)  # Without waiting for those who are connected.


if __name__ == '__main__':
    main()
