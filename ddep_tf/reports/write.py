"""Reports of an experiment: its page, its tables, and its results folder."""

import math
import os

from ddep_tf import errors
from ddep_tf.reports import read, stats
from ddep_tf.reports import tables as tables_lib

# Files of a results folder; sample pictures are left out on purpose, since
# photographs of the data sets may not be handed on.
RESULTS = read.COPIED


def write_report(exp_dir):
    """Writes report.html, table.{md,tex,csv} and figures/ into `exp_dir`.

    The experiment may be incomplete: what there is gets reported.

    Args:
      exp_dir: folder of an experiment.

    Returns:
      The path of report.html.

    Raises:
      UserError: the folder holds no experiment, or a malformed file.
    """
    from ddep_tf.reports import figures as figures_lib
    from ddep_tf.reports import page
    exp_dir = os.fspath(exp_dir)
    experiment = read.read_experiment(exp_dir)
    figures = os.path.join(exp_dir, 'figures')
    figures_lib.draw_figures(experiment, figures)
    _write(os.path.join(exp_dir, 'table.md'),
           '\n\n'.join(_result_parts(experiment)) + '\n')
    _write_tables(exp_dir, experiment)
    path = os.path.join(exp_dir, 'report.html')
    _write(path, page.build_page(experiment, figures))
    return path


def write_results(exp_dir, results_dir):
    """Writes what was measured into `results_dir`, a folder of its own.

    Tables, config and subsets are copied, figures drawn and README.md
    generated from them. Files of these names that are there and no longer in
    the experiment are removed, so that nothing of two experiments mixes.

    Args:
      exp_dir: folder of an experiment.
      results_dir: results/NAME.

    Returns:
      The path of README.md.

    Raises:
      UserError: there are no runs yet, or `results_dir` is of another
        experiment.
    """
    from ddep_tf.reports import figures as figures_lib
    exp_dir, results_dir = os.fspath(exp_dir), os.fspath(results_dir)
    experiment = read.read_experiment(exp_dir)
    if not experiment.runs:
        raise errors.UserError(f'{exp_dir} has no finished run: nothing to '
                               'write to results')
    _check_results_dir(experiment, results_dir)
    for name in RESULTS:
        _copy(os.path.join(exp_dir, name), os.path.join(results_dir, name))
    subsets = {os.path.basename(path) for folder in (exp_dir, results_dir)
               for path in read.subset_files(folder)}
    for name in subsets:
        _copy(os.path.join(exp_dir, 'subsets', name),
              os.path.join(results_dir, 'subsets', name))
    figures_lib.draw_figures(read.read_experiment(results_dir),
                                os.path.join(results_dir, 'figures'))
    _write_tables(results_dir, read.read_experiment(results_dir))
    path = os.path.join(results_dir, 'README.md')
    _write(path, results_readme(results_dir))
    return path


def _write_tables(folder, experiment):
    """Writes the numbers for other programs: CSV, and LaTeX with booktabs."""
    _write(os.path.join(folder, 'table.csv'),
           tables_lib.scores_csv(experiment))
    tables = [(tables_lib.score_rows(experiment), tables_lib.SCORES),
              (tables_lib.difference_rows(experiment),
               tables_lib.INTERVAL)]
    _write(os.path.join(folder, 'table.tex'), '\n'.join(
        tables_lib.latex(rows, f'{experiment.title}. {caption}')
        for rows, caption in tables if len(rows) > 1))


def results_readme(results_dir):
    """Returns the text of README.md, from the other files of the folder."""
    experiment = read.read_experiment(results_dir)
    parts = [f'# {tables_lib.plain(experiment.title)}',
             '<!-- Generated from the files beside it: do not edit. -->',
             f'{experiment.status}. {_time(experiment)}',
             *_arm_parts(experiment), *_result_parts(experiment),
             *_figure_parts(results_dir), *_class_parts(experiment),
             *_grid_parts(experiment), *_failed_parts(experiment),
             _rerun(experiment)]
    return '\n\n'.join(parts) + '\n'


