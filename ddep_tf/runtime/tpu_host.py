"""Serves the TPU chips of this host to a run that another process drives.

  python -m ddep_tf.runtime.tpu_host [PORT]

On a slice of several hosts one TensorFlow process drives all chips, through a
server on each host: `--strategy=tpu --tpu=grpc://HOST0,grpc://HOST1`.
"""

import os
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
    """Sets TPU_WORKER_ID and TPU_HOSTNAME_OVERRIDE, where they are not set.

    Kubernetes Engine gives each pod of a slice the names of all hosts, and its
    own index; its workers take their own name out of that. Elsewhere Google's
    metadata server knows both, as TensorFlow's own grpc_tpu_worker asks it.
    """
    index = os.environ.get('TPU_WORKER_ID') or _metadata(
        'attributes/agent-worker-number')
    hosts = [h for h in os.environ.get('TPU_WORKER_HOSTNAMES', '').split(',')
             if h]
    if index.isdigit() and int(index) < len(hosts):
        name = hosts[int(index)]
    else:
        name = _metadata('network-interfaces/0/ip')
    if index:
        os.environ.setdefault('TPU_WORKER_ID', index)
    if name:
        os.environ.setdefault('TPU_HOSTNAME_OVERRIDE', name)


def _metadata(key):
    """Returns what Google's metadata server says, '' without one."""
    request = urllib.request.Request(
        _METADATA + key, headers={'Metadata-Flavor': 'Google'})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read().decode().strip()
    except (OSError, urllib.error.URLError):
        return ''


if __name__ == '__main__':
    set_up()
    serve(*map(int, sys.argv[1:])).join()
