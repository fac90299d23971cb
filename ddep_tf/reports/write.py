"""Writes the report of an experiment: page, tables, and results folder."""

import math
import os
import pathlib

from ddep_tf import errors, files
from ddep_tf.reports import formats, output, read, sentences, stats, tables

# What is copied to a results folder. Sample pictures are left out on purpose:
# the data sets' licenses may not allow passing photos on.
COPIED = ('experiment.json', 'runs.csv', 'curves.csv', 'per_class.csv',
          'operative.gin')


def write_report(exp_dir: str | os.PathLike) -> str:
    """Writes report.html, table.{md,tex,csv} and figures/ into `exp_dir`.

    An experiment that is not finished is reported as far as it is.

    Args:
      exp_dir: folder of an experiment.

    Returns:
      The path of report.html.

    Raises:
      UserError: the folder holds no experiment, a file is malformed, or one
        cannot be written.
    """
    from ddep_tf.reports import figures as figures_lib
    from ddep_tf.reports import method_picture, page
    experiment = read.read_experiment(exp_dir)
    figures = files.path(exp_dir, 'figures')
    figures_lib.draw_figures(experiment, figures)
    method_picture.draw(experiment, figures)
    output.write_text(files.path(exp_dir, 'table.md'),
                      '\n\n'.join(_result_parts(experiment)) + '\n')
    _write_tables(exp_dir, experiment)
    path = files.path(exp_dir, 'report.html')
    output.write_text(path, page.build_page(experiment, figures))
    return os.fspath(path)


def write_results(exp_dir: str | os.PathLike,
                  results_dir: str | os.PathLike) -> str:
    """Writes what was measured into a folder of results/.

    Tables, config and subsets are copied; figures and README.md are generated
    from the copies. Files of an earlier version that the experiment no longer
    has are removed, so that the folder never mixes two versions.

    Args:
      exp_dir: folder of an experiment.
      results_dir: results/NAME.

    Returns:
      The path of README.md.

    Raises:
      UserError: no run is finished, or `results_dir` holds the results of
        another experiment.
    """
    exp_dir, results_dir = files.path(exp_dir), files.path(results_dir)
    experiment = read.read_experiment(exp_dir)
    if not experiment.runs:
        raise errors.UserError(f'{exp_dir} has no finished run: nothing to '
                               'write to results')
    _check_results_dir(experiment, results_dir)
    for name in COPIED:
        _copy(exp_dir / name, results_dir / name)
    subsets = {path.name for folder in (exp_dir, results_dir)
               for path in read.subset_files(folder)}
    for name in subsets:
        _copy(exp_dir / 'subsets' / name, results_dir / 'subsets' / name)
    return rewrite_results(results_dir)


def rewrite_results(results_dir: str | os.PathLike) -> str:
    """Writes what is generated in a folder of results/ from its other files.

    Every mean, interval and figure is computed anew, from runs.csv,
    curves.csv and per_class.csv.

    Args:
      results_dir: results/NAME.

    Returns:
      The path of README.md.

    Raises:
      UserError: the folder holds no results, or a file is malformed or cannot
        be written.
    """
    from ddep_tf.reports import figures as figures_lib
    experiment = read.read_experiment(results_dir)
    figures_lib.draw_figures(experiment, files.path(results_dir, 'figures'))
    _write_tables(results_dir, experiment)
    path = files.path(results_dir, 'README.md')
    output.write_text(path, results_readme(results_dir))
    return os.fspath(path)


def _write_tables(folder: str | os.PathLike,
                  experiment: read.Experiment) -> None:
    """Writes the numbers for other programs: table.csv and table.tex."""
    output.write_text(files.path(folder, 'table.csv'),
                      tables.scores_csv(experiment))
    found = [(tables.score_rows(experiment), sentences.SCORES),
             (tables.difference_rows(experiment), sentences.INTERVAL)]
    output.write_text(files.path(folder, 'table.tex'), '\n'.join(
        formats.latex(rows, f'{experiment.title}. {caption}')
        for rows, caption in found if len(rows) > 1))


