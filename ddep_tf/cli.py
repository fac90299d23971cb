"""What the launchers share: flags, exit codes, one-line errors. No TF."""

from collections.abc import Callable, Iterable
import dataclasses
import errno
import functools
import glob
import json
import os
import re
import sys
from typing import TYPE_CHECKING

from absl import app, flags, logging

from ddep_tf import errors, files, specs

if TYPE_CHECKING:
    import tensorflow as tf

    from ddep_tf.runtime import tracking

OK, FAILED, USER_ERROR, STOPPED, NOT_READY = 0, 1, 2, 3, 4
WORKER_LOST = 75  # A temporary failure, as sysexits.h calls it.
INTERRUPTED, PREEMPTED = 130, 143
FLAGS = flags.FLAGS
# The flags that are paths, of any launcher.
_PATHS = ('claims', 'compare_images', 'data_dir', 'figure', 'gin_file',
          'images', 'init_decoder', 'init_encoder', 'input', 'jobs_dir',
          'manual_dir', 'other', 'output', 'output_dir', 'page', 'panel',
          'results_dir', 'reuse', 'run_dir', 'save_label_ids', 'weights',
          'work_dir')
# What TensorFlow says of a disk that is no longer written.
_DISK_REASONS = ('No space left', 'Read-only file system', 'Permission denied')
# What a network folder says for a while, and then works again.
_PASSING = (errno.EIO, errno.ESTALE, errno.ECONNRESET, errno.EHOSTDOWN)


def define_config_flags() -> None:
    """Flags of every launcher that reads gin."""
    flags.DEFINE_multi_string(
        'gin_file', [], 'A gin file, looked up from the working folder, then '
        'in gin/. Repeatable.')
    flags.DEFINE_multi_string(
        'gin_param', [], 'NAME=VALUE, bound after the files. Repeatable.')
    flags.DEFINE_bool('dry_run', False, 'Parse, build, print the plan and the '
                      'table of variables, train nothing.')


def define_device_flags() -> None:
    """Flags of every launcher that computes."""
    flags.DEFINE_string('run_dir', '', 'Folder of the run; a second start in '
                        'it resumes.')
    flags.DEFINE_string(
        'data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
        'Root folder of the data sets; else $DDEP_DATA_DIR.')
    define_strategy_flags()
    flags.DEFINE_float(
        'grace', 30.0, 'Seconds between SIGTERM and the kill: half of them to '
        'notice it, half to save the state.', lower_bound=1.0)
    define_image_flags()


def define_strategy_flags() -> None:
    """Flags that say on what devices to compute."""
    flags.DEFINE_enum('strategy', 'auto', list(specs.STRATEGIES),
                      'How to distribute.')
    flags.DEFINE_string('tpu', '', 'Name or address of a Cloud TPU.')
    flags.DEFINE_string('zone', '', 'Of a Cloud TPU given by name; else this '
                        "machine's.")
    flags.DEFINE_string('project', '', 'Of a Cloud TPU given by name; else '
                        "this machine's.")


def define_image_flags() -> None:
    """Flags of every launcher that reads images."""
    flags.DEFINE_integer(
        'max_image_pixels', None, 'Images that claim more are refused, since a '
        "damaged file may claim any number; else PIL's 178,956,970.",
        lower_bound=1)


def define_image_size_flag(of: str) -> None:
    """The flag of launchers that fix a size; `of` says of what, and what holds
    without it."""
    flags.DEFINE_string('image_size', '', f'HEIGHT,WIDTH {of}')


def image_size() -> tuple[int, int] | None:
    """Returns (height, width) in pixels of --image_size, None without it.

    Raises:
      UserError: it is something else.
    """
    if not FLAGS.image_size:
        return None
    found = re.fullmatch(r'([1-9]\d*),([1-9]\d*)', FLAGS.image_size)
    if not found:
        raise errors.UserError('--image_size must be HEIGHT,WIDTH in pixels, '
                               f'such as 480,640, got {FLAGS.image_size!r}')
    return int(found[1]), int(found[2])


def define_cost_flags(flag: str) -> None:
    """Flags of the launchers that estimate device hours when given `flag`."""
    flags.DEFINE_string('chip', 'tpu_v4', f'With {flag}: the chip whose hours '
                        'are estimated, of ddep_tf/experiments/cost.py.')
    flags.DEFINE_float('utilisation', 0.4, f'With {flag}: the fraction of its '
                       'peak that it reaches.')


def define_track_flag() -> None:
    """The flag of every launcher that trains."""
    flags.DEFINE_enum('track', None, ['wandb', 'mlflow'], 'Follow the runs in '
                      'Weights & Biases or MLflow too: docs/tracking.md.')


