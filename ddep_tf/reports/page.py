"""The HTML page of a report: one file that loads nothing."""

from collections.abc import Iterator, Mapping
import itertools
import json
import os

from ddep_tf import files
from ddep_tf.experiments import records
from ddep_tf.reports import figures as figures_lib
from ddep_tf.reports import (
    method_picture,
    read,
    sentences,
    stats,
    tables,
    thumbnails,
)
from ddep_tf.reports.html_elements import (
    Html,
    details,
    element,
    join,
    page,
    table,
)

# A table of more classes than this starts folded.
MANY_CLASSES = 40
# Texts for those who do not see the figures.
CHARTS = {
    figures_lib.OVER_LABELS:
        'Test mIoU over the number of labelled images, one line per arm; the '
        'table above has the same numbers.',
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
    return page(experiment.title, *_head(experiment),
                *_method(experiment, figures), *_about(experiment),
                *_results(experiment),
                *_charts(figures), *_classes(experiment),
                *_samples(experiment), *_denoised(experiment),
                *_grid(experiment), *_failed(experiment),
                *_provenance(experiment))


def _head(experiment: read.Experiment) -> list[Html]:
    done, planned = (experiment.info.get(k) for k in ('done', 'planned'))
    partial = '' if done == planned else ' partial'
    return [
        element('h1', experiment.title),
        element('p', element('span', experiment.status,
                             class_=f'status{partial}'))]


def _method(experiment: read.Experiment,
            figures: str | os.PathLike) -> Iterator[Html]:
    path = files.path(figures, method_picture.NAME)
    if path.exists():
        yield element('p', element('strong', sentences.method(experiment)))
        yield _chart(path, method_picture.ALT)


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
    rows = tables.learning_rows(experiment)
    if len(rows) > 1:
        yield table(rows, 'Val mIoU along the fine-tuning, points',
                    names=True)
        yield element('p', sentences.LEARNING, class_='soft')


def _charts(figures: str | os.PathLike) -> Iterator[Html]:
    found = [name for name in CHARTS if files.path(figures, name).exists()]
    if found:
        yield element('h2', 'Curves')
    for name in found:
        yield _chart(files.path(figures, name), CHARTS[name])


def _chart(path: str | os.PathLike, alt: str) -> Html:
    image = element('img', src=thumbnails.file_uri(path), alt=alt,
                    class_='wide')
    return element('div', image, class_='chart', tabindex='0', role='region',
                   aria_label=alt.split(',')[0])


def _classes(experiment: read.Experiment) -> Iterator[Html]:
    if not experiment.class_scores:
        return
    rows = tables.class_rows(experiment)
    yield element('h2', 'IoU per class')
    box = table(rows, 'Mean IoU on test over runs, points; '
                      'columns: arm, labelled images')
    yield (details(f'{len(rows) - 1} classes', box)
           if len(rows) > MANY_CLASSES else box)


def _samples(experiment: read.Experiment) -> Iterator[Html]:
    """Image, truth and predictions; the first setting is unfolded."""
    groups = [(f'{variant} {labels} labelled images, seed {seed}'.strip(), rows)
              for labels, variant, seed, runs in _settings(experiment)
              if (rows := _sample_rows(experiment, runs))]
    if not groups:
        return
    yield element('h2', 'Samples')
    yield thumbnails.legend(experiment.class_names, experiment.palette)
    yield from _folded(groups)


def _settings(experiment: read.Experiment) -> Iterator[
        tuple[int, str, int, dict[str, records.RunRow]]]:
    """Yields (labels, variant, seed, {arm: run}), fewest labels first."""
    def setting(run):
        return run.labels, run.variant, run.seed
    runs = sorted(experiment.finished(), key=setting)
    for (labels, variant, seed), group in itertools.groupby(runs, setting):
        yield labels, variant, seed, {run.arm: run for run in group}


def _sample_rows(experiment, runs: Mapping[str, records.RunRow]) -> list[Html]:
    kinds = ('image', 'truth', 'prediction')
    found = {arm: thumbnails.samples(
        experiment.exp_dir, runs[arm].run, kinds)
        for arm in experiment.arms if arm in runs}
    examples = sorted(set().union(*found.values()))
    return [_sample_row(experiment.palette, example, {
        arm: pictures[example] for arm, pictures in found.items()
        if example in pictures}) for example in examples]


def _sample_row(palette, example: str,
                by_arm: Mapping[str, Mapping[str, str]]) -> Html:
    """Returns the tiles of an example; by_arm: {arm: {kind: path}}."""
    shared: dict[str, str] = {}
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


def _denoised(experiment: read.Experiment) -> Iterator[Html]:
    groups = [(f'{run.arm}, seed {run.seed}', rows)
              for run in experiment.runs if not run.is_finetuning
              if (rows := _denoised_rows(experiment.exp_dir, run.run))]
    if groups:
        yield element('h2', 'Denoising')
        yield from _folded(groups)


def _denoised_rows(exp_dir: str, run: str) -> list[Html]:
    """Returns noisy, denoised and clean crops, [] if the run has none."""
    kinds = ('noisy', 'denoised', 'clean')
    found = thumbnails.samples(exp_dir, run, kinds)
    return [thumbnails.row([
        thumbnails.photo(paths[kind], f'{kind} {example}', f'{kind} {example}')
        for kind in kinds if kind in paths])
        for example, paths in found.items()]


def _folded(groups: list[tuple[str, list[Html]]]) -> Iterator[Html]:
    for index, (summary, rows) in enumerate(groups):
        yield details(summary, *rows, open_=index == 0)


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
    first = next(iter(experiment.failed))
    yield element('p', 'To run one of them again: ', element(
        'code', sentences.rerun_command(experiment, first)))


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
