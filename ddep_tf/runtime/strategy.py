"""The tf.distribute strategy behind `--strategy`."""

import contextlib
from contextlib import AbstractContextManager as ContextManager
import json
import os
import time

import tensorflow as tf

from ddep_tf import errors, servers, spec_base, specs

WAIT_SECONDS = 600.0  # For the hosts of a slice to start.
_driven: list[str] = []  # Addresses of the hosts that this process drives.
THIS_HOST = '/job:localhost/replica:0/task:0/device:CPU:0'


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
      UserError: an unknown name, no TPU answers, or TF_CONFIG is malformed.
    """
    spec_base.require(name, specs.STRATEGIES, '--strategy')
    # These two before anything asks for the devices.
    if name == 'multi_worker':
        return _multi_worker_strategy()
    if name == 'tpu' or (name == 'auto' and tpu):
        return _tpu_strategy(tpu or 'local', zone, project)
    if name != 'mirrored' and not tf.config.list_physical_devices('GPU'):
        _compute_one_by_one()
    gpus = tf.config.list_logical_devices('GPU')
    if name == 'auto':
        name = 'mirrored' if gpus else 'one_device'
    if name == 'mirrored':
        devices = gpus or tf.config.list_logical_devices('CPU')
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.OneDeviceStrategy('/gpu:0' if gpus else '/cpu:0')


def _compute_one_by_one():
    """Has a CPU compute one operation at a time, on all cores: quicker than
    several that share them, and less is in memory at a time."""
    # TensorFlow takes it before it starts alone; what a user sets stays.
    if not os.environ.get('TF_NUM_INTEROP_THREADS'):
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(1)


def virtual_cpus(count: int) -> tf.distribute.Strategy:
    """Returns a strategy of so many replicas that share the cores of this
    machine. To be called before anything asks for the devices."""
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return tf.distribute.MirroredStrategy(
        [f'/cpu:{i}' for i in range(count)])


def is_remote(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices are those of other processes, which this one drives:
    the hosts of a TPU slice."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return False
    return _job(strategy) not in (None, 'localhost')


def takes_graphs_alone(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices run whole functions, of fixed shapes: TPUs."""
    return is_remote(strategy) or isinstance(strategy,
                                             tf.distribute.TPUStrategy)


def device_type(strategy: tf.distribute.Strategy) -> str:
    """Returns 'CPU', 'GPU' or 'TPU': on what the replicas compute."""
    device = _device(strategy)
    if device is None:
        return 'GPU' if tf.config.list_logical_devices('GPU') else 'CPU'
    return device.device_type


def on_host(strategy: tf.distribute.Strategy) -> ContextManager:
    """Returns the scope in which to call a function that runs on devices.

    Operations run in this process, where its files, its Python and its memory
    are. A function for the devices of other processes starts on the first of
    their hosts, with all that it does besides: this process only sends its
    arguments. Google Cloud's machines cannot call this process back.
    """
    if not is_remote(strategy):
        return contextlib.nullcontext()
    return tf.device(f'/job:{_job(strategy)}/replica:0/task:0')


def save_options(strategy: tf.distribute.Strategy
                 ) -> tf.train.CheckpointOptions:
    """Returns how checkpoints are written: by this process, not by the hosts
    of the variables, each on a disk of its own."""
    device = THIS_HOST if is_remote(strategy) else None
    return tf.train.CheckpointOptions(experimental_io_device=device)


def _device(strategy):
    try:
        device = strategy.extended.worker_devices[0]
    except RuntimeError:  # TensorFlow's default strategy names none.
        return None
    return tf.DeviceSpec.from_string(device)


def _job(strategy):
    device = _device(strategy)
    return device and device.job


def _multi_worker_strategy():
    try:
        config = json.loads(os.environ.get('TF_CONFIG') or '{}')
        if not isinstance(config, dict):
            raise ValueError('it is no JSON object')
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (AttributeError, KeyError, RuntimeError, TypeError,
            ValueError) as error:
        raise errors.UserError(
            'the variable TF_CONFIG names no cluster '
            f'({errors.first_line(error)}): it must be as docs/gpu.md shows it'
        ) from error


def _tpu_strategy(tpu, zone, project):
    resolver = _resolve(tpu, zone, project)
    _await_hosts(resolver)
    try:
        # Without the default, under which all operations ran on host 0.
        tf.config.experimental_connect_to_cluster(
            resolver, make_master_device_default=False)
        return _initialize(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f'no TPU at {tpu!r} ({_reason(error)}): check --tpu, or take '
            '--strategy=one_device') from error


def _await_hosts(resolver):
    """Waits until the server of each host answers. TensorFlow itself would
    wait without an end or a word."""
    end = time.monotonic() + WAIT_SECONDS
    cluster = resolver.cluster_spec().as_dict()
    _driven[:] = cluster.get(resolver.get_job_name(), ())
    for address in _driven:
        error = servers.wait(address, end - time.monotonic())
        if error:
            raise errors.WorkerLost(
                f'--tpu: no server answers at {address} ({error}): start '
                'python -m ddep_tf.runtime.tpu_host on each host')


def silent_host() -> str:
    """Returns the address of a host that this process drives and that does not
    answer, '' if there is none."""
    return next((address for address in _driven
                 if servers.refusal(address)), '')


def _initialize(resolver):
    tf.tpu.experimental.initialize_tpu_system(resolver)
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
            f'({_reason(error)}): check the name, --zone and --project, or '
            'give the hosts, --tpu=grpc://HOST0,grpc://HOST1') from error
    return resolver


def _reason(error):
    """Returns the line of an error that says most."""
    # An error of a graph begins with where its operation was made.
    whole = [line for line in str(error).splitlines()
             if line.strip() and not line.startswith((' ', '\t', '['))]
    if isinstance(error, tf.errors.OpError) and whole:
        return whole[-1]
    return errors.first_line(error)


def check_batch(global_batch_size: int, strategy: tf.distribute.Strategy,
                accumulate: int = 1) -> None:
    """Raises UserError unless the batch divides evenly over the replicas, and
    what each has of it into so many parts."""
    replicas = strategy.num_replicas_in_sync
    if accumulate > 1 and global_batch_size % (replicas * accumulate):
        raise errors.UserError(
            f'RunSpec.global_batch_size {global_batch_size} does not divide '
            f'into {accumulate} parts (RunSpec.accumulate) on each of '
            f'{replicas} replicas: take a multiple of {replicas * accumulate}')
    if global_batch_size % replicas:
        raise errors.UserError(
            f'RunSpec.global_batch_size {global_batch_size} does not divide '
            f'over {replicas} replicas: take a multiple of {replicas}')
