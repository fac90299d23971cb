"""Tables and sentences of a report, as plain text for page and Markdown.

A table is a list of rows of strings whose first row is the head.
"""

import csv
import io
import math

from ddep_tf.reports import stats

BLANK = '-'
INTERVAL = (
    'A difference is paired: for each seed, the test mIoU of the one arm '
    'minus that of the other on the same labelled subset (same sha256), in '
    'points. '
    'The 95 % interval is a bootstrap: the 2.5 and 97.5 percentiles of the '
    'means of 10,000 draws, with replacement, from the differences. With '
    'fewer than about 8 pairs it is too narrow. It covers what varies with '
    'the seed (subset, initial weights, order, and the denoising where each '
    'seed has its own), not the choice of test images, and is not corrected '
    'for several comparisons.')
SCORES = (
    'Test mIoU in points (times 100): mean and standard deviation (ddof 1) '
    'over runs that differ in their seed alone, at the learning rate and '
    'weight decay of the arm.')


def score_rows(experiment):
    scores = stats.scores(experiment)
    columns = [('Labelled images', _labels), *_variant_column(experiment),
               ('Arm', lambda s: s.arm), ('Test mIoU', lambda s:
                                          _points(s.mean)),
               ('Std', lambda s: _points(s.std)), ('Runs', _runs),
               ('Single scale', lambda s: _points(s.single_scale)),
               ('Pixel accuracy', lambda s: _points(s.pixel_accuracy)),
               ('Learning rate', lambda s: _rates(s.learning_rates)),
               ('Weight decay', lambda s: _rates(s.weight_decays))]
    rows = [[head for head, _ in columns],
            *([cell(score) for _, cell in columns] for score in scores)]
    return _without_blank(rows, ('Single scale', 'Pixel accuracy'))


def difference_rows(experiment):
    columns = [('Labelled images', lambda d: str(d.labels)),
               *_variant_column(experiment),
               ('Difference', lambda d: f'{d.arm} - {d.minus}'),
               ('Mean', lambda d: _signed(d.mean)),
               ('95 % interval', _interval), ('Pairs', lambda d:
                                              str(d.count))]
    return [[head for head, _ in columns],
            *([cell(found) for _, cell in columns]
              for found in stats.differences(experiment))]


def class_rows(experiment):
    means = stats.class_means(experiment)
    settings = [(variant, labels, arm)
                for labels in sorted({key[2] for key in means})
                for variant in experiment.variants for arm in experiment.arms
                if any(key[1:] == (variant, labels, arm) for key in means)]
    names = list(dict.fromkeys(
        experiment.class_names + [key[0] for key in means]))
    rows = [['Class', *(', '.join(filter(None, (arm, variant, str(labels))))
                        for variant, labels, arm in settings)]]
    for name in names:
        rows.append([name, *(_points(means.get((name, *setting), math.nan))
                             for setting in settings)])
    return rows


def grid_rows(experiment):
    """Val mIoU over weight decay (rows) and learning rate (columns)."""
    grids = stats.grids(experiment).values()
    rates = sorted({run.learning_rate for runs in grids for run in runs})
    variant = _variant_column(experiment)
    rows = [['Labelled images', *(head for head, _ in variant), 'Arm',
             'Weight decay', *(f'Learning rate {rate:g}' for rate in rates)]]
    for runs in grids:
        for decay in sorted({run.weight_decay for run in runs}):
            row = {run.learning_rate: run for run in runs
                   if run.weight_decay == decay}
            rows.append([
                str(runs[0].labels), *(cell(runs[0]) for _, cell in variant),
                runs[0].arm, f'{decay:g}',
                *(_grid_cell(row.get(rate)) for rate in rates)])
    return rows


def _grid_cell(run):
    if run is None:
        return BLANK
    return _points(100 * run.val) + (' (chosen)' if run.chosen else '')


def _variant_column(experiment):
    return [('Variant', lambda row: row.variant)] if (
        len(experiment.variants) > 1) else []


def _without_blank(rows, heads):
    """Leaves out those columns that nothing was measured for."""
    kept = [i for i, head in enumerate(rows[0]) if head not in heads
            or any(row[i] != BLANK for row in rows[1:])]
    return [[row[i] for i in kept] for row in rows]


def _labels(score):
    """'99 (3.33 %)' of a fraction, '10' of a count."""
    if '.' not in score.setting:
        return str(score.labels)
    return f'{score.labels} ({100 * float(score.setting):.3g} %)'


def _runs(score):
    if score.planned in (None, score.count):
        return str(score.count)
    return f'{score.count} of {score.planned}'


def _rates(rates):
    return ', '.join(f'{rate:g}' for rate in rates)


def run_rows(experiment):
    rows = [['Run', 'Steps', 'Learning rate', 'Val', 'Test', 'Seconds']]
    for run in experiment.runs:
        scale = 100 if run.stage == 'segment' else 1
        digits = 1 if run.stage == 'segment' else 4
        steps = BLANK if run.steps is None else str(run.steps)
        rows.append([run.run, steps, f'{run.learning_rate:g}',
                     _points(scale * run.val, digits),
                     _points(scale * run.test, digits),
                     _points(run.seconds, 0)])
    return rows


