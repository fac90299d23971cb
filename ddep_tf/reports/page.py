"""The HTML page of a report: one file that loads nothing."""

from collections.abc import Collection, Iterator, Mapping
import itertools
import json
import os

from ddep_tf import files
from ddep_tf.data import image_files
from ddep_tf.reports import (
    comparison,
    confusion,
    method_picture,
    page_pictures,
    read,
    sentences,
    stats,
    tables,
    thumbnails,
)
from ddep_tf.reports import figures as figures_lib
from ddep_tf.reports.html_elements import (
    Html,
    details,
    element,
    join,
    page,
    scrolling,
    table,
)

# A table of more classes than this starts folded.
MANY_CLASSES = 40
_CSS_PIXELS = 0.72  # Of a figure's pixels: its text is as large as the page's.
# Texts for those who do not see the figures.
CHARTS = {
    figures_lib.OVER_ARMS:
        'Test mIoU of each arm, with its single runs; the table of results '
        'has the same numbers.',
    figures_lib.OVER_LABELS:
        'Test mIoU over the number of labelled images, one line per arm; the '
        'table of results has the same numbers.',
    figures_lib.OVER_VARIANTS:
        'Test mIoU over the field that the variants differ in, one line per '
        'arm; the table above has the same numbers.',
    figures_lib.ALONG:
        'Mean mIoU on val along the fine-tuning at the chosen learning rate, '
        'one panel per number of labelled images; thin lines are single '
        'seeds.',
}


def build_page(experiment: read.Experiment,
               figures: str | os.PathLike) -> str:
    """Returns the page as a string.

    Args:
      experiment: read.Experiment.
      figures: folder of the PNG files of the curves.
    """
    charts = [name for name in CHARTS if files.path(figures, name).exists()]
    first = method_picture.NAME
    if not files.path(figures, first).exists():
        first = charts.pop(0) if charts else ''
    return page(
        experiment.title, *_head(experiment),
        *_outcome(experiment, figures, first), *_about(experiment),
        *_results(experiment), *_course(experiment, figures, charts),
        *_classes(experiment), *_confusion(experiment),
        *page_pictures.samples(experiment),
        *page_pictures.extremes(experiment),
        *page_pictures.denoised(experiment), *_grid(experiment),
        *_failed(experiment), *_provenance(experiment),
        script=comparison.SCRIPT)


def _head(experiment: read.Experiment) -> list[Html]:
    done, planned = (experiment.info.get(k) for k in ('done', 'planned'))
    partial = '' if done == planned else ' partial'
    return [
        element('h1', experiment.title),
        element('p', element('span', experiment.status,
                             class_=f'status{partial}'))]


def _outcome(experiment: read.Experiment, figures: str | os.PathLike,
             first: str) -> Iterator[Html]:
    """Yields what happened: a sentence, and the first of the pictures."""
    sentence = sentences.outcome(experiment)
    if sentence:
        yield element('p', element('strong', sentence))
    if first:
        yield _chart(figures, first)


def _about(experiment: read.Experiment) -> list[Html]:
    seeds = ', '.join(map(str, experiment.spec.get('seeds', ())))
    return [
        element('p', 'Semantic segmentation with few labelled images: what '
                'the pretraining of encoder and decoder does to mIoU. All '
                'arms of a seed are fine-tuned on the same labelled images'
                f'{_steps(experiment)}. Seeds: {seeds or "not known"}.'),
        element('dl', *itertools.chain.from_iterable(
            (element('dt', arm), element('dd', sentence))
            for arm, sentence in sentences.arms(experiment).items()))]


def _steps(experiment):
    steps = {run.steps for run in experiment.runs if run.is_finetuning}
    return f' for {steps.pop()} steps' if len(steps) == 1 else ''