def define_reuse_flag() -> None:
    """The flag of launchers of experiments."""
    flags.DEFINE_multi_string(
        'reuse', [], 'Folder of another experiment: what it has finished of '
        'the same runs is copied, not done again. Repeatable.')


def define_data_service_flag() -> None:
    """The flag of launchers that train and may take batches from others."""
    flags.DEFINE_string(
        'data_service', '', 'HOST:PORT of the dispatcher of launch/'
        'data_service.py, whose workers then make the batches: docs/tpu.md. '
        'Their order is no longer a function of the seed.')


def is_chief() -> bool:
    """Returns whether this process is the one that writes, of the workers of
    --strategy=multi_worker, whom TF_CONFIG names."""
    if FLAGS.strategy != 'multi_worker':
        return True
    try:
        config = json.loads(os.environ.get('TF_CONFIG') or '{}')
        task, cluster = config.get('task', {}), config.get('cluster', {})
        kind = 'chief' if 'chief' in cluster else 'worker'
        return (task.get('type', kind), int(task.get('index', 0))) == (kind, 0)
    except (AttributeError, TypeError, ValueError):
        return True  # The strategy refuses it, and says why.


def data_dir_of_service() -> str:
    """Returns --data_dir as workers of --data_service know it, who start in
    other folders."""
    if not FLAGS.data_service or files.is_bucket(files.path(FLAGS.data_dir)):
        return FLAGS.data_dir
    return os.path.abspath(FLAGS.data_dir)


def tracking_of(group: str = '') -> 'tracking.Tracking | None':
    """Returns where --track follows runs. UserError if it cannot."""
    from ddep_tf.runtime import tracking
    return tracking.chosen(FLAGS.track, group) if FLAGS.track else None


def define_run_flags() -> None:
    """Flags of the launchers that train one stage."""
    define_config_flags()
    define_device_flags()
    define_track_flag()
    define_data_service_flag()
    flags.DEFINE_integer('seed', None, 'Seed of the run; else from gin.')
    flags.DEFINE_string('init_encoder', None, 'Run folder or .npz whose '
                        'encoder is taken.')
    flags.DEFINE_string('init_decoder', None, 'Run folder or .npz whose '
                        'decoder is taken.')


def run_stage(stage: str) -> None:
    """Trains one stage by the flags: the main function of three launchers."""
    from ddep_tf import configure
    set_up_devices()
    run, operative = configure.load_run(
        stage, FLAGS.gin_file, FLAGS.gin_param, FLAGS.data_dir,
        seed=FLAGS.seed,
        init_encoder=FLAGS.init_encoder, init_decoder=FLAGS.init_decoder)
    if not FLAGS.run_dir and not FLAGS.dry_run:
        raise errors.UserError('--run_dir is missing: name a folder for the '
                               'run')
    track = tracking_of()
    strategy = start_tensorflow()
    from ddep_tf.runtime import stop_signal
    from ddep_tf.training import train
    if FLAGS.dry_run:
        print(train.describe(run, FLAGS.data_dir, strategy))
    else:
        train.train(run, operative, FLAGS.run_dir, data_dir_of_service(),
                    strategy,
                    stop=stop_signal.StopSignal(FLAGS.grace).install(),
                    track=track, data_service=FLAGS.data_service)


def named_run() -> specs.RunSpec:
    """Returns the RunSpec in --run_dir."""
    from ddep_tf.runtime import run_folder
    if not FLAGS.run_dir:
        raise errors.UserError('--run_dir is missing: name a finished run')
    set_up_devices()
    return run_folder.read_run(FLAGS.run_dir)


def finished_run() -> specs.RunSpec:
    """Returns the RunSpec in --run_dir, with gin's bindings of EvalSpec."""
    from ddep_tf import configure
    run = named_run()
    evaluation = configure.load_evaluation(
        run.evaluation, FLAGS.gin_file, FLAGS.gin_param)
    return dataclasses.replace(run, evaluation=evaluation)


@functools.cache
def set_up_devices() -> str:
    """Sets what TensorFlow reads when it is imported; returns the strategy.

    Reading a path of gs:// imports it: to be called before.
    """
    from ddep_tf.runtime import tpu_install
    name = tpu_install.choose(FLAGS.strategy, FLAGS.tpu)
    tpu_install.set_up(name, FLAGS.tpu)
    return name


def start_tensorflow() -> 'tf.distribute.Strategy':
    """Imports TensorFlow, quietly, and returns the strategy of the flags."""
    name = set_up_devices()
    start_worker(FLAGS.max_image_pixels)
    from ddep_tf.runtime import strategy
    return strategy.get_strategy(name, FLAGS.tpu, FLAGS.zone, FLAGS.project)


def start_worker(max_image_pixels: int | None) -> None:
    """Imports TensorFlow, and sets the limit of the flag of that name."""
    import_tensorflow()
    if max_image_pixels:
        from ddep_tf.data import image_files
        image_files.set_max_pixels(max_image_pixels)


