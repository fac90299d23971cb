"""The HTML page of a report: one file that loads nothing."""

import itertools
import json
import os

from ddep_tf.reports import figures as figures_lib
from ddep_tf.reports import stats, tables, thumbnails
from ddep_tf.reports.html_elements import details, element, join, page, table

# A table of more classes than this starts folded.
MANY_CLASSES = 40
CHARTS = {
    figures_lib.OVER_LABELS: (
        'Test mIoU over the number of labelled images, a line an arm; the '
        'table above holds the same numbers.', 'wide'),
    figures_lib.OVER_VARIANTS: (
        'Test mIoU over what the variants differ in, a line an arm; the '
        'table above holds the same numbers.', 'wide'),
    figures_lib.ALONG: (
        'Mean mIoU on val along the fine-tuning at the chosen learning rate, '
        'a panel a number of labelled images; thin lines are single seeds.',
        'wide'),
}


def build_page(experiment, figures):
    """Returns the page as a string.

    Args:
      experiment: read.Experiment.
      figures: folder of the PNG files of the curves.
    """
    return page(experiment.title, *_head(experiment), *_results(experiment),
                *_charts(figures), *_classes(experiment),
                *_samples(experiment), *_denoised(experiment),
                *_grid(experiment), *_failed(experiment),
                *_provenance(experiment))


def _head(experiment):
    done, planned = (experiment.info.get(k) for k in ('done', 'planned'))
    partial = '' if done == planned else ' partial'
    spec = experiment.info.get('spec', {})
    arms = tables.arm_sentences(experiment)
    seeds = ', '.join(map(str, spec.get('seeds', ()))) or 'not known'
    return [
        element('h1', experiment.title),
        element('p', element('span', experiment.status,
                             class_=f'status{partial}')),
        element('p', 'Semantic segmentation with few labelled images: what '
                'the pretraining of encoder and decoder does to mIoU. All '
                'arms of a seed are fine-tuned on the same labelled images'
                f'{_steps(experiment)}. Seeds: {seeds}.'),
        element('dl', *itertools.chain.from_iterable(
            (element('dt', arm), element('dd', arms.get(arm, '')))
            for arm in experiment.arms))]


def _steps(experiment):
    steps = {run.steps for run in experiment.runs if run.stage == 'segment'}
    return f' for {steps.pop()} steps' if len(steps) == 1 else ''


def _results(experiment):
    yield element('h2', 'Results')
    if not experiment.finished():
        yield element('p', 'No fine-tuned run has been tested yet.')
        return
    lines = tables.headlines(experiment)
    if lines:
        yield element('ul', *(element('li', line) for line in lines))
    yield table(tables.score_rows(experiment), 'Test mIoU, points',
                names=True)
    yield element('p', tables.SCORES, class_='soft')
    rows = tables.difference_rows(experiment)
    if len(rows) > 1:
        yield table(rows, 'Paired differences in test mIoU, points',
                    names=True)
        yield element('p', tables.INTERVAL, class_='soft')


def _charts(figures):
    found = [name for name in CHARTS
             if os.path.exists(os.path.join(figures, name))]
    if found:
        yield element('h2', 'Curves')
    for name in found:
        alt, class_ = CHARTS[name]
        uri = thumbnails.file_uri(os.path.join(figures, name))
        yield element('div', element('img', src=uri, alt=alt, class_=class_),
                      class_='chart', tabindex='0', role='region',
                      aria_label=alt.split(',')[0])


def _classes(experiment):
    rows = tables.class_rows(experiment)
    if not experiment.class_scores:
        return
    yield element('h2', 'IoU per class')
    box = table(rows, 'Mean IoU on test over runs, points; '
                      'columns: arm, labelled images')
    yield (details(f'{len(rows) - 1} classes', box)
           if len(rows) > MANY_CLASSES else box)


def _samples(experiment):
    """Image, truth and predictions: the first setting open, others folded."""
    groups = [(f'{variant} {labels} labelled images, seed {seed}'.strip(), rows)
              for labels, variant, seed, runs in _settings(experiment)
              if (rows := _sample_rows(experiment, runs))]
    if not groups:
        return
    palette = experiment.info.get('palette', ())
    yield element('h2', 'Samples')
    yield thumbnails.legend(experiment.class_names, palette)
    for index, (summary, rows) in enumerate(groups):
        yield details(summary, *rows, open_=index == 0)


