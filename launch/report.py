r"""Writes reports again, or counts what an experiment costs.

  python launch/report.py --run_dir=runs/demo_shapes
  python launch/report.py --run_dir=runs/demo_shapes --serve
  python launch/report.py --results_dir=results/camvid_small
  python launch/report.py --claims=results/claims.json --page=docs/evidence.md
  python launch/report.py --figure=evidence.png --panel=results/camvid_small
  python launch/report.py --cost --gin_file=experiments/ade20k_main.gin

--run_dir writes the report of an experiment; --serve shows it to browsers of
this machine alone, until Ctrl-C.
--results_dir alone computes every
mean, interval and figure of a folder of results anew, from its CSV files.
--claims says what the results beside claims.json say of its claims.
--figure draws test mIoU over labelled images, with intervals.
--cost counts parameters and operations of each stage and variant, from the
graph of its train step; no data is needed.
"""

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('run_dir', '', 'Folder of the experiment.')
flags.DEFINE_string('results_dir', '', 'Where to write the table, figures and '
                    'subsets that are kept; none else.')
flags.DEFINE_bool('serve', False, 'With --run_dir: serve the page at '
                  '127.0.0.1, until Ctrl-C.')
flags.DEFINE_integer('port', 0, 'With --serve; 0 is any that is free.',
                     lower_bound=0, upper_bound=65535)
flags.DEFINE_string('claims', '', 'A claims.json: print its table.')
flags.DEFINE_multi_string('page', [], 'With --claims: a Markdown page to write '
                          'the table into. Repeatable.')
flags.DEFINE_string('figure', '', 'A PNG file to write.')
flags.DEFINE_multi_string('panel', [], 'With --figure: FOLDER or '
                          'FOLDER,VARIANT of results. Repeatable.')
flags.DEFINE_bool('cost', False, 'Print what each stage costs, and end.')
flags.DEFINE_multi_string('gin_file', [], 'With --cost: the experiment. '
                          'Repeatable.')
flags.DEFINE_multi_string('gin_param', [], 'NAME=VALUE, bound after the '
                          'files. Repeatable.')
flags.DEFINE_string('data_dir', '', 'With --cost: a folder whose classes.json '
                    'counts the classes; no image is read.')
cli.define_cost_flags('--cost')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    from ddep_tf.reports import write
    if FLAGS.serve and not FLAGS.run_dir:
        raise errors.UserError('--serve needs --run_dir: name an experiment')
    if FLAGS.cost:
        _print_cost()
    elif FLAGS.claims:
        _write_claims()
    elif FLAGS.figure:
        _draw_figure()
    elif FLAGS.run_dir:
        path = write.write_report(FLAGS.run_dir)
        print(f'report: {path}')
        if FLAGS.results_dir:
            write.write_results(FLAGS.run_dir, FLAGS.results_dir)
        if FLAGS.serve:
            _serve(path)
    elif FLAGS.results_dir:
        print(f'results: {write.rewrite_results(FLAGS.results_dir)}')
    else:
        raise errors.UserError('--run_dir is missing: name an experiment, or '
                               'give --results_dir, --claims, --figure or '
                               '--cost')


def _serve(path):
    from ddep_tf.reports import serve
    serve.serve(path, FLAGS.port, lambda address: print(
        f'serving: {address} (Ctrl-C ends it)', flush=True))


def _write_claims():
    from ddep_tf.reports import claims_table
    if not FLAGS.page:
        print(claims_table.block(FLAGS.claims))
    for page in FLAGS.page:
        claims_table.write_page(FLAGS.claims, page)
        print(f'claims: {page}')


def _draw_figure():
    from ddep_tf import errors
    from ddep_tf.reports import evidence_figure
    if not FLAGS.panel:
        raise errors.UserError('--figure needs --panel: name a folder of '
                               'results')
    evidence_figure.draw(FLAGS.panel, FLAGS.figure)
    print(f'figure: {FLAGS.figure}')


def _print_cost():
    from ddep_tf import configure
    from ddep_tf.reports import formats
    _, stages, _ = configure.load_experiment(
        FLAGS.gin_file, FLAGS.gin_param, FLAGS.data_dir or None)
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
