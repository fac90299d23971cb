"""Serves the TPU chips of this host to a run that another process drives.

  python -m ddep_tf.runtime.tpu_host [PORT]

On a slice of several hosts one TensorFlow process drives all chips, through a
server on each host: `--strategy=tpu --tpu=grpc://HOST0,grpc://HOST1`.
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

PORT = 8470  # TPUClusterResolver's default for an address without a port.


def serve(port: int = PORT) -> 'tf.distribute.Server':
    """Returns a server of this host's chips, which answers from now on.

    Args:
      port: TCP port.
    """
    import tensorflow as tf  # Not above: job files are written without it.
    # The driving process tells each server which of the hosts it is.
    cluster = tf.train.ClusterSpec({'tpu_worker': [f'localhost:{port}']})
    return tf.distribute.Server(cluster, job_name='tpu_worker', task_index=0)


if __name__ == '__main__':
    serve(*map(int, sys.argv[1:])).join()