def results_readme(results_dir: str | os.PathLike) -> str:
    """Returns the text of README.md, from the other files of the folder."""
    experiment = read.read_experiment(results_dir)
    parts = [f'# {formats.plain(experiment.title)}',
             '<!-- Generated from the files beside it: do not edit. -->',
             f'{experiment.status}. {_time(experiment)}',
             *_arm_parts(experiment), *_result_parts(experiment),
             *_figure_parts(results_dir), *_class_parts(experiment),
             *_grid_parts(experiment), *_failed_parts(experiment),
             _rerun(experiment)]
    return '\n\n'.join(parts) + '\n'


def _arm_parts(experiment):
    return ['\n'.join(f'- `{arm}`: {formats.plain(sentence)}' for arm, sentence
                      in sentences.arms(experiment).items())]


def _result_parts(experiment):
    if not experiment.finished():
        return [f'{experiment.status}. No fine-tuned run has been tested yet.',
                formats.markdown(tables.run_rows(experiment))]
    parts = ['## Test mIoU', sentences.SCORES,
             formats.markdown(tables.score_rows(experiment))]
    rows = tables.difference_rows(experiment)
    if len(rows) > 1:
        parts += ['## Differences',
                  *map(formats.plain, sentences.headlines(experiment)),
                  formats.markdown(rows), formats.plain(sentences.INTERVAL)]
    return parts + _learning_parts(experiment)


def _learning_parts(experiment):
    """For experiments that ask for it: it came after the first results."""
    rows = tables.learning_rows(experiment)
    if not experiment.spec.get('learning_outcomes') or len(rows) == 1:
        return []
    return ['## Along the fine-tuning', formats.markdown(rows),
            formats.plain(sentences.LEARNING)]


def _figure_parts(results_dir):
    from ddep_tf.reports import figures as figures_lib
    alts = {figures_lib.OVER_ARMS: 'Test mIoU of each arm',
            figures_lib.OVER_LABELS: 'Test mIoU over labelled images',
            figures_lib.OVER_VARIANTS: 'Test mIoU over the variants',
            figures_lib.ALONG: 'Val mIoU along the fine-tuning'}
    return [f'![{alt}](figures/{name})' for name, alt in alts.items()
            if files.path(results_dir, 'figures', name).exists()]


def _class_parts(experiment):
    if not experiment.class_scores:
        return []
    return ['## IoU per class', 'Mean over runs on test, in points; columns: '
            'arm, labelled images.',
            formats.markdown(tables.class_rows(experiment))]


def _grid_parts(experiment):
    parts = ['## Learning rate and weight decay', sentences.grid(experiment)]
    rows = tables.grid_rows(experiment)
    return parts + [formats.markdown(rows)] if len(rows) > 1 else parts


def _failed_parts(experiment):
    if not experiment.failed:
        return []
    return ['## Runs that failed',
            formats.markdown(tables.failed_rows(experiment)),
            f'{sentences.RERUN}`{sentences.only_flag(experiment)}`.']


def _rerun(experiment):
    commits = ', '.join(f'`{commit}`'
                        for commit in stats.commits(experiment))
    gin_file = f'experiments/{experiment.name}.gin'
    if not any((root / gin_file).is_file() for root in files.GIN_ROOTS):
        # One's own, whose file nobody else has: the copy.
        gin_file = 'operative.gin'
    return ('## How to run it again\n\n```\npython launch/experiment.py '
            f'--gin_file={gin_file}\n```\n\n'
            f'Measured at commit {commits or "not known"}. `runs.csv` has a '
            'row a run, `curves.csv` the course of the fine-tuning, '
            '`per_class.csv` the IoU per class, `table.csv` and '
            '`table.tex` the tables, `subsets/` the labelled '
            'images with their sha256, `operative.gin` every setting.')


def _time(experiment):
    # A run that several variants share has a row for each of them.
    by_run = {run.run: run.seconds for run in experiment.runs
              if not math.isnan(run.seconds)}
    minutes = math.fsum(by_run.values()) / 60
    return f'Computing time of all runs: {minutes:.0f} minutes.'


def _check_results_dir(experiment, results_dir):
    if not files.path(results_dir, 'experiment.json').is_file():
        return
    other = read.read_experiment(results_dir).name
    if other != experiment.name:
        raise errors.UserError(
            f'{results_dir} holds the results of {other!r}, not of '
            f'{experiment.name!r}: choose another folder')


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copies a file, or removes the target if there is no source."""
    if source.is_file():
        with output.replacing(target) as temporary:
            temporary.write_bytes(source.read_bytes())
    else:
        target.unlink(missing_ok=True)
