"""The tf.distribute strategy behind `--strategy`."""

import tensorflow as tf

from ddep_tf import errors, spec_base, specs


def get_strategy(name: str = 'auto', tpu: str = '', zone: str = '',
                 project: str = '') -> tf.distribute.Strategy:
    """Returns a tf.distribute.Strategy.

    Args:
      name: one of specs.STRATEGIES. 'auto' takes the TPU if `tpu` is given,
        otherwise all GPUs, or one device if there are none. 'mirrored'
        without GPUs spreads over the logical CPU devices.
      tpu: name or address of a Cloud TPU; 'local' or '' on a TPU VM.
      zone, project: of a Cloud TPU that is given by name; '' are those of
        this machine, if it is one of Google Cloud's.

    Raises:
      UserError: an unknown name, or no TPU answers.
    """
    spec_base.require(name, specs.STRATEGIES, '--strategy')
    # These two before anything asks for the devices.
    if name == 'multi_worker':
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == 'tpu' or (name == 'auto' and tpu):
        return _tpu_strategy(tpu or 'local', zone, project)
    gpus = tf.config.list_logical_devices('GPU')
    if name == 'auto':
        name = 'mirrored' if gpus else 'one_device'
    if name == 'mirrored':
        devices = gpus or tf.config.list_logical_devices('CPU')
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.OneDeviceStrategy('/gpu:0' if gpus else '/cpu:0')


def _tpu_strategy(tpu, zone, project):
    resolver = _resolve(tpu, zone, project)
    try:
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f'no TPU at {tpu!r} ({_first_line(error)}): check --tpu, or take '
            '--strategy=one_device') from error
    return tf.distribute.TPUStrategy(resolver)


def _resolve(tpu, zone, project):
    """Returns the resolver of a TPU; asks Google Cloud for that of a name."""
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu, zone=zone or None, project=project or None)
        resolver.cluster_spec()
    except Exception as error:  # Of urllib, or any of Google's clients.
        raise errors.UserError(
            f'--tpu={tpu}: Google Cloud gives no address of it '
            f'({_first_line(error)}): check the name, --zone and --project, '
            'or give the hosts, --tpu=grpc://HOST0,grpc://HOST1') from error
    return resolver


def _first_line(error):
    return str(error).strip().splitlines()[0] if str(error) else 'no answer'


def check_batch(global_batch_size: int,
                strategy: tf.distribute.Strategy) -> None:
    """Raises UserError unless the batch divides evenly over the replicas."""
    replicas = strategy.num_replicas_in_sync
    if global_batch_size % replicas:
        raise errors.UserError(
            f'RunSpec.global_batch_size {global_batch_size} does not divide '
            f'over {replicas} replicas: take a multiple of {replicas}')
