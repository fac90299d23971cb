"""ImageNet-1k: the guide to TFDS' builder. No TF."""

import functools

from ddep_tf.data.prepare import guide, tfds_builder

PAGE = 'https://image-net.org/download-images'
LICENSE = 'non-commercial research and education, after registration'
_ARCHIVES = ('ILSVRC2012_img_train.tar', 'ILSVRC2012_img_val.tar')

GUIDES = {
    'imagenet2012': guide.Guide(
        page=PAGE, license=LICENSE, decodes='class', steps=(
            f'{" and ".join(_ARCHIVES)}, not unpacked, in {{manual_dir}}',
            'then --build: TFDS writes {data_dir}/tfds/imagenet2012'),
        counts={'train': (1281167,), 'validation': (50000,)},
        builder=functools.partial(
            tfds_builder.build, config='imagenet2012', archives=_ARCHIVES)),
}
