"""Checks data sets that are there, and builds the files for training."""

import collections
import pathlib

import tqdm

from ddep_tf import errors
from ddep_tf.data.prepare import (
    imagenet21k,
    masks,
    official_sets,
    pascal_context,
)
from ddep_tf.data.sources import factory

# About 100 MB a file.
MASK_SHARD, IMAGE_SHARD = 512, 1024
_ARCHIVES = {
    'cityscapes': ('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip'),
    'imagenet2012': ('ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar')}


def check(name, spec, data_dir, count_check=True, decode=True):
    """Looks at every split of a data set.

    Args:
      name: key of official_sets.GUIDES.
      spec: its DatasetSpec.
      data_dir: root folder of the data.
      count_check: whether numbers and sizes must be the official ones.
      decode: whether every image and mask is read.

    Yields:
      (whether it is a problem, a line).
    """
    guide = official_sets.guide(name)
    for split, counts in guide.counts.items():
        try:
            source = factory.open_source(spec, split, data_dir, guide.decodes,
                                         strict=False)
        except errors.UserError as error:
            yield True, str(error)
            continue
        wrong = list(_count_problems(source, counts)) if count_check else []
        size = guide.size if count_check else ()
        for problem in wrong:
            yield True, problem
        if decode:
            for problem in _content_problems(source, size):
                wrong.append(problem)
                yield True, problem
        if not wrong:
            what = 'images and masks' if guide.decodes == 'mask' else 'images'
            yield False, f'{name} {split}: {source.num_examples:,} {what} ok'


def build(name, data_dir, manual_dir, count_check=True, shard_examples=None):
    """Builds the TFDS or TFRecord files of a data set, or goes on with it.

    Args:
      name: key of official_sets.GUIDES.
      data_dir: root folder of the data.
      manual_dir: where archives lie that TFDS itself unpacks.
      count_check: whether numbers must be the official ones.
      shard_examples: about how many go into a file; None is about 100 MB.

    Returns:
      The folder of the files.

    Raises:
      UserError: nothing is to be built, or something is missing or broken.
    """
    kind = official_sets.guide(name).builder
    if not kind:
        raise errors.UserError(f'{name} is used as it unpacks: there is '
                               'nothing to build; use --check')
    if kind == 'tfds':
        return _build_with_tfds(name, data_dir, manual_dir)
    if name == 'imagenet21k':
        synsets, images = imagenet21k.list_images(data_dir)
        if count_check:
            _require_count(name, 'synset folders', len(synsets),
                           (official_sets.IMAGENET21K_SYNSETS,))
        return imagenet21k.build(data_dir, synsets, images,
                                       shard_examples or IMAGE_SHARD,
                                       tqdm.tqdm)
    examples, read_mask = _masks(name, data_dir)
    if count_check:
        for split, counts in official_sets.guide(name).counts.items():
            _require_count(name, f'images in {split}', len(examples[split]),
                           counts)
    return masks.build(name, examples, read_mask, data_dir,
                             shard_examples or MASK_SHARD, tqdm.tqdm)


def _count_problems(source, counts):
    if source.num_examples not in counts:
        yield _other_count(source.title, 'examples', source.num_examples,
                           counts)


def _content_problems(source, size):
    """Yields what is wrong with any example; size is (height, width)."""
    def inspect(example):
        found = tuple(example['image'].shape[:2])
        if size and found != size:
            return (f'has {found[1]} x {found[0]} pixels, not {size[1]} x '
                    f'{size[0]}: replace it')
        return ''

    yield from source.problems(lambda some: tqdm.tqdm(
        some, total=source.num_examples, desc=source.split, unit='image'),
        inspect)
    twice = [i for i, n in collections.Counter(source.ids).items() if n > 1]
    for name in twice:
        yield f'{source.title}: the id {name!r} occurs twice: build it again'


def _masks(name, data_dir):
    if name == 'ade20k':
        return masks.ade20k(data_dir), masks.read_ade20k_mask
    return (pascal_context.examples(data_dir),
            pascal_context.mask_reader(data_dir))


def _require_count(name, what, found, counts):
    if found not in counts:
        raise errors.UserError(_other_count(name, what, found, counts))


def _other_count(name, what, found, counts):
    return (f'{name}: has {found:,} {what}, not '
            f'{" or ".join(f"{n:,}" for n in counts)}: unpack the '
            'archives again, or give --nocount_check')


def _build_with_tfds(name, data_dir, manual_dir):
    """TFDS' own builder: starts over if it was interrupted, leaves no half."""
    for archive in _ARCHIVES[name]:
        if not pathlib.Path(manual_dir, archive).is_file():
            raise errors.UserError(f'{name}: there is no {archive} in '
                                   f'{manual_dir}: set --manual_dir')
    import tensorflow_datasets as tfds
    config = {'cityscapes': 'cityscapes/semantic_segmentation'}
    builder = tfds.builder(config.get(name, name),
                           data_dir=str(pathlib.Path(data_dir, 'tfds')))
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                manual_dir=str(manual_dir),
                compute_stats=tfds.download.ComputeStatsMode.SKIP))
    except OSError:  # A full disk, say.
        raise
    except Exception as error:  # Of archives TFDS cannot read, any kind.
        raise errors.UserError(
            f'{name}: TFDS cannot build from {manual_dir} '
            f'({type(error).__name__}: {error}): download the archives again'
        ) from error
    return pathlib.Path(builder.data_dir)
