"""Where the official data sets are, and what whole ones hold. No TensorFlow.

Counts are those of the official splits. Nothing is ever downloaded.
"""

import dataclasses

from ddep_tf import errors


@dataclasses.dataclass(frozen=True)
class Guide:
    """What a person has to know to get a data set.

    Attributes:
      page: address of the official page.
      licence: a note on it; the page itself is what counts.
      steps: lines: what to download, and where to put it. {data_dir} and
        {manual_dir} stand for the flags.
      counts: {split: numbers of examples that are whole}.
      size: (height, width) of every image; () is any.
      decodes: what labels it is read with: 'class' or 'mask'.
      builder: 'tfds' is TFDS' own, 'own' is the project's, '' needs none.
    """
    page: str
    licence: str
    steps: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    size: tuple[int, ...] = ()
    decodes: str = 'mask'
    builder: str = ''


_CITYSCAPES = dict(
    page='https://www.cityscapes-dataset.com/downloads/',
    licence='free for research after registration; not to be passed on',
    size=(1024, 2048))
_ADE20K = dict(
    page='http://sceneparsing.csail.mit.edu/',
    licence='images for non-commercial research and education only')
_ADE20K_FILE = ('http://data.csail.mit.edu/places/ADEchallenge/'
                'ADEChallengeData2016.zip, unpacked in {data_dir}')
_CONTEXT = dict(
    page='https://cs.stanford.edu/~roozbeh/pascal-context/',
    licence="annotations for research; images under Flickr's terms of use")
_VOC = ('VOCtrainval_03-May-2010.tar of http://host.robots.ox.ac.uk/pascal/'
        'VOC/voc2010/, unpacked in {data_dir}: VOCdevkit/VOC2010')
_IMAGENET = dict(
    page='https://image-net.org/download-images',
    licence='non-commercial research and education, after registration',
    decodes='class')

GUIDES = {
    'cityscapes': Guide(
        **_CITYSCAPES, builder='tfds', steps=(
            'leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, not '
            'unpacked, in {manual_dir}',
            'then --build: TFDS writes {data_dir}/tfds/cityscapes'),
        counts={'train': (2975,), 'validation': (500,)}),
    'cityscapes_folder': Guide(
        **_CITYSCAPES, steps=(
            'leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, '
            'unpacked in {data_dir}/cityscapes',),
        counts={'train': (2975,), 'val': (500,)}),
    'ade20k': Guide(
        **_ADE20K, builder='own', steps=(
            _ADE20K_FILE, 'then --build writes {data_dir}/tfds/ade20k'),
        counts={'train': (20210,), 'validation': (2000,)}),
    'ade20k_folder': Guide(
        **_ADE20K, steps=(_ADE20K_FILE,),
        counts={'training': (20210,), 'validation': (2000,)}),
    'pascal_context': Guide(
        **_CONTEXT, builder='own', steps=(
            _VOC, "the page's trainval.tar.gz and labels.txt in {data_dir}/"
            'VOCdevkit/VOC2010, the archive unpacked: trainval/*.mat',
            'then --build writes {data_dir}/tfds/pascal_context'),
        counts={'train': (4998,), 'validation': (5105,)}),
    'pascal_context_folder': Guide(
        **_CONTEXT, steps=(
            _VOC, "mmsegmentation's converter writes SegmentationClassContext "
            'and ImageSets/SegmentationContext beside its folders'),
        # The lists of merged masks in use lack up to three images.
        counts={'train': (4998, 4996), 'val': (5105, 5104)}),
    'imagenet2012': Guide(
        **_IMAGENET, builder='tfds', steps=(
            'ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, not '
            'unpacked, in {manual_dir}',
            'then --build: TFDS writes {data_dir}/tfds/imagenet2012'),
        counts={'train': (1281167,), 'validation': (50000,)}),
    'imagenet21k': Guide(
        **_IMAGENET, builder='own', steps=(
            'the fall 2011 release, fall11_whole.tar, and every archive in '
            'it, unpacked in a folder of its name: {data_dir}/imagenet21k/'
            'images/n00004475/*.JPEG ...',
            'then --build writes {data_dir}/imagenet21k/train-*.tfrecord'),
        counts={'train': (14197122,)}),
}
IMAGENET21K_SYNSETS = 21841


def guide(name):
    """Returns the Guide of a data set. UserError where there is none."""
    if name not in GUIDES:
        raise errors.UserError(f'--set={name!r}: choose one of '
                               f'{", ".join(GUIDES)}')
    return GUIDES[name]


def text(name, data_dir, manual_dir):
    """Returns the lines that tell how to get a data set."""
    found = guide(name)
    rows = [f'{name}: {found.page}', f'licence: {found.licence}',
            *(f'{number}. {step}' for number, step in
              enumerate(found.steps, 1)),
            *(f'split {split}: {" or ".join(f"{n:,}" for n in counts)} '
              'examples' for split, counts in found.counts.items())]
    return [row.format(data_dir=data_dir, manual_dir=manual_dir)
            for row in rows]
