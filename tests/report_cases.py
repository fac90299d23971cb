"""Experiments of random numbers and pictures, for tests of the report."""

import csv
import json

import numpy as np
from PIL import Image

ARMS = ('scratch', 'supervised', 'ddep', 'dep')
COUNTS = (10, 40)
SEEDS = (0, 1, 2)
RATES = (0.001, 0.003)
CLASSES = ('sky', 'road <b>', 'car & bus')
PALETTE = [[128, 128, 128], [128, 64, 128], [64, 0, 128]]


def make_experiment(folder, arms=ARMS, seeds=SEEDS, name='small',
                    counts=COUNTS, classes=CLASSES):
    """Writes an experiment with random numbers and pictures."""
    rng = np.random.default_rng(7)
    folder.mkdir()
    rows = [_row(f'denoise-ddep-s{seed}', 'denoise', 'ddep', '', seed, 1e-3,
                 0, 0.63, '') for seed in seeds]
    for count in counts:
        for seed in seeds:
            for arm in arms:
                rows += _settings_rows(rng, arm, count, seed)
    info = {'name': name, 'title': 'Few <labels> & "pictures" | here',
            'arms': list(arms), 'commit': 'abc123',
            'class_names': list(classes), 'palette': PALETTE,
            'planned': len(rows), 'done': len(rows),
            'spec': {'name': name, 'seeds': list(seeds),
                     'encoder_weights': 'weights/e<1>.npz'}}
    (folder / 'experiment.json').write_text(json.dumps(info))
    (folder / 'operative.gin').write_text('x.steps = 3  # </pre><script>')
    write_csv(folder / 'runs.csv', rows)
    write_csv(folder / 'curves.csv', _curves(rng, rows))
    write_csv(folder / 'per_class.csv', _per_class(rng, rows, classes))
    _subsets(folder, counts, seeds)
    _pictures(folder, rows, rng)
    _measured(folder, rows, len(classes))
    return folder


def _settings_rows(rng, arm, count, seed):
    """The grid at the first seed, one run at the others."""
    rates = RATES if seed == SEEDS[0] else RATES[1:]
    return [_row(f'segment-{arm}-n{count}-s{seed}-lr{rate:g}', 'segment', arm,
                 count, seed, rate, int(rate == RATES[1]), rng.uniform(.2, .5),
                 rng.uniform(.2, .5) if rate == RATES[1] else '')
            for rate in rates]


def _row(run, stage, arm, labels, seed, rate, chosen, val, test):
    role = 'pretraining' if stage != 'segment' else (
        'sweep' if seed == SEEDS[0] else 'final')
    return {'run': run, 'stage': stage, 'variant': '', 'arm': arm, 'width': 1,
            'setting': labels, 'labels': labels,
            'subset_sha256': f'{labels}-{seed}' if labels else '',
            'seed': seed, 'role': role, 'learning_rate': rate,
            'weight_decay': 0.0, 'chosen': chosen, 'steps': 150, 'val': val,
            'test': test, 'single_scale': '', 'pixel_accuracy': '',
            'seconds': 12.5, 'commit': 'abc123'}


def _curves(rng, rows):
    keys = ('run', 'variant', 'arm', 'labels', 'seed', 'learning_rate',
            'chosen')
    return [{**{key: row[key] for key in keys}, 'step': step,
             'val': rng.uniform(.1, .5)}
            for row in rows if row['stage'] == 'segment'
            for step in (50, 100, 150)]


def _per_class(rng, rows, classes):
    return [{**{key: row[key] for key in ('run', 'variant', 'arm',
                                     'labels', 'seed')},
             'class': name,
             'iou': 'nan' if name == 'sky' and row['seed'] else rng.uniform()}
            for row in rows if row['chosen'] for name in classes]


def _subsets(folder, counts, seeds):
    (folder / 'subsets').mkdir()
    for count in counts:
        for seed in seeds:
            (folder / 'subsets' / f'n{count}-s{seed}.json').write_text(
                json.dumps({'seed': seed, 'count': count,
                            'sha256': f'{count}-{seed}',
                            'ids': [f'id_{i}' for i in range(count)]}))


def _pictures(folder, rows, rng):
    denoised, segmented = ('clean', 'noisy', 'denoised'), (
        'image', 'truth', 'prediction')
    for row in rows:
        samples = folder / 'runs' / row['run'] / 'samples'
        if row['stage'] == 'denoise':
            _write_pictures(samples, ['a_image_1'], denoised, rng)
            _write_pictures(samples / 'levels', ['0.11', '0.22', '1'],
                            denoised[1:], rng)
        else:
            _write_pictures(samples, ['a_image_1'], segmented, rng)
        if row['chosen'] and row['test']:
            _write_pictures(samples / 'extremes', ['worst_1', 'worst_2',
                                                   'best_1'], segmented, rng)


def _write_pictures(folder, names, kinds, rng):
    folder.mkdir(parents=True)
    for name in names:
        for kind in kinds:
            channels = () if kind in ('truth', 'prediction') else (3,)
            pixels = rng.integers(0, 3, (24, 32, *channels)).astype(np.uint8)
            pixels[0] = 255
            Image.fromarray(pixels).save(folder / f'{name}_{kind}.png')


# Ids of test images, and their mean IoU.
IMAGES = {'<i>dark</i>': 0.125, '../up': 0.25, 'usual': 0.5, 'clear': 0.75,
          'nothing counts': 'nan'}


def _measured(folder, rows, classes):
    """Writes what each run measured on its test images."""
    for row in rows:
        if not (row['chosen'] and row['test']):
            continue
        run_dir = folder / 'runs' / row['run']
        (run_dir / 'result.json').write_text(json.dumps({
            'test': row['test'], 'test_details': {
                'confusion_matrix': confusion_matrix(
                    classes, row['seed']).tolist()}}))
        write_csv(run_dir / 'per_image.csv', [
            {'id': name, 'mean_iou': score} for name, score in IMAGES.items()])


def confusion_matrix(classes, seed):
    """Returns [C, C]: of row i, 10 + seed pixels right, i + 1 as class 0."""
    matrix = (10 + seed) * np.eye(classes, dtype=int)
    matrix[1:, 0] += np.arange(2, classes + 1)
    return matrix


def write_csv(path, rows):
    with open(path, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
