"""Tables and sentences of a report, as plain text for page and Markdown.

A table is a list of rows of strings whose first row is the head.
"""

import csv
import io
import math

from ddep_tf import report_stats

BLANK = '-'
INTERVAL = (
    'A difference is paired: for each seed, the test mIoU of the one arm '
    'minus that of the other on the same labelled subset (same sha256), in '
    'points. '
    'The 95 % interval is mean +- t * s / sqrt(n) with the standard deviation '
    "s (ddof 1) of the n differences and the 0.975 quantile t of Student's "
    't with n - 1 degrees of freedom. It covers what varies with the seed '
    '(subset, initial weights, order, denoising), not the choice of test '
    'images, and is not corrected for several comparisons.')
SCORES = (
    'Test mIoU in points (times 100): mean and standard deviation (ddof 1) '
    'over runs that differ in their seed alone, at the learning rate chosen '
    'for the arm and the number of labels.')


def score_rows(experiment):
    rows = [['Labelled images', 'Arm', 'Test mIoU', 'Std', 'Runs',
             'Learning rate']]
    for score in report_stats.scores(experiment):
        rows.append([str(score.labels), score.arm, _points(score.mean),
                     _points(score.std), str(score.count),
                     ', '.join(f'{rate:g}' for rate in score.learning_rates)])
    return rows


def difference_rows(experiment):
    rows = [['Labelled images', 'Difference', 'Mean', '95 % interval',
             'Pairs']]
    for found in report_stats.differences(experiment):
        rows.append([str(found.labels), f'{found.arm} - {found.minus}',
                     _signed(found.mean), _interval(found), str(found.count)])
    return rows


def class_rows(experiment):
    means = report_stats.class_means(experiment)
    settings = [(labels, arm) for labels in sorted({key[1] for key in means})
                for arm in experiment.arms
                if any(key[1:] == (labels, arm) for key in means)]
    names = list(dict.fromkeys(
        experiment.class_names + [key[0] for key in means]))
    rows = [['Class', *(f'{arm}, {labels}' for labels, arm in settings)]]
    for name in names:
        rows.append([name, *(
            _points(means.get((name, labels, arm), math.nan))
            for labels, arm in settings)])
    return rows


def grid_rows(experiment):
    rows = [['Labelled images', 'Arm', 'Learning rate', 'Val mIoU', 'Chosen']]
    for (labels, arm), runs in report_stats.grids(experiment).items():
        for run in runs:
            rows.append([str(labels), arm, f'{run.learning_rate:g}',
                         _points(100 * run.val), 'yes' if run.chosen else ''])
    return rows


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
    """Returns a sentence per label count on ddep against supervised."""
    lines = []
    for found in report_stats.differences(experiment):
        if (found.arm, found.minus) != ('ddep', 'supervised'):
            continue
        line = (f'With {found.labels} labelled images ddep - supervised is '
                f'{_signed(found.mean)} points of test mIoU')
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
    """Says how the learning rates came about."""
    if report_stats.grids(experiment):
        return ('For each arm and number of labels, the learning rate of the '
                'fine-tuning with the best val mIoU at the first seed was '
                'chosen from the same grid, and kept for all other seeds. The '
                'test split took no part in it.')
    return 'Fine-tuning ran at one learning rate: nothing was chosen.'


def arm_sentences(experiment):
    """Returns {arm: what is pretrained in it}."""
    spec = experiment.info.get('spec', {})
    weights = spec.get('encoder_weights')
    encoder = (f'encoder from {weights}' if weights else
               'encoder pretrained by classification')
    start = (encoder if spec.get('dep_from') == 'supervised'
             else 'random weights')
    return {
        'scratch': 'nothing is pretrained.',
        'supervised': f'{encoder}, decoder random.',
        'ddep': f'{encoder}, then the decoder pretrained by denoising with '
                'the encoder frozen.',
        'dep': f'encoder and decoder pretrained together by denoising, from '
               f'{start}.',
    }


def scores_csv(experiment):
    """Returns scores and differences with all their digits as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['kind', 'labels', 'arm', 'minus', 'mean', 'std', 'low',
                     'high', 'count', 'learning_rate'])
    for row in report_stats.scores(experiment):
        writer.writerow(['miou', row.labels, row.arm, '', _full(row.mean),
                         _full(row.std), '', '', row.count,
                         ' '.join(f'{rate:g}' for rate in row.learning_rates)])
    for row in report_stats.differences(experiment):
        writer.writerow(['difference', row.labels, row.arm, row.minus,
                         _full(row.mean), '', _full(row.low), _full(row.high),
                         row.count, ''])
    return text.getvalue()


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