def _results(experiment: read.Experiment) -> Iterator[Html]:
    yield element('h2', 'Results')
    if not experiment.finished():
        yield element('p', 'No fine-tuned run has been tested yet.')
        return
    lines = sentences.headlines(experiment)
    if lines:
        yield element('ul', *(element('li', line) for line in lines))
    yield table(tables.score_rows(experiment), 'Test mIoU, points',
                names=True)
    yield element('p', sentences.SCORES, class_='soft')
    rows = tables.difference_rows(experiment)
    if len(rows) > 1:
        yield table(rows, 'Paired differences in test mIoU, points',
                    names=True)
        yield element('p', sentences.INTERVAL, class_='soft')


def _course(experiment: read.Experiment, figures: str | os.PathLike,
            charts: Collection[str]) -> Iterator[Html]:
    rows = tables.learning_rows(experiment)
    if charts or len(rows) > 1:
        yield element('h2', 'Curves')
    for name in charts:
        yield _chart(figures, name)
    if len(rows) > 1:
        yield details('How soon an arm is how good', table(
            rows, 'Val mIoU along the fine-tuning, points', names=True),
            element('p', sentences.LEARNING, class_='soft'))


def _chart(figures: str | os.PathLike, name: str) -> Html:
    alt = {method_picture.NAME: method_picture.ALT, **CHARTS}[name]
    path = files.path(figures, name)
    with image_files.opened(path) as image:
        width = round(image.width * _CSS_PIXELS)
    shown = element('img', src=thumbnails.file_uri(path), alt=alt,
                    class_='wide', style=f'--natural: {width}px')
    return scrolling(alt.split(',')[0], shown, class_='chart')


def _classes(experiment: read.Experiment) -> Iterator[Html]:
    if not experiment.class_scores:
        return
    rows = tables.class_rows(experiment)
    yield element('h2', 'IoU per class')
    box = table(rows, 'Mean IoU on test over runs, points; '
                      'columns: arm, labelled images')
    yield (details(f'{len(rows) - 1} classes', box)
           if len(rows) > MANY_CLASSES else box)


def _confusion(experiment: read.Experiment) -> Iterator[Html]:
    """Yields the confusion matrices, over the seeds of each setting."""
    groups = []
    for name, group in itertools.groupby(
            page_pictures.settings(experiment), key=lambda entry: entry[0]):
        by_seed = [runs for _, _, runs in group]
        shown = [
            confusion.build(matrix, experiment.class_names, arm)
            for arm in experiment.arms
            if (matrix := confusion.total(experiment, [
                runs[arm] for runs in by_seed if arm in runs])) is not None]
        if shown:
            groups.append((name, shown))
    if groups:
        yield element('h2', 'Which classes are taken for which')
        yield element('p', 'All test pixels that count, over all seeds.',
                      class_='soft')
    for index, (name, shown) in enumerate(groups):
        yield details(name, element('div', *shown, class_='tables'),
                      open_=index == 0)


def _grid(experiment: read.Experiment) -> Iterator[Html]:
    yield element('h2', 'How learning rate and weight decay were chosen')
    yield element('p', sentences.grid(experiment))
    rows = tables.grid_rows(experiment)
    if len(rows) > 1:
        yield table(rows, 'Val mIoU, points', names=True)


def _failed(experiment: read.Experiment) -> Iterator[Html]:
    if not experiment.failed:
        return
    yield element('h2', 'Runs that failed')
    yield table(tables.failed_rows(experiment), 'Left out above')
    yield element('p', sentences.RERUN, element(
        'code', sentences.only_flag(experiment)))


def _provenance(experiment: read.Experiment) -> Iterator[Html]:
    yield element('h2', 'Code and settings')
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
    if experiment.spec:
        yield details('Experiment', element('pre', json.dumps(
            experiment.spec, indent=2, sort_keys=True), tabindex='0'))


def _subset(subset: Mapping) -> Html:
    ids = subset.get('ids', ())
    return join(
        element('h3', f'{subset.get("count", len(ids))} images, seed '
                f'{subset.get("seed", "not known")}'),
        element('p', 'sha256 ', element('code', subset.get('sha256', ''))),
        element('p', element('code', ' '.join(map(str, ids)))))
