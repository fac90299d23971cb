r"""Writes an experiment's report again, from what stands in its folder.

  python launch/report.py --run_dir=runs/demo_shapes
"""

from absl import flags
import cli

flags.DEFINE_string('run_dir', '', 'Folder of the experiment.')
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept; none else.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors, report
    if not FLAGS.run_dir:
        raise errors.UserError('--run_dir is missing: name an experiment')
    print(f'report: {report.write_report(FLAGS.run_dir)}')
    if FLAGS.results_dir:
        report.write_results(FLAGS.run_dir, FLAGS.results_dir)


if __name__ == '__main__':
    cli.main(main)
