"""The tf.distribute strategy behind `--strategy`."""

import tensorflow as tf

from ddep_tf import errors, spec_base, specs


def get_strategy(name: str = 'auto', tpu: str = '') -> tf.distribute.Strategy:
    """Returns a tf.distribute.Strategy.

    Args:
      name: one of specs.STRATEGIES. 'auto' takes the TPU if `tpu` is given,
        otherwise all GPUs, or one device if there are none. 'mirrored'
        without GPUs spreads over the logical CPU devices.
      tpu: name or address of a Cloud TPU; 'local' or '' on a TPU VM.

    Raises:
      UserError: an unknown name, or no TPU answers.
    """
    spec_base.require(name, specs.STRATEGIES, '--strategy')
    if name == 'multi_worker':  # Before anything asks for the devices.
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices('GPU')
    if name == 'auto':
        name = 'tpu' if tpu else 'mirrored' if gpus else 'one_device'
    if name == 'tpu':
        return _tpu_strategy(tpu)
    if name == 'mirrored':
        devices = gpus or tf.config.list_logical_devices('CPU')
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.OneDeviceStrategy('/gpu:0' if gpus else '/cpu:0')


def _tpu_strategy(tpu):
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu or 'local')
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        line = str(error).strip().splitlines()[0] if str(error) else 'no answer'
        raise errors.UserError(
            f'no TPU at {tpu or "local"!r} ({line}): check --tpu, or take '
            '--strategy=one_device') from error
    return tf.distribute.TPUStrategy(resolver)


def check_batch(global_batch_size: int,
                strategy: tf.distribute.Strategy) -> None:
    """Raises UserError unless the batch divides evenly over the replicas."""
    replicas = strategy.num_replicas_in_sync
    if global_batch_size % replicas:
        raise errors.UserError(
            f'RunSpec.global_batch_size {global_batch_size} does not divide '
            f'over {replicas} replicas: take a multiple of {replicas}')
