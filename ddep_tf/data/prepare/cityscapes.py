"""Cityscapes: the guides to its folder and to TFDS' builder. No TF."""

import functools

from ddep_tf.data.prepare import guide, tfds_builder

_ARCHIVES = ('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip')
_guide = functools.partial(
    guide.Guide, page='https://www.cityscapes-dataset.com/downloads/',
    license='free for research after registration; not to be passed on',
    size=(1024, 2048))

GUIDES = {
    'cityscapes': _guide(
        steps=(
            f'{" and ".join(_ARCHIVES)}, not unpacked, in {{manual_dir}}',
            'then --build: TFDS writes {data_dir}/tfds/cityscapes'),
        counts={'train': (2975,), 'validation': (500,)},
        builder=functools.partial(
            tfds_builder.build, config='cityscapes/semantic_segmentation',
            archives=_ARCHIVES)),
    'cityscapes_folder': _guide(
        steps=(
            f'{" and ".join(_ARCHIVES)}, unpacked in {{data_dir}}/cityscapes',
        ),
        counts={'train': (2975,), 'val': (500,)}),
}
