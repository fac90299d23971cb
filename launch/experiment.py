r"""Runs a whole experiment, skipping what is done, and reports.

  python launch/experiment.py --gin_file=experiments/demo_shapes.gin
  python launch/experiment.py --gin_file=experiments/demo_shapes.gin --dry_run

Over several machines that share --run_dir, each takes a part:

  python launch/experiment.py --gin_file=... --shard=3/16 --wait=600

Runs that another experiment has finished are not done again:

  python launch/experiment.py --gin_file=... --reuse=runs/cityscapes_main
"""

import functools
import re
import sys

from absl import flags

from ddep_tf import cli

cli.define_config_flags()
cli.define_device_flags()
cli.define_track_flag()
cli.define_data_service_flag()
cli.define_reuse_flag()
cli.define_cost_flags('--dry_run')
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept, results/ for instance; none else.')
flags.DEFINE_bool('one_process', True, 'Do all runs in this process; else each '
                  'in its own, which starts TensorFlow anew.')
flags.DEFINE_string('only', '', 'Do the run of this name alone, and write no '
                    'report.')
flags.DEFINE_string('shard', '', 'I/N: do every Nth run of each level only, '
                    'from the Ith on.')
flags.DEFINE_float('wait', 0, 'Minutes to wait for runs that a run needs and '
                   'other machines do.')
flags.DEFINE_string('parallel', '1', 'Runs at a time, each in a process with '
                    'its share of the cores, or with a GPU of its own; auto '
                    'is one per GPU, or else one per core.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import configure, errors
    from ddep_tf.experiments import reuse
    from ddep_tf.experiments import runner as runner_lib
    from ddep_tf.runtime import stop_signal
    shard, slots = _shard(), _slots()
    if (FLAGS.one_process or FLAGS.only) and not FLAGS.dry_run:
        cli.set_up_devices()
    spec, stages, operative = configure.load_experiment(
        FLAGS.gin_file, FLAGS.gin_param, FLAGS.data_dir)
    if FLAGS.dry_run:
        _describe(spec, stages)
        return
    run_dir = FLAGS.run_dir or f'runs/{spec.name}'
    track = cli.tracking_of(spec.name)
    stop = stop_signal.StopSignal(FLAGS.grace).install()
    whole = runner_lib.Experiment(
        spec, stages, operative, run_dir, FLAGS.data_dir,
        _executor(operative, slots, stop, track), stop,
        reuse.Finished(FLAGS.reuse, cli.is_chief()))
    if FLAGS.only:
        whole.run_one(FLAGS.only, FLAGS.wait)
        return
    try:
        whole.run(shard, FLAGS.wait)
    except (errors.RunsFailed, errors.TrainingStopped, errors.NotReady):
        _report(run_dir)  # Of what there is.
        raise
    _report(run_dir)


def _executor(operative, slots, stop, track):
    """Returns what does the runs: this process, one of each run's own, or
    workers."""
    from ddep_tf.experiments import executors, pool
    from ddep_tf.runtime import tpu_install
    if slots > 1:
        if tpu_install.choose(FLAGS.strategy, FLAGS.tpu) == 'tpu':
            raise _one_at_a_time()
        return pool.Pool(slots, functools.partial(
            executors.make_trainer, functools.partial(
                cli.start_worker, FLAGS.max_image_pixels), operative,
            cli.data_dir_of_service(), FLAGS.strategy, track=track,
            data_service=FLAGS.data_service), stop)
    if FLAGS.one_process or FLAGS.only:
        return executors.in_process(
            operative, cli.data_dir_of_service(), cli.start_tensorflow(), stop,
            track, FLAGS.data_service)
    tpu_install.choose(FLAGS.strategy, FLAGS.tpu)  # Or each run would fail.
    # A TPU serves one process: this one leaves it to those that it starts.
    return executors.by_command([sys.executable, *sys.argv])


def _slots():
    """Returns how many runs --parallel does at a time."""
    from ddep_tf import errors
    from ddep_tf.experiments import shares
    if FLAGS.only and FLAGS.parallel == 'auto':
        return 1
    slots = shares.slots_of(FLAGS.parallel)
    if slots > 1 and (FLAGS.tpu or FLAGS.strategy in ('tpu', 'multi_worker')):
        raise _one_at_a_time()
    if slots > 1 and FLAGS.only:
        raise errors.UserError(f'--parallel={FLAGS.parallel} and --only '
                               'exclude each other: --only does one run')
    return slots


def _one_at_a_time():
    from ddep_tf import errors
    return errors.UserError(
        f'--parallel={FLAGS.parallel} needs --strategy=mirrored or '
        'one_device: a TPU, or a cluster, does one run at a time')


def _shard():
    """Returns (index, count) of --shard, None where it is not given."""
    from ddep_tf import errors
    if not FLAGS.shard:
        return None
    found = re.fullmatch(r'(\d+)/(\d+)', FLAGS.shard)
    index, count = map(int, found.groups()) if found else (0, 0)
    if not 1 <= index <= count:
        raise errors.UserError('--shard must be I/N with I from 1 to N, such '
                               f'as 3/16, got {FLAGS.shard!r}')
    return index, count


def _describe(spec, stages):
    cli.import_tensorflow()  # Operations are counted in TensorFlow's graph.
    from ddep_tf.experiments import dry_run
    print(dry_run.experiment(spec, stages, FLAGS.data_dir, FLAGS.chip,
                              FLAGS.utilisation))


def _report(run_dir):
    from ddep_tf import files
    from ddep_tf.reports import write
    page = write.write_report(run_dir)
    if FLAGS.results_dir:
        write.write_results(run_dir, FLAGS.results_dir)
    print(files.path(run_dir, 'table.md').read_text(encoding='utf-8'))
    print(f'report: {page}')


if __name__ == '__main__':
    cli.main(main)
