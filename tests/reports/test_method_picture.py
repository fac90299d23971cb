"""The sentence and the picture at the top of a report's page."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from ddep_tf.experiments import records
from ddep_tf.reports import (
    method_picture,
    method_samples,
    read,
    sentences,
    write,
)

pytestmark = pytest.mark.quick

COLUMNS = [field.name for field in dataclasses.fields(records.RunRow)]
PALETTE = [[0, 0, 0], [0, 128, 255], [255, 192, 0]]
SCRATCH = (0.40, 0.42, 0.44)


def _experiment(folder, scores, pictures=True):
    """An experiment of `scores`: {arm: test mIoU of seeds 0, 1, ...}."""
    folder.mkdir()
    rows = [_row(f'denoise-{arm}-s0', 'denoise', arm, 0)
            for arm in scores if arm not in ('scratch', 'supervised')]
    rows += [_row(f'segment-{arm}-n5-s{seed}', 'segment', arm, seed, test=test,
                  chosen=1, labels=5, setting=5, subset_sha256=f'subset{seed}')
             for arm, tests in scores.items()
             for seed, test in enumerate(tests)]
    with open(folder / 'runs.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, COLUMNS, restval='')
        writer.writeheader()
        writer.writerows(rows)
    (folder / 'experiment.json').write_text(json.dumps({
        'name': 'small', 'arms': list(scores), 'palette': PALETTE,
        'class_names': ['background', 'nucleus', 'outline'],
        'done': len(rows), 'planned': len(rows),
        'spec': {'seeds': list(range(len(SCRATCH)))}}))
    if pictures:
        for row in rows:
            _samples(folder / 'runs' / row['run'] / 'samples', row['stage'])
    return folder


def _row(run, stage, arm, seed, **others):
    return {'run': run, 'stage': stage, 'arm': arm, 'seed': seed, 'width': 1,
            'role': 'pretraining' if stage == 'denoise' else 'final',
            'learning_rate': 0.001, 'weight_decay': 0,
            'chosen': 1, 'steps': 10, 'val': 0.5, **others}


def _samples(folder, stage, names=('a', 'b', 'c')):
    """Images of 32 x 48; the denoising saw the 16 x 16 in their middle."""
    folder.mkdir(parents=True)
    for index, name in enumerate(names):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 256, (32, 48, 3), np.uint8)
        clean = image[8:24, 16:32]
        # Of 'b', the truth is one class: it shows least.
        truth = rng.integers(0, 1 if name == 'b' else 3, (32, 48), np.uint8)
        pictures = {'denoise': {'clean': clean, 'noisy': 255 - clean,
                                'denoised': clean // 2},
                    'segment': {'image': image, 'truth': truth,
                                'prediction': truth // 2}}[stage]
        for kind, pixels in pictures.items():
            Image.fromarray(pixels).save(folder / f'{name}_{kind}.png')


def _page(folder):
    return pathlib.Path(write.write_report(folder)).read_text('utf-8')


def _sentence(folder, scores):
    return sentences.method(read.read_experiment(
        _experiment(folder, scores, pictures=False)))


@pytest.mark.parametrize('dep, expected', [
    # Every pair differs by the same: the interval is a point.
    ((0.50, 0.52, 0.54),
     'a test mIoU of 52.0, against 42.0 without it (scratch) (3 seeds; '
     'difference +10.0 points, 95 % interval +10.0 to +10.0, which excludes '
     'zero).'),
    ((0.35, 0.37, 0.39),
     'a test mIoU of 37.0, against 42.0 without it (scratch) (3 seeds; '
     'difference -5.0 points, 95 % interval -5.0 to -5.0, which excludes '
     'zero).'),
    # Differences -3, 0, +6: the percentiles of 3 draws are the extremes.
    ((0.37, 0.42, 0.50),
     'a test mIoU of 43.0, against 42.0 without it (scratch) (3 seeds; '
     'difference +1.0 points, 95 % interval -3.0 to +6.0, which includes '
     'zero).'),
    # Only seeds that both arms have are told of.
    ((0.50,),
     'a test mIoU of 50.0, against 40.0 without it (scratch) (one seed, so '
     'no interval; difference +10.0 points).')])
def test_the_sentence_says_what_was_measured(tmp_path, dep, expected):
    assert _sentence(tmp_path / 'exp', {'scratch': SCRATCH, 'dep': dep}) == (
        'With 5 labelled images, denoising first (dep) gives ' + expected)


def test_the_sentence_names_what_the_arm_is_compared_with(tmp_path):
    found = _sentence(tmp_path / 'a', {
        'scratch': SCRATCH, 'supervised': SCRATCH, 'ddep': (0.5, 0.5, 0.5)})
    assert '(ddep)' in found and 'without it (supervised)' in found
    # `dep` lacks the supervised encoder: more than denoising differs.
    found = _sentence(tmp_path / 'b', {'supervised': SCRATCH,
                                       'dep': (0.5, 0.5, 0.5)})
    assert '(dep)' in found and '42.0 for supervised (3 seeds' in found
    assert _sentence(tmp_path / 'c', {'scratch': SCRATCH}) == ''
    assert _sentence(tmp_path / 'd', {'scratch': SCRATCH, 'dep': ()}) == ''


def test_the_same_samples_give_the_same_picture_on_top_of_the_page(tmp_path):
    scores = {'scratch': SCRATCH, 'dep': (0.5, 0.52, 0.54)}
    pictures = []
    for name in ('a', 'b'):
        folder = _experiment(tmp_path / name, scores)
        page = _page(folder)
        pictures.append((folder / 'figures/method.png').read_bytes())
        sentence = sentences.method(read.read_experiment(folder))
        assert page.index(sentence) < page.index('<h2>')
        assert page.count(method_picture.ALT) == 1
    assert pictures[0] == pictures[1]


def test_the_picture_shows_every_panel_of_the_richest_images(tmp_path):
    folder = _experiment(tmp_path / 'exp', {'scratch': SCRATCH,
                                            'dep': (0.5, 0.52, 0.54)})
    found = method_samples.collect(read.read_experiment(folder), 2)
    assert (found.labels, found.seed) == (5, 0)
    assert found.scores == pytest.approx({'scratch': 42.0, 'dep': 52.0})
    # Of three, without 'b'.
    for example, seed in zip(found.examples, (0, 2), strict=True):
        image = np.random.default_rng(seed).integers(0, 256, (32, 48, 3),
                                                     np.uint8)
        region = image[8:24, 16:32]
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(example.noisy, 255 - region)
        np.testing.assert_array_equal(example.denoised, region // 2)
        assert example.corner == (8, 16)
        assert list(example.predictions) == ['scratch', 'dep']
        assert example.truth.shape == (16, 16)
        for predicted in example.predictions.values():
            np.testing.assert_array_equal(predicted, example.truth // 2)


def _remove(folder, pattern):
    for path in folder.glob(pattern):
        path.unlink()


def _other_region(folder):
    for path in folder.glob('runs/denoise-*/samples/*_clean.png'):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path)


@pytest.mark.parametrize('damage', [
    lambda folder: _remove(folder, 'runs/denoise-*/samples/*'),
    lambda folder: _remove(folder, 'runs/*/samples/*_denoised.png'),
    lambda folder: _remove(folder, 'runs/segment-dep-*/samples/*'),
    lambda folder: _remove(folder, 'runs/segment-*/samples/*_truth.png'),
    _other_region])
def test_no_picture_without_the_samples_of_all_stages(tmp_path, damage):
    folder = _experiment(tmp_path / 'exp', {'scratch': SCRATCH,
                                            'dep': (0.5, 0.52, 0.54)})
    write.write_report(folder)
    picture = folder / 'figures/method.png'
    assert picture.exists()
    damage(folder)
    page = _page(folder)
    assert not picture.exists() and method_picture.ALT not in page


def test_photographs_never_land_in_results(tmp_path):
    folder = _experiment(tmp_path / 'exp', {'scratch': SCRATCH,
                                            'dep': (0.5, 0.52, 0.54)})
    write.write_report(folder)
    write.write_results(folder, tmp_path / 'results')
    assert (tmp_path / 'results/figures/miou_of_arms.png').exists()
    assert not list((tmp_path / 'results').rglob('method*'))