def _settings(experiment):
    """Yields (labels, variant, seed, {arm: Run}), fewest labels first."""
    def key_of(run):
        return run.labels, run.variant, run.seed
    runs = sorted(experiment.finished(), key=key_of)
    for key, group in itertools.groupby(runs, key=key_of):
        yield *key, {run.arm: run for run in group}


def _sample_rows(experiment, runs):
    kinds = ('image', 'truth', 'prediction')
    found = {arm: thumbnails.samples(
        experiment.folder, runs[arm].run, kinds)
        for arm in experiment.arms if arm in runs}
    examples = sorted(set().union(*found.values()))
    return [_sample_row(experiment, example, {
        arm: pictures[example] for arm, pictures in found.items()
        if example in pictures}) for example in examples]


def _sample_row(experiment, example, by_arm):
    """Returns the tiles of an example; by_arm: {arm: {kind: path}}."""
    palette = experiment.info.get('palette', ())
    shared = {}
    for pictures in by_arm.values():
        shared = {**pictures, **shared}
    tiles = []
    if 'image' in shared:
        tiles.append(thumbnails.photo(
            shared['image'], f'photograph {example}', f'image {example}'))
    if 'truth' in shared:
        tiles.append(thumbnails.mask(
            shared['truth'], palette, f'true classes of {example}', 'truth'))
    for arm, pictures in by_arm.items():
        if 'prediction' in pictures:
            tiles.append(thumbnails.mask(
                pictures['prediction'], palette,
                f'classes of {example} as predicted by {arm}', arm))
    return thumbnails.row(tiles)


def _denoised(experiment):
    kinds = ('clean', 'noisy', 'denoised')
    groups = []
    for run in experiment.runs:
        if run.stage != 'denoise':
            continue
        found = thumbnails.samples(experiment.folder, run.run, kinds)
        rows = [thumbnails.row([
            thumbnails.photo(found[example][kind], f'{kind} {example}',
                                  f'{kind} {example}')
            for kind in ('noisy', 'denoised', 'clean')
            if kind in found[example]]) for example in found]
        if rows:
            groups.append((f'{run.arm}, seed {run.seed}', rows))
    if groups:
        yield element('h2', 'Denoising')
    for index, (summary, rows) in enumerate(groups):
        yield details(summary, *rows, open_=index == 0)


def _grid(experiment):
    yield element('h2', 'How learning rate and weight decay were chosen')
    yield element('p', tables.grid_sentence(experiment))
    rows = tables.grid_rows(experiment)
    if len(rows) > 1:
        yield table(rows, 'Val mIoU at the first seed, points', names=True)


def _failed(experiment):
    if not experiment.failed:
        return
    yield element('h2', 'Runs that failed')
    yield table(tables.failed_rows(experiment), 'Left out above')
    yield element('p', 'One of them again: ', element(
        'code', tables.rerun_command(
            experiment, next(iter(experiment.failed)))))


def _provenance(experiment):
    yield element('h2', 'Where it comes from')
    yield element('p', 'Commit: ', element(
        'code', ', '.join(stats.commits(experiment)) or 'not known'))
    if experiment.runs:
        yield details('All runs', table(
            tables.run_rows(experiment), 'Val and test: mIoU in points '
            'for segment, loss for denoise, accuracy for classify'))
    if experiment.subsets:
        yield details('Labelled subsets', *map(_subset, experiment.subsets))
    if experiment.operative_gin:
        yield details('Operative gin config', element(
            'pre', experiment.operative_gin, tabindex='0'))
    if experiment.info.get('spec'):
        yield details('Experiment', element('pre', json.dumps(
            experiment.info['spec'], indent=2, sort_keys=True), tabindex='0'))


def _subset(subset):
    ids = subset.get('ids', ())
    return join(
        element('h3', f'{subset.get("count", len(ids))} images, seed '
                f'{subset.get("seed", "not known")}'),
        element('p', 'sha256 ', element('code', subset.get('sha256', ''))),
        element('p', element('code', ' '.join(map(str, ids)))))
