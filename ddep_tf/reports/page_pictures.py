"""The pictures of a report's page: predictions, extremes, what is denoised."""

from collections.abc import Iterable, Iterator, Mapping
import itertools

import numpy as np

from ddep_tf.experiments import records
from ddep_tf.reports import comparison, read, run_files, tables, thumbnails
from ddep_tf.reports.html_elements import Html, details, element, table
from ddep_tf.runtime import run_folder

_SEGMENTED = ('image', 'truth', 'prediction')
_DENOISED = ('noisy', 'denoised', 'clean')
Groups = list[tuple[str, list[Html]]]  # (title, its rows of tiles)


def settings(experiment: read.Experiment) -> Iterator[
        tuple[str, int, dict[str, records.RunRow]]]:
    """Yields (name, seed, {arm: run}), fewest labels first."""
    def setting(run):
        return run.labels, run.variant, run.seed
    runs = sorted(experiment.finished(), key=setting)
    for (labels, variant, seed), group in itertools.groupby(runs, setting):
        yield (f'{variant} {labels} labelled images'.strip(), seed,
               {run.arm: run for run in group})


def samples(experiment: read.Experiment) -> Iterator[Html]:
    """Yields image, truth and predictions, and the box that compares them."""
    groups = [(title, rows) for name, seed, runs in settings(experiment)
              if (rows := list(_sample_rows(
                  experiment, title := f'{name}, seed {seed}', runs)))]
    if not groups:
        return
    yield element('h2', 'Samples')
    yield thumbnails.legend(experiment.class_names, experiment.palette)
    yield comparison.build()
    yield from _folded(groups)


def _sample_rows(experiment, group: str,
                 runs: Mapping[str, records.RunRow]) -> Iterator[Html]:
    found = {arm: run_files.pictures(
        experiment.exp_dir, runs[arm].run, _SEGMENTED)
        for arm in experiment.arms if arm in runs}
    for example in sorted(set().union(*found.values())):
        yield _row(experiment.palette, group, example, {
            arm: pictures[example] for arm, pictures in found.items()
            if example in pictures})


def _row(palette, group: str, example: str,
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
    return thumbnails.row(tiles, group)


def extremes(experiment: read.Experiment) -> Iterator[Html]:
    """Yields how single test images fare, and the worst and the best of each
    arm at the first seed of each setting."""
    found = list(settings(experiment))
    scores = list(_score_rows(experiment, found))
    if not scores:
        return
    yield element('h2', 'Worst and best images')
    yield table([['Labelled images', 'Arm', 'Worst', '10 % below', 'Median',
                  '10 % above', 'Best'], *scores],
                'mIoU of single test images, points, over all runs',
                names=True)
    yield element(
        'p', "An image's own mIoU is the mean over the classes that it, or "
        'what is predicted of it, holds. Each run has the list of all its '
        f'images in {run_folder.PER_IMAGE}.', class_='soft')
    yield from _folded(list(_extreme_groups(experiment, found)))


def _score_rows(experiment, found) -> Iterator[list[str]]:
    for name, group in itertools.groupby(found, key=lambda entry: entry[0]):
        by_seed = [runs for _, _, runs in group]
        for arm in experiment.arms:
            values = [score for runs in by_seed if arm in runs
                      for _, score in run_files.image_scores(
                          experiment.exp_dir, runs[arm].run)]
            if values:
                yield [name.removesuffix(' labelled images'), arm,
                       *(tables.points(float(value)) for value in
                         np.percentile(values, (0, 10, 50, 90, 100)))]


def _extreme_groups(experiment, found) -> Iterator[tuple[str, list[Html]]]:
    for name, group in itertools.groupby(found, key=lambda entry: entry[0]):
        _, seed, runs = next(group)
        for arm in (arm for arm in experiment.arms if arm in runs):
            title = f'{arm}, {name}, seed {seed}'
            rows = list(_extreme_rows(experiment, title, runs[arm]))
            if rows:
                yield title, rows


def _extreme_rows(experiment, title: str,
                  run: records.RunRow) -> Iterator[Html]:
    scores = run_files.image_scores(experiment.exp_dir, run.run)
    pictures = run_files.pictures(experiment.exp_dir, run.run, _SEGMENTED,
                                  run_folder.EXTREMES)
    # Equal ones stay in the order of the table, as the pictures do.
    best = sorted(scores, key=lambda row: -row[1])
    for word, ranked in ('worst', scores), ('best', best):
        for rank, (example, score) in enumerate(ranked, 1):
            paths = pictures.get(f'{word}_{rank}')
            if not paths:
                continue
            yield _row(experiment.palette, title, f'{example}, {word}',
                       {f'{run.arm}, mIoU {score:.1f}': paths})


def denoised(experiment: read.Experiment) -> Iterator[Html]:
    """Yields noisy, denoised and clean crops, and one at several levels."""
    groups = [(f'{run.arm}, seed {run.seed}', rows)
              for run in experiment.runs if not run.is_finetuning
              if (rows := [*_level_rows(experiment.exp_dir, run.run),
                           *_denoised_rows(experiment.exp_dir, run.run)])]
    if groups:
        yield element('h2', 'Denoising')
        yield from _folded(groups)


def _level_rows(exp_dir: str, run: str) -> Iterator[Html]:
    kinds = _DENOISED[:2]
    found = run_files.pictures(exp_dir, run, kinds, run_folder.LEVELS)
    tiles = [thumbnails.photo(
        found[level][kind], f'one crop, {kind}, noise {level}',
        f'noise {level}' if kind == 'noisy' else kind)
        for level in sorted(found, key=float)
        for kind in kinds if kind in found[level]]
    if tiles:
        yield element('p', 'One crop at several levels of noise (standard '
                      'deviation, of pixels from -1 to 1):')
        yield thumbnails.row(tiles)


def _denoised_rows(exp_dir: str, run: str) -> Iterator[Html]:
    found = run_files.pictures(exp_dir, run, _DENOISED)
    for example, paths in found.items():
        yield thumbnails.row([thumbnails.photo(
            paths[kind], f'{kind} {example}', f'{kind} {example}')
            for kind in _DENOISED if kind in paths])


def _folded(groups: Iterable[tuple[str, list[Html]]]) -> Iterator[Html]:
    for index, (summary, rows) in enumerate(groups):
        yield details(summary, *rows, open_=index == 0)
