r"""Starts the dispatcher or a worker of a tf.data service.

  python launch/data_service.py --port=5050                        # dispatcher
  python launch/data_service.py --data_service=10.0.0.5:5050       # each worker

A training with --data_service=10.0.0.5:5050 then takes its batches from the
workers, which read the data under the same path: in a bucket, or on a disk
that they share. Anybody who reaches the ports can use them: keep them to a
private network. Ends with Ctrl-C or SIGTERM.
"""

import signal
import socket

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('data_service', '', 'HOST:PORT of the dispatcher that a '
                    'worker serves; none starts a dispatcher.')
flags.DEFINE_integer('port', 0, 'On which it listens; 0 takes a free one.',
                     lower_bound=0, upper_bound=65535)
flags.DEFINE_string('host', '', "This machine's name or address, by which the "
                    'others reach it; else its host name.')
cli.define_image_flags()
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    cli.start_worker(FLAGS.max_image_pixels)
    import tensorflow as tf

    from ddep_tf.data import service as services
    if FLAGS.data_service:
        # TensorFlow's worker would wait for it without an end or a word.
        services.await_dispatcher(FLAGS.data_service)
    service = tf.data.experimental.service
    host = FLAGS.host or socket.gethostname()
    port = FLAGS.port or _free_port()
    # Before there are threads, which would take the signals otherwise.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        if FLAGS.data_service:
            server = service.WorkerServer(service.WorkerConfig(
                FLAGS.data_service, f'{host}:{port}', port))
        else:
            server = service.DispatchServer(service.DispatcherConfig(port))
    except tf.errors.OpError as error:
        raise errors.UserError(
            f'{host}:{port} cannot be served ({error.message}): choose '
            'another --port, or check --data_service') from None
    what = 'worker' if FLAGS.data_service else 'dispatcher'
    print(f'{what} of the data service at {host}:{port}', flush=True)
    # Kept: the server ends with the object.
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    del server


def _free_port():
    with socket.socket() as some:
        some.bind(('', 0))
        return some.getsockname()[1]


if __name__ == '__main__':
    cli.main(main)