def headlines(experiment):
    """Returns a sentence per label count and variant on ddep against
    supervised."""
    lines = []
    for found in stats.differences(experiment):
        if (found.arm, found.minus) != ('ddep', 'supervised'):
            continue
        variant = f', {found.variant},' if len(
            experiment.variants) > 1 else ''
        line = (f'With {found.labels} labelled images{variant} ddep - '
                f'supervised is {_signed(found.mean)} points of test mIoU')
        if found.count > 1:
            excludes = found.low > 0 or found.high < 0
            line += (f' (95 % interval {_interval(found)}, {found.count} '
                     f'pairs), which {"excludes" if excludes else "includes"} '
                     'zero.')
        else:
            line += ' (one pair, so no interval).'
        lines.append(line)
    return lines


def grid_sentence(experiment):
    """Says how the learning rates and weight decays came about."""
    if not stats.grids(experiment):
        return ('Fine-tuning ran at one learning rate and weight decay: '
                'nothing was chosen.')
    spec = experiment.info.get('spec', {})
    holdout, at = spec.get('holdout'), spec.get('sweep_at')
    on = (f'{100 * holdout:g} % of the labelled training images, which the '
          "grid's runs did not train on" if holdout else 'the val split')
    where = (f'at the label setting {at:g} alone, and kept for all others'
             if at else 'for each number of labels')
    return ('For each arm (and variant), the learning rate and weight decay '
            'of the fine-tuning with the best mIoU on ' + on + ', at the '
            f'first seed, were chosen from the same grid, {where}, and kept '
            'for all seeds. The test split took no part in it. The table has '
            'the mIoU on the images that were chosen on, in points.')


def failed_rows(experiment):
    rows = [['Run that failed', 'Reason']]
    return rows + [[name, reason]
                   for name, reason in experiment.failed.items()]


def rerun_command(experiment, name):
    """Returns the command that does one run again."""
    return (f'python launch/experiment.py --gin_file=experiments/'
            f'{experiment.name}.gin --only={name}')


def arm_sentences(experiment):
    """Returns {arm: what is pretrained in it}."""
    spec = experiment.info.get('spec', {})
    weights = spec.get('encoder_weights')
    encoder = (f'encoder from {weights}' if weights else
               'encoder pretrained by classification')
    return {
        'scratch': 'nothing is pretrained.',
        'supervised': f'{encoder}, decoder random.',
        'ddep': f'{encoder}, then the decoder pretrained by denoising with '
                'the encoder frozen.',
        'dep': 'encoder and decoder pretrained together by denoising, from '
               'random weights.',
        'dep_supervised': f'{encoder}, then encoder and decoder pretrained '
                          'together by denoising.',
    }


def scores_csv(experiment):
    """Returns scores and differences with all their digits as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['kind', 'variant', 'labels', 'setting', 'arm', 'minus',
                     'mean', 'std', 'low', 'high', 'count', 'single_scale',
                     'pixel_accuracy', 'learning_rate', 'weight_decay'])
    for row in stats.scores(experiment):
        writer.writerow(['miou', row.variant, row.labels, row.setting,
                         row.arm, '', _full(row.mean), _full(row.std), '', '',
                         row.count, _full(row.single_scale),
                         _full(row.pixel_accuracy),
                         ' '.join(f'{rate:g}' for rate in row.learning_rates),
                         ' '.join(f'{rate:g}' for rate in row.weight_decays)])
    for row in stats.differences(experiment):
        writer.writerow(['difference', row.variant, row.labels, '', row.arm,
                         row.minus, _full(row.mean), '', _full(row.low),
                         _full(row.high), row.count, '', '', '', ''])
    return text.getvalue()


def latex(rows, caption):
    """Returns a table for LaTeX with booktabs; numbers stand at the right.

    Args:
      rows: list of rows of strings, the first one the head.
      caption: plain text.
    """
    head, *body = rows
    lines = [' & '.join(map(_tex, line)) + r' \\' for line in rows]
    return '\n'.join([
        r'\begin{table}', r'\centering',
        r'\caption{' + _tex(caption) + '}',
        r'\begin{tabular}{l' + 'r' * (len(head) - 1) + '}', r'\toprule',
        lines[0], r'\midrule', *lines[1:len(body) + 1], r'\bottomrule',
        r'\end{tabular}', r'\end{table}', ''])


_TEX = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}', **{c: '\\' + c for c in '&%$#_{}'}}


def _tex(text):
    return ''.join(_TEX.get(c, c) for c in str(text))


def markdown(rows):
    """Returns a table in Markdown; numbers stand at the right."""
    head, *body = rows
    lines = [head, ['---', *['---:'] * (len(head) - 1)], *body]
    cells = [' | '.join(map(plain, line)) for line in lines]
    return '\n'.join(f'| {line} |' for line in cells)


def plain(text):
    """Returns a text that Markdown takes as one line of text in a cell."""
    text = ' '.join(str(text).split())
    for mark in '\\|`*_[]<>':
        text = text.replace(mark, '\\' + mark)
    return text


def _points(value, digits=1):
    return BLANK if math.isnan(value) else f'{value:.{digits}f}'


def _signed(value):
    return f'{round(value, 1) + 0.0:+.1f}'


def _interval(found):
    if math.isnan(found.low):
        return BLANK
    return f'{_signed(found.low)} to {_signed(found.high)}'


def _full(value):
    return '' if math.isnan(value) else f'{value:.6f}'
