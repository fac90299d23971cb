"""Serves the TPU chips of this host to a run that another process drives.

  python -m ddep_tf.runtime.tpu_host [PORT]

On a slice of several hosts TensorFlow has one process that drives all chips,
over a server on each host: `--strategy=tpu --tpu=grpc://HOST0,grpc://HOST1`.
"""

import sys

import tensorflow as tf

PORT = 8470  # What TPUClusterResolver asks where an address names none.


def serve(port=PORT):
    """Returns a tf.distribute.Server that has begun to answer.

    Args:
      port: TCP port, an int.
    """
    # The process that drives tells each server which of the hosts it is.
    cluster = tf.train.ClusterSpec({'tpu_worker': [f'localhost:{port}']})
    return tf.distribute.Server(cluster, job_name='tpu_worker', task_index=0)


if __name__ == '__main__':
    serve(*map(int, sys.argv[1:])).join()
