r"""Writes an experiment's report again, or counts what an experiment costs.

  python launch/report.py --run_dir=runs/demo_shapes
  python launch/report.py --cost --gin_file=experiments/ade20k_main.gin

--cost counts parameters and operations of each stage and variant, from the
graph of its train step; no data is needed.
"""

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('run_dir', '', 'Folder of the experiment.')
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept; none else.')
flags.DEFINE_bool('cost', False, 'Print what each stage costs, and end.')
flags.DEFINE_multi_string('gin_file', [], 'With --cost: the experiment. '
                          'Repeatable.')
flags.DEFINE_multi_string('gin_param', [], 'NAME=VALUE, bound after the '
                          'files. Repeatable.')
cli.define_cost_flags('--cost')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    from ddep_tf.reports import write
    if FLAGS.cost:
        _print_cost()
        return
    if not FLAGS.run_dir:
        raise errors.UserError('--run_dir is missing: name an experiment, or '
                               'give --cost and --gin_file')
    print(f'report: {write.write_report(FLAGS.run_dir)}')
    if FLAGS.results_dir:
        write.write_results(FLAGS.run_dir, FLAGS.results_dir)


def _print_cost():
    from ddep_tf import configure
    from ddep_tf.reports import formats
    _, stages, _ = configure.load_experiment(FLAGS.gin_file, FLAGS.gin_param)
    cli.import_tensorflow()
    from ddep_tf.experiments import cost
    runs = [(variant or 'all', run) for variant, templates in stages.items()
            for run in templates.values()]
    rows = cost.table(runs, FLAGS.chip, FLAGS.utilisation)
    print(formats.markdown(rows))
    print()
    for sentence in cost.sentences(FLAGS.chip, FLAGS.utilisation):
        print(f'- {sentence}')


if __name__ == '__main__':
    cli.main(main)
