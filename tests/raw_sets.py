"""Small files of the layouts that the official downloads unpack to."""

import zipfile

import numpy as np
from PIL import Image
import scipy.io

from ddep_tf.data import labels

import layouts

# Further names in labels.txt, whose 459 names are in alphabetical order.
EXTRA = ('accordion', 'zebra crossing')


def pascal_context(root, count=3):
    """VOC2010 with trainval/*.mat; returns {name: official id}."""
    base = root / 'VOCdevkit/VOC2010'
    names = sorted((*labels.label_set('pascal_context_59').class_names,
                    *EXTRA))
    ids = {name: number for number, name in enumerate(names, 1)}
    for folder in ('JPEGImages', 'ImageSets/Main', 'trainval'):
        (base / folder).mkdir(parents=True)
    (base / 'labels.txt').write_text(''.join(
        f'{number}: {name}\n' for name, number in ids.items()))
    for split, year in (('train', 2008), ('val', 2009)):
        stems = [f'{year}_{index + 1:06d}' for index in range(count)]
        (base / f'ImageSets/Main/{split}.txt').write_text(
            ''.join(f'{stem}\n' for stem in stems))
        for index, stem in enumerate(stems):
            rng = np.random.default_rng(index)
            label_map = rng.integers(1, len(ids) + 1, (24, 32)).astype(
                np.uint16)
            scipy.io.savemat(base / f'trainval/{stem}.mat',
                             {'LabelMap': label_map})
            image = rng.integers(0, 256, (24, 32, 3), np.uint8)
            Image.fromarray(image).save(base / f'JPEGImages/{stem}.jpg')
    return ids


def imagenet21k(root, synsets=3, count=4):
    """One folder per synset."""
    for synset in range(synsets):
        folder = root / f'imagenet21k/images/n{4475 + synset:08d}'
        folder.mkdir(parents=True)
        for index in range(count):
            image = np.full((16, 20, 3), 60 * synset + index, np.uint8)
            Image.fromarray(image).save(
                folder / f'{folder.name}_{index}.JPEG')


def cityscapes(root, count=2):
    """The two archives that TFDS itself unpacks; returns their folder."""
    layouts.cityscapes_folder(root, count)
    manual = root / 'manual'
    manual.mkdir()
    for kind, name in (('leftImg8bit', 'leftImg8bit_trainvaltest.zip'),
                       ('gtFine', 'gtFine_trainvaltest.zip')):
        with zipfile.ZipFile(manual / name, 'w') as archive:
            base = root / 'cityscapes'
            for path in sorted((base / kind).rglob('*.png')):
                inside = str(path.relative_to(base))
                archive.write(path, inside)
                if '/val/' in inside:  # TFDS wants a test split too.
                    archive.write(path, inside.replace('/val/', '/test/')
                                  .replace('frankfurt', 'berlin'))
    return manual
