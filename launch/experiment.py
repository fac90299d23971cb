r"""Runs a whole experiment, skipping what is done, and reports.

  python launch/experiment.py --gin_file=experiments/demo_shapes.gin
"""

from absl import flags
import cli

cli.define_config_flags()
cli.define_device_flags()
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept, results/ for instance; none else.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import configure
    spec, stages, operative = configure.load_experiment(
        FLAGS.gin_file, FLAGS.gin_param)
    run_dir = FLAGS.run_dir or f'runs/{spec.name}'
    from ddep_tf import plan
    if FLAGS.dry_run:
        print(plan.describe(spec, stages, FLAGS.data_dir))
        return
    strategy = cli.start_tensorflow()
    from ddep_tf import experiment, report
    experiment.run(spec, stages, operative, run_dir, FLAGS.data_dir, strategy)
    page = report.write_report(run_dir)
    if FLAGS.results_dir:
        report.write_results(run_dir, FLAGS.results_dir)
    print(open(f'{run_dir}/table.md', encoding='utf-8').read())
    print(f'report: {page}')


if __name__ == '__main__':
    cli.main(main)
