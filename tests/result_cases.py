"""Writes a folder of results with given scores, for tests of reports."""

from collections.abc import Mapping, Sequence
import json
import pathlib

from ddep_tf import files
from ddep_tf.experiments import records

# {(variant, arm): {labels: what each seed has}}
Scores = Mapping[tuple[str, str], Mapping[int, Sequence]]


def write(folder: pathlib.Path, scores: Scores, curves: Scores | None = None,
          denoised: Sequence[tuple[str, str]] = (), **info) -> pathlib.Path:
    """Writes runs.csv, curves.csv and experiment.json; returns the folder.

    Args:
      folder: results/NAME.
      scores: test mIoU in points of each seed.
      curves: {step: val mIoU in points} of each seed.
      denoised: (variant, arm) of each denoising run.
      **info: other entries of experiment.json.
    """
    folder.mkdir(parents=True)
    runs = [_run(side, labels, seed, test)
            for side, counts in scores.items()
            for labels, tests in counts.items()
            for seed, test in enumerate(tests)]
    found = [{**run, 'step': step, 'val': value / 100} for run in runs
             for step, value in _curve(curves, run).items()]
    runs += [{'run': f'denoise-{seed}', 'stage': 'denoise', 'seed': seed,
              'variant': variant, 'arm': arm, 'role': 'pretraining'}
             for seed, (variant, arm) in enumerate(denoised)]
    for name, cls, rows in (('runs.csv', records.RunRow, runs),
                            ('curves.csv', records.CurveRow, found)):
        (folder / name).write_text(
            files.csv_text(records.columns(cls), rows))
    variants = dict.fromkeys(variant for variant, _ in scores if variant)
    (folder / 'experiment.json').write_text(json.dumps({
        'name': folder.name, 'arms': list(dict.fromkeys(
            arm for _, arm in scores)),
        'variants': [{'name': name, 'value': None} for name in variants],
        'done': len(runs), 'planned': len(runs), **info}))
    return folder


def _run(side, labels, seed, test):
    variant, arm = side
    return {'run': f'{variant}-segment-{arm}-n{labels}-s{seed}',
            'stage': 'segment', 'variant': variant, 'arm': arm,
            'setting': labels, 'labels': labels,
            'subset_sha256': f'{labels}-{seed}', 'seed': seed,
            'role': 'final', 'learning_rate': 0.001, 'weight_decay': 0.0,
            'chosen': 1, 'test': test / 100}


def _curve(curves, run):
    sides = (curves or {}).get((run['variant'], run['arm']), {})
    seeds = sides.get(run['labels'], ())
    return seeds[run['seed']] if run['seed'] < len(seeds) else {}
