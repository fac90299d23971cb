"""ADE20K's 150 semantic classes, from ADEChallengeData2016. No TF."""

import functools
import pathlib

from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.data.prepare import guide, masks

_guide = functools.partial(
    guide.Guide, page='http://sceneparsing.csail.mit.edu/',
    license='images for non-commercial research and education only')
_ARCHIVE = ('http://data.csail.mit.edu/places/ADEchallenge/'
            'ADEChallengeData2016.zip, unpacked in {data_dir}')
_SPLITS = {'train': 'training', 'validation': 'validation'}


def build(request: guide.BuildRequest) -> pathlib.Path:
    """Builds DATA_DIR/tfds/ade20k: ids 0 other, 1..150. See `masks.build`."""
    return masks.build(request, _examples(request.data_dir), _read_mask)


def _examples(data_dir):
    root = files.path(data_dir, 'ADEChallengeData2016')
    return {split: _pairs(root / f'images/{own}', root / f'annotations/{own}')
            for split, own in _SPLITS.items()}


def _pairs(image_dir, mask_dir):
    images = sorted(image_dir.glob('*.jpg'))
    if not images:
        raise errors.UserError(f'the folder {image_dir} is missing or holds '
                               'no .jpg: unpack ADEChallengeData2016.zip in '
                               '--data_dir')
    return [masks.Example(path.stem, path, mask_dir / f'{path.stem}.png')
            for path in images]


def _read_mask(example):
    for path in (example.image, example.mask):
        if not path.is_file():
            raise errors.UserError(f'there is no file {path}: unpack the '
                                   'archives again')
    return image_files.read_mask(example.mask)


GUIDES = {
    'ade20k': _guide(
        steps=(
            _ARCHIVE, 'then --build writes {data_dir}/tfds/ade20k'),
        counts={'train': (20210,), 'validation': (2000,)}, builder=build),
    'ade20k_folder': _guide(
        steps=(_ARCHIVE,),
        counts={'training': (20210,), 'validation': (2000,)}),
}
