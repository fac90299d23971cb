"""The data sets that are shipped in the package."""

import hashlib
import pathlib

import numpy as np
from PIL import Image
import pytest

from ddep_tf import configure
from ddep_tf.data import labels
from ddep_tf.data.sources import factory

pytestmark = pytest.mark.quick

NUCLEI = factory.PACKAGED / 'nuclei'
# Counted with numpy from the original files: images, pixels of each class,
# sum of the gray levels.
FACTS = {'train': (60, [3643247, 204124, 84789], 47956199),
         'val': (10, [614857, 27278, 13225], 7653734),
         'test': (30, [1836967, 87449, 41664], 25025654)}


def _nuclei():
    run, _ = configure.load_run('segment', ['data/nuclei.gin'])
    return run.data[0]


@pytest.mark.parametrize('split', FACTS)
def test_nuclei_open_without_a_data_dir(split):
    source = factory.open_source(_nuclei(), split, 'no such folder', 'mask')
    source.check()
    counts, total = np.zeros(3, np.int64), 0
    for record in source.records():
        example = source.decode(record)
        image, label = example['image'].numpy(), example['label'].numpy()
        assert image.shape == (256, 256, 3) and label.shape == (256, 256)
        assert (image == image[..., :1]).all()  # Gray.
        counts += np.bincount(label.ravel(), minlength=3)
        total += int(image[..., 0].astype(np.int64).sum())
    assert (source.num_examples, list(counts), total) == FACTS[split]


def test_splits_share_no_image():
    ids = [path.stem for split in FACTS
           for path in (NUCLEI / split).glob('*.png')]
    assert len(ids) == len(set(ids)) == 100
    pixels = {Image.open(path).tobytes() for split in FACTS
              for path in (NUCLEI / split).glob('*.png')}
    assert len(pixels) == 100


def test_classes_have_names_and_distinct_colors():
    found = labels.for_spec(_nuclei())
    assert found.class_names == ('background', 'nucleus', 'outline')
    colors = found.palette.astype(int)
    for a in range(3):
        for b in range(a):
            assert np.abs(colors[a] - colors[b]).sum() > 150
    # Told apart without color as well.
    assert np.ptp(np.sort(colors.mean(1))) > 50


def test_what_is_shipped_is_small_and_says_its_license():
    files = [path for path in factory.PACKAGED.rglob('*') if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 4 * 2 ** 20
    for folder in filter(pathlib.Path.is_dir, factory.PACKAGED.iterdir()):
        assert 'CC0' in (folder / 'README.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('split', FACTS)
def test_nuclei_are_those_of_the_stated_rule(real_data, split):
    original = real_data / 'nuclei'
    if not original.is_dir():
        pytest.skip(f'needs the whole set in {original}')
    ids = [path.stem for path in (original / split).glob('*.png')
           if Image.open(path).size == (256, 256)]
    ids.sort(key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    shipped = {path.stem for path in (NUCLEI / split).glob('*.png')}
    assert shipped == set(ids[:FACTS[split][0]])
    for name in shipped:
        for folder in (split, f'{split}annot'):
            ours, theirs = (np.asarray(Image.open(
                root / folder / f'{name}.png')) for root in (NUCLEI, original))
            np.testing.assert_array_equal(ours, theirs)