def import_tensorflow() -> None:
    """Imports TensorFlow without its noise."""
    from ddep_tf.runtime import lean, tpu_install
    _quiet_tensorflow()
    tpu_install.leave_chips()
    if 'tensorflow' not in sys.modules:
        print('starting TensorFlow ...', flush=True)
        with lean.imports():
            import tensorflow  # noqa: F401
    # TensorFlow logs every checkpoint, TFDS warns of its own old names.
    logging.set_verbosity(logging.ERROR)


def _quiet_tensorflow():
    # Without a GPU, TensorFlow's errors are about the missing GPU.
    gpu = glob.glob('/dev/nvidia*') or os.path.exists('/dev/dxg')
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2' if gpu else '3')


def main(function: Callable[[], None]) -> None:
    """Runs `function` after the flags are parsed; exits with its code."""
    _quiet_tensorflow()  # Reading a path of gs:// imports it.
    app.run(lambda argv: sys.exit(_guarded(function)), flags_parser=_parse)


def _parse(argv):
    # absl's own --help exits with 1, and shows the main module's flags only.
    if {'--help', '-help', '-h', '--helpfull'} & set(argv[1:]):
        _print_help()
        sys.exit(OK)
    try:
        rest = FLAGS(argv)
    except flags.Error as error:
        sys.exit(_fail(f'{error} (--help lists the flags)'))
    if len(rest) > 1:
        sys.exit(_fail(f'unknown argument {rest[1]!r}: flags begin with --'))
    return rest


def _print_help():
    texts = [str(sys.modules['__main__'].__doc__)]
    texts += [FLAGS.module_help(module).split('\n', 2)[2]
              for module in FLAGS.flags_by_module_dict()
              if not module.startswith('absl')]
    try:
        print(*texts, sep='\n', flush=True)
    except BrokenPipeError:  # Of `| head`; what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _guarded(function):
    try:
        _check_paths()
        function()
        return OK
    except errors.UserError as error:
        return _fail(error, USER_ERROR)
    except errors.TrainingStopped as error:
        return _fail(error, STOPPED)
    except errors.RunsFailed as error:
        return _fail(error, FAILED)
    except errors.NotReady as error:
        return _fail(error, NOT_READY)
    except errors.Preempted as error:
        return _fail(error, PREEMPTED)
    except errors.WorkerLost as error:
        return _fail(error, WORKER_LOST)
    except KeyboardInterrupt:
        return _fail('interrupted: the same command goes on from the last '
                     'saved state', INTERRUPTED)
    except OSError as error:
        return _fail_at_file(error)
    except Exception as error:  # Of data and states that TensorFlow handles.
        if not _is_of_tensorflow(error):
            raise
        return _fail_in_tensorflow(error)


def refuse(names: Iterable[str], reason: str) -> None:
    """Raises UserError if a flag of these was given, which would be ignored.

    Args:
      names: of flags.
      reason: goes on after the flag.
    """
    for name in names:
        if FLAGS[name].present:
            raise errors.UserError(f'--{name} {reason}: leave it out')


def _check_paths():
    """UserError for a scheme that nothing here reads, before any work."""
    for name in filter(FLAGS.__contains__, _PATHS):
        value = FLAGS[name].value or ''
        for path in [value] if isinstance(value, str) else value:
            files.path(path)


def _is_of_tensorflow(error):
    return 'tensorflow' in sys.modules and isinstance(
        error, sys.modules['tensorflow'].errors.OpError)


def _fail_in_tensorflow(error):
    """Raises the error again if it says nothing to a user."""
    from ddep_tf.runtime import workers
    if lost := workers.loss(error):
        return _fail(f'a worker or TPU was lost ({lost}): start all workers '
                     'again', WORKER_LOST)
    if 'gs://' in str(error):
        from ddep_tf import buckets
        return _fail_at_file(buckets.os_error(error))
    if any(reason in str(error) for reason in _DISK_REASONS):
        return _fail(f'the disk cannot be written: {error}: free space, or '
                     'choose another folder', USER_ERROR)
    raise error


def _fail_at_file(error):
    code, hint = USER_ERROR, 'free space, or choose a folder that can be ' \
        'written'
    is_bucket = files.is_bucket(str(error.filename))
    if is_bucket:
        hint = 'check the name, and what this account may do there'
    if isinstance(error, TimeoutError) or (
            error.errno in _PASSING and not is_bucket):
        code, hint = WORKER_LOST, 'start again, to go on'
    return _fail(f'{error.filename or "a file"}: {error.strerror or error}: '
                 f'{hint}', code)


def _fail(error, code=USER_ERROR):
    line = ' '.join(str(error).split())
    print(f'{os.path.basename(sys.argv[0])}: {line}', file=sys.stderr)
    return code
