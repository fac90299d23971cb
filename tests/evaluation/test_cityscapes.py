"""Our mean IoU of Cityscapes is the official one, by the files we write."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import labels, pipelines
from ddep_tf.data.sources import factory
from ddep_tf.evaluation import evaluate, predictor

import networks

# The labelIds that count, in the order of their train ids, by hand.
COUNTED = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31,
           32, 33]
SPEC = specs.DatasetSpec(
    name='cityscapes', source='folder', label_set='cityscapes',
    num_classes=19, val_split='val', image_dir='leftImg8bit/{split}',
    label_dir='gtFine/{split}', image_suffix='_leftImg8bit.png',
    label_suffix='_gtFine_labelIds.png')
NAMES = ['frankfurt_000000_000294', 'frankfurt_000001_000294',
         'lindau_000000_000019', 'munster_000173_000019']
ABSENT, GUESSED_ONLY = 31, 28  # train and bus stand in no truth here.


def _make(root, ids):
    """Writes the official layout, four images of three cities, truth random."""
    rng = np.random.default_rng(0)
    ids = np.setdiff1d(ids, [ABSENT, GUESSED_ONLY])
    for index, name in enumerate(NAMES):
        size = (32, 64 + 16 * (index % 2))
        truth = rng.choice(ids, size).astype(np.uint8)
        truth.flat[:len(ids)] = ids
        image = rng.integers(0, 256, (*size, 3), np.uint8)
        for kind, ending, pixels in (('leftImg8bit', 'leftImg8bit', image),
                                     ('gtFine', 'gtFine_labelIds', truth)):
            folder = root / kind / 'val' / name.split('_')[0]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f'{name}_{ending}.png')


def _any_class(images):
    """Logits without meaning, but never of the absent class."""
    waves = tf.sin(tf.reduce_sum(images * [91.0, 57.0, 29.0], -1,
                                 keepdims=True) * np.arange(1.0, 20.0))
    return waves - 9.0 * (np.arange(19) == COUNTED.index(ABSENT))


def _evaluated(root):
    """Evaluates and saves predictions below results/; returns our summary."""
    source = factory.open_source(SPEC, 'val', root, 'mask')
    write = evaluate.label_id_writer(labels.for_spec(SPEC), root / 'results')
    ids = source.ids
    random = predictor.Predictor(networks.Plain(19, _any_class),
                                 specs.EvalSpec(batch_size=2))
    matrix, = predictor.evaluate(
        random, pipelines.eval_dataset(source, 1), 19, source.num_examples,
        see=lambda one: write(ids[one.position], one.predicted))
    return predictor.summary(matrix)


def _rule(root):
    """The official rule, pixel by pixel of the files: IoU by labelId.

    A pixel counts where its truth is one of the 19 classes; a class that
    stands in neither is left out.
    """
    hits, misses, alarms = (dict.fromkeys(COUNTED, 0) for _ in range(3))
    truths = sorted((root / 'gtFine').rglob('*_gtFine_labelIds.png'))
    for path in truths:
        stem = '_'.join(path.name.split('_')[:3])
        found, = (root / 'results').rglob(f'{stem}*.png')
        with Image.open(found) as picture:
            assert picture.mode == 'L'
            guess = np.asarray(picture)
        truth = np.asarray(Image.open(path))
        assert guess.shape == truth.shape
        for t, g in zip(truth.ravel().tolist(), guess.ravel().tolist()):
            if t in hits:
                if t == g:
                    hits[t] += 1
                else:
                    misses[t] += 1
                    alarms[g] += 1
    assert len(truths) == len(NAMES)
    unions = {i: hits[i] + misses[i] + alarms[i] for i in COUNTED}
    return {i: hits[i] / unions[i] for i in COUNTED if unions[i]}


@pytest.mark.parametrize('ids', [range(34), [*range(34), 255]])
def test_our_score_is_that_of_the_official_rule(tmp_path, ids):
    _make(tmp_path, ids)
    ours = _evaluated(tmp_path)
    official = _rule(tmp_path)
    assert set(COUNTED) - set(official) == {ABSENT}
    assert official[GUESSED_ONLY] == 0
    for label_id, iou in zip(COUNTED, ours['iou']):
        if label_id == ABSENT:
            assert np.isnan(iou)
        else:
            assert iou == pytest.approx(official[label_id], abs=1e-12)
    assert ours['mean_iou'] == pytest.approx(
        np.mean(list(official.values())), abs=1e-12)


OFFICIAL = '''
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as e
e.args.evalInstLevelScore = False
e.args.quiet = True
e.main()
'''


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ('cityscapesscripts',
                                           'pyquaternion'))),
    reason='needs the official scripts: pip install --no-deps '
           'cityscapesscripts pyquaternion')
def test_our_score_is_that_of_the_official_script(tmp_path):
    """Truth without 255, which the official masks lack and its script ends at.
    """
    _make(tmp_path, range(34))
    ours = _evaluated(tmp_path)
    official = pathlib.Path(importlib.util.find_spec(
        'cityscapesscripts').origin).parents[1]
    subprocess.run(
        [sys.executable, '-c', OFFICIAL], check=True, stdout=subprocess.DEVNULL,
        env={**os.environ, 'CITYSCAPES_DATASET': str(tmp_path),
             'CITYSCAPES_EXPORT_DIR': str(tmp_path),
             'PYTHONPATH': str(official)})
    result = json.loads(
        (tmp_path / 'resultPixelLevelSemanticLabeling.json').read_text())
    assert result['averageScoreClasses'] == pytest.approx(
        ours['mean_iou'], abs=1e-6)
    for name, iou in zip(labels.label_set('cityscapes').class_names,
                         ours['iou']):
        assert result['classScores'][name] == pytest.approx(
            iou, abs=1e-6, nan_ok=True)


def test_every_set_names_the_ids_of_its_files():
    for name in ('camvid', 'cityscapes', 'ade20k', 'pascal_context_59',
                 'pascal_context_60', 'shapes'):
        found = labels.label_set(name)
        back = labels.map_labels(np.array(found.source_ids, np.uint8), name)
        np.testing.assert_array_equal(back, np.arange(found.num_classes))
    assert list(labels.label_set('cityscapes').source_ids) == COUNTED
    assert list(labels.generic(3).source_ids) == [0, 1, 2]


def test_saved_predictions_replace_nothing(tmp_path):
    found = labels.label_set('cityscapes')
    (tmp_path / 'truth.png').write_text('kept')
    with pytest.raises(errors.UserError, match='not empty'):
        evaluate.label_id_writer(found, tmp_path)
    write = evaluate.label_id_writer(found, tmp_path / 'new')
    write('a_b', np.zeros((2, 3), np.uint8))
    with pytest.raises(errors.UserError, match='a_b'):
        write('a/b', np.ones((2, 3), np.uint8))
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / 'new' / 'a_b.png')),
        np.full((2, 3), 7))


def test_runs_without_masks_save_none(tmp_path):
    run = specs.RunSpec(stage='denoise', data=(SPEC,))
    with pytest.raises(errors.UserError, match='denoise'):
        evaluate.evaluate_run('run', run, '', 'val', None,
                              save_label_ids=str(tmp_path / 'new'))
    assert not (tmp_path / 'new').exists()