def _arm_parts(experiment):
    arms = tables_lib.arm_sentences(experiment)
    return ['\n'.join(f'- `{arm}`: {tables_lib.plain(arms.get(arm, ""))}'
                      for arm in experiment.arms)]


def _result_parts(experiment):
    if not experiment.finished():
        return [f'{experiment.status}. No fine-tuned run has been tested yet.',
                tables_lib.markdown(tables_lib.run_rows(experiment))]
    parts = ['## Test mIoU', tables_lib.SCORES,
             tables_lib.markdown(tables_lib.score_rows(experiment))]
    rows = tables_lib.difference_rows(experiment)
    if len(rows) > 1:
        parts += ['## Differences', *map(tables_lib.plain,
                                         tables_lib.headlines(experiment)),
                  tables_lib.markdown(rows),
                  tables_lib.plain(tables_lib.INTERVAL)]
    return parts


def _figure_parts(results_dir):
    from ddep_tf.reports import figures as figures_lib
    alts = {figures_lib.OVER_LABELS: 'Test mIoU over labelled images',
            figures_lib.OVER_VARIANTS: 'Test mIoU over the variants',
            figures_lib.ALONG: 'Val mIoU along the fine-tuning'}
    return [f'![{alt}](figures/{name})' for name, alt in alts.items()
            if os.path.exists(os.path.join(results_dir, 'figures', name))]


def _class_parts(experiment):
    if not experiment.class_scores:
        return []
    return ['## IoU per class', 'Mean over runs on test, in points; columns: '
            'arm, labelled images.',
            tables_lib.markdown(tables_lib.class_rows(experiment))]


def _grid_parts(experiment):
    parts = ['## Learning rate and weight decay',
             tables_lib.grid_sentence(experiment)]
    rows = tables_lib.grid_rows(experiment)
    return parts + [tables_lib.markdown(rows)] if len(rows) > 1 else parts


def _failed_parts(experiment):
    if not experiment.failed:
        return []
    first = next(iter(experiment.failed))
    return ['## Runs that failed',
            tables_lib.markdown(tables_lib.failed_rows(experiment)),
            f'One of them again:\n\n```\n'
            f'{tables_lib.rerun_command(experiment, first)}\n```']


def _rerun(experiment):
    commits = ', '.join(f'`{commit}`'
                        for commit in stats.commits(experiment))
    return ('## How to run it again\n\n```\npython launch/experiment.py '
            f'--gin_file=experiments/{experiment.name}.gin\n```\n\n'
            f'Measured at commit {commits or "not known"}. `runs.csv` has a '
            'row a run, `curves.csv` the course of the fine-tuning, '
            '`per_class.csv` the IoU per class, `table.csv` and '
            '`table.tex` the tables, `subsets/` the labelled '
            'images with their sha256, `operative.gin` every setting.')


def _time(experiment):
    # A run that several variants share has a row in each.
    of_run = {run.run: run.seconds for run in experiment.runs
              if not math.isnan(run.seconds)}
    seconds = math.fsum(of_run.values())
    return f'Computing time of all runs: {seconds / 60:.0f} minutes.'


def _check_results_dir(experiment, results_dir):
    if not os.path.isfile(os.path.join(results_dir, 'experiment.json')):
        return
    there = read.read_experiment(results_dir).name
    if there != experiment.name:
        raise errors.UserError(
            f'{results_dir} holds the results of {there!r}, not of '
            f'{experiment.name!r}: choose another folder')


def _copy(source, target):
    """Copies a text file, or removes the target where there is no source."""
    if os.path.isfile(source):
        with open(source, encoding='utf-8', newline='') as file:
            _write(target, file.read())
    elif os.path.isfile(target):
        os.remove(target)


def _write(path, text):
    try:
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        with open(path + '.part', 'w', encoding='utf-8', newline='') as file:
            file.write(text)
        os.replace(path + '.part', path)
    except OSError as error:
        raise errors.UserError(f'{path} cannot be written: {error.strerror}'
                               ) from None
