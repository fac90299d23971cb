r"""Runs a whole experiment, skipping what is done, and reports.

  python launch/experiment.py --gin_file=experiments/demo_shapes.gin
"""

import sys

from absl import flags
import cli

cli.define_config_flags()
cli.define_device_flags()
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept, results/ for instance; none else.')
flags.DEFINE_bool('one_process', True, 'Do all runs in this process; else each '
                  'in its own, which starts TensorFlow anew.')
flags.DEFINE_string('only', '', 'Do the run of this name alone, and write no '
                    'report.')
flags.DEFINE_bool('test', True, 'With --only: measure the test split too.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import configure, plan
    spec, stages, operative = configure.load_experiment(
        FLAGS.gin_file, FLAGS.gin_param)
    run_dir = FLAGS.run_dir or f'runs/{spec.name}'
    if FLAGS.dry_run:
        print(plan.describe(spec, stages, FLAGS.data_dir))
        return
    only = FLAGS.only and plan.Plan(spec, stages, run_dir,
                                    FLAGS.data_dir).find(FLAGS.only)
    in_process = FLAGS.one_process or bool(only)
    # A TPU serves one process: this one leaves it to those that it starts.
    strategy = cli.start_tensorflow() if in_process else None
    from ddep_tf import experiment
    runner = (
        experiment.in_process(operative, FLAGS.data_dir, strategy)
        if in_process else
        experiment.by_command([sys.executable, *sys.argv]))
    whole = experiment.Experiment(spec, stages, operative, run_dir,
                                  FLAGS.data_dir, runner)
    if only:
        runner(only, whole.plan.folder(only.name), FLAGS.test)
    else:
        whole.run()
        _report(run_dir)


def _report(run_dir):
    from ddep_tf import report
    page = report.write_report(run_dir)
    if FLAGS.results_dir:
        report.write_results(run_dir, FLAGS.results_dir)
    with open(f'{run_dir}/table.md', encoding='utf-8') as table:
        print(table.read())
    print(f'report: {page}')


if __name__ == '__main__':
    cli.main(main)
