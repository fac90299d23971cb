"""R50+ViT-B/16 [R] and two small networks of the same layout [O].

A ResNet below a transformer, as google-research/vision_transformer has it.
"""

import functools

import keras

from ddep_tf import specs
from ddep_tf.models import registry, resnet, vit


def _features(image, root, transformer, **options):
    outputs = resnet.resnet(image, **root)
    outputs['stride16'], token = vit.transformer(
        outputs['stride16'], **transformer, **options)
    if token is not None:
        outputs['class_token'] = token
    return outputs


def _head(x, num_classes, representation_size=None):
    if representation_size is not None:
        x = keras.layers.Dense(representation_size, 'tanh', name='pre_logits',
                               kernel_initializer='lecun_normal')(x)
    return keras.layers.Dense(
        num_classes, dtype='float32', name='head',
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)


_entry = functools.partial(
    registry.EncoderEntry, head=_head, keys=vit.KEYS,
    head_input='class_token', has_tokens=True, has_representation=True)

R50_VIT_B16 = _entry(features=functools.partial(
    _features, root={'width': 64, 'units': (3, 4, 9)},
    transformer={'hidden': 768, 'blocks': 12, 'heads': 12,
                 'mlp_width': 3072}))

TINY = _entry(
    features=functools.partial(
        _features, root={'width': 32, 'units': (1, 2, 1)},
        transformer={'hidden': 48, 'blocks': 2, 'heads': 3, 'mlp_width': 96}),
    decoder=specs.DecoderSpec(entry_channels=64,
                              block_channels=(64, 48, 32, 16)))

SMALL = _entry(
    features=functools.partial(
        _features, root={'width': 32, 'units': (2, 2, 2)},
        transformer={'hidden': 192, 'blocks': 4, 'heads': 3,
                     'mlp_width': 768}),
    decoder=specs.DecoderSpec(entry_channels=128,
                              block_channels=(96, 64, 48, 16)))
