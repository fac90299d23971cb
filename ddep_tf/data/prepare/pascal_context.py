"""Pascal Context: merges the 459 labels of its .mat files to 59. No TF.

Below --data_dir, VOCdevkit/VOC2010 holds what VOC2010 unpacks to, and beside
its folders the official `trainval/ID.mat` and `labels.txt`.
"""

from collections.abc import Callable
import functools
import os
import pathlib

import numpy as np

from ddep_tf import errors, files
from ddep_tf.data import labels
from ddep_tf.data.prepare import guide, masks

_SPLITS = {'train': 'train', 'validation': 'val'}
_guide = functools.partial(
    guide.Guide, page='https://cs.stanford.edu/~roozbeh/pascal-context/',
    license="annotations for research; images under Flickr's terms of use")
_VOC = ('VOCtrainval_03-May-2010.tar of http://host.robots.ox.ac.uk/pascal/'
        'VOC/voc2010/, unpacked in {data_dir}: VOCdevkit/VOC2010')


def build(request: guide.BuildRequest) -> pathlib.Path:
    """Builds DATA_DIR/tfds/pascal_context. See `masks.build`.

    Its ids are 0 background, 1..59 in the order of the official 59_labels.txt.
    """
    return masks.build(request, _examples(request.data_dir),
                       _mask_reader(request.data_dir))


def _examples(data_dir):
    """Returns {split: list of masks.Example} by VOC2010's own lists."""
    root = _root(data_dir)
    return {split: [masks.Example(
        name, root / f'JPEGImages/{name}.jpg', root / f'trainval/{name}.mat')
        for name in _lines(root / f'ImageSets/Main/{own}.txt')]
            for split, own in _SPLITS.items()}


def _mask_reader(
        data_dir: str | os.PathLike) -> Callable[[masks.Example], np.ndarray]:
    """Returns a function of an Example: its merged ids, [H, W] uint8."""
    merged = _merged_ids(data_dir)

    def read(example):
        import scipy.io
        try:
            ids = np.asarray(scipy.io.loadmat(example.mask)['LabelMap'])
        except Exception as error:  # Whatever scipy says of a damaged file.
            raise errors.UserError(
                f'cannot read LabelMap of {example.mask} '
                f'({type(error).__name__}): unpack trainval.tar.gz again'
            ) from None
        if ids.ndim != 2 or ids.max(initial=0) >= len(merged):
            raise errors.UserError(
                f'{example.mask}: LabelMap holds ids beyond those of '
                'labels.txt: unpack trainval.tar.gz again')
        return merged[ids.astype(np.int64)]
    return read


def _merged_ids(data_dir: str | os.PathLike) -> np.ndarray:
    """Returns the merged id of each official id, [n] uint8.

    Raises:
      UserError: labels.txt is missing, is not a list of "ID: name", or lacks
        one of the 59 names.
    """
    path = _root(data_dir) / 'labels.txt'
    ids = {}
    for line in _lines(path):
        number, colon, name = line.partition(':')
        if not colon or not number.strip().isdigit():
            raise errors.UserError(f'{path}: {line!r} is not "ID: name"')
        ids[name.replace(' ', '')] = int(number)
    merged = np.zeros(max(ids.values()) + 1, np.uint8)
    names = labels.label_set('pascal_context_60').class_names
    for merged_id, name in enumerate(names[1:], 1):
        if name not in ids:
            raise errors.UserError(f'{path} has no label {name!r}: is it the '
                                   'official list of 459?')
        merged[ids[name]] = merged_id
    return merged


def _root(data_dir):
    return files.path(data_dir, 'VOCdevkit', 'VOC2010')


def _lines(path):
    try:
        return path.read_text(encoding='utf-8').strip().splitlines()
    except OSError as error:
        raise errors.UserError(f'cannot read {path} ({error.strerror}): '
                               'unpack the downloads there') from None


GUIDES = {
    'pascal_context': _guide(
        steps=(
            _VOC, "the page's trainval.tar.gz and labels.txt in {data_dir}/"
            'VOCdevkit/VOC2010, the archive unpacked: trainval/*.mat',
            'then --build writes {data_dir}/tfds/pascal_context'),
        counts={'train': (4998,), 'validation': (5105,)}, builder=build),
    'pascal_context_folder': _guide(
        steps=(
            _VOC, "mmsegmentation's converter writes SegmentationClassContext "
            'and ImageSets/SegmentationContext beside its folders'),
        # The lists of merged masks in use lack up to three images.
        counts={'train': (4998, 4996), 'val': (5105, 5104)}),
}
