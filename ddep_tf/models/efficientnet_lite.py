"""EfficientNet-Lite0 [O]: inverted bottlenecks with ReLU6.

Batch normalization always uses its stored statistics. The published keys are
those of the PyTorch release, `_blocks.3._bn1.weight`, whose convolutions have
their outputs first; names of layers begin with `lite.`
"""

import dataclasses
import functools
import math

import keras

from ddep_tf.models import layers, registry

STEM = 32
# kernel, stride, expansion, channels, repeats
STAGES = ((3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2),
          (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
          (3, 1, 6, 320, 1))
HEAD = 1280
STAGE_STRIDES = {0: 'stride2', 1: 'stride4', 2: 'stride8', 4: 'stride16'}
PREFIX = 'lite.'

_LEAVES = {'kernel': 'weight', 'gamma': 'weight', 'beta': 'bias',
           'moving_mean': 'running_mean', 'moving_variance': 'running_var'}


def _normal(inputs, rectified):
    # Until it is loaded, batch normalization has statistics of 0 and 1 and
    # does nothing: the kernels alone must keep the variance, with a gain of 2
    # after a ReLU and 1 elsewhere.
    gain = 2.0 if rectified else 1.0
    return keras.initializers.RandomNormal(stddev=math.sqrt(gain / inputs))


def _conv(x, name, filters, size=1, stride=1, rectified=False):
    return keras.layers.Conv2D(
        filters, size, stride, padding='same', use_bias=False,
        kernel_initializer=_normal(size * size * x.shape[-1], rectified),
        name=f'{PREFIX}{name}')(x)


def _norm(x, name, relu=True):
    x = layers.StoredBatchNorm(name=f'{PREFIX}{name}')(x)
    if not relu:
        return x
    return keras.layers.ReLU(6.0, name=f'{PREFIX}{name}.relu6')(x)


def _bottleneck(x, name, kernel, stride, expansion, channels):
    y = x
    if expansion != 1:
        y = _conv(y, f'{name}.expand_conv', expansion * x.shape[-1])
        y = _norm(y, f'{name}.bn0')
    y = keras.layers.DepthwiseConv2D(
        kernel, stride, padding='same', use_bias=False,
        depthwise_initializer=_normal(kernel * kernel, True),
        name=f'{PREFIX}{name}.depthwise_conv')(y)
    y = _norm(y, f'{name}.bn1')
    y = _conv(y, f'{name}.project_conv', channels, rectified=True)
    y = _norm(y, f'{name}.bn2', relu=False)
    if stride == 1 and x.shape[-1] == channels:
        y = keras.layers.Add(name=f'{PREFIX}{name}.add')([x, y])
    return y


def _stages(x, indices):
    """Yields (index of a stage, its output)."""
    block = sum(STAGES[i][4] for i in range(indices[0]))
    for index in indices:
        kernel, stride, expansion, channels, repeats = STAGES[index]
        for repeat in range(repeats):
            x = _bottleneck(x, f'blocks.{block}', kernel,
                            1 if repeat else stride, expansion, channels)
            block += 1
        yield index, x


def features(x: keras.KerasTensor, stem_skip: bool = False
             ) -> dict[str, keras.KerasTensor]:
    """Builds the encoder, which ends with the last block of stride 16.

    Args:
      x: image, [B, H, W, 3] float in [-1, 1].
      stem_skip: put the stem's 32 channels, which the first block reduces to
        16 without a ReLU, before those of stride 2.

    Returns:
      dict of stride2, stride4, stride8 and stride16: [B, H / s, W / s, C]
      float with 16 (48 with `stem_skip`), 24, 40 and 112 channels.
    """
    x = _norm(_conv(x, 'conv_stem', STEM, size=3, stride=2), 'bn0')
    maps = {STAGE_STRIDES[i]: y for i, y in _stages(x, range(5))
            if i in STAGE_STRIDES}
    if stem_skip:
        maps['stride2'] = keras.layers.Concatenate(
            name=f'{PREFIX}stem_skip')([x, maps['stride2']])
    return maps


def classify(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Builds the rest of the classifier.

    Args:
      x: stride-16 map, [B, h, w, 112] float.
      num_classes: number of logits.

    Returns:
      logits [B, num_classes] float32.
    """
    *_, (_, x) = _stages(x, range(5, len(STAGES)))
    x = _norm(_conv(x, 'conv_head', HEAD), 'bn1')
    x = keras.layers.GlobalAveragePooling2D(name=f'{PREFIX}pool')(x)
    return keras.layers.Dense(
        num_classes, dtype='float32', name=f'{PREFIX}fc',
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)


def _key_of(layer, variable):
    path = layer.removeprefix(PREFIX).split('.')
    path = [part if part.isdigit() else f'_{part}' for part in path]
    return '.'.join([*path, _LEAVES.get(variable, variable)])


def _to_published(key, array):
    if array.ndim == 2:
        return array.T
    if array.ndim == 4:
        order = (2, 3, 0, 1) if '_depthwise_conv' in key else (3, 2, 0, 1)
        return array.transpose(order)
    return array


def _from_published(key, array):
    if array.ndim == 2:
        return array.T
    if array.ndim == 4:
        order = (2, 3, 0, 1) if '_depthwise_conv' in key else (2, 3, 1, 0)
        return array.transpose(order)
    return array


EFFICIENTNET_LITE0 = registry.EncoderEntry(
    features=features, head=classify, keys=registry.KeyMap(
        head=('_fc.',), unused=('_blocks.', '_conv_head.', '_bn1.', '_fc.'),
        key_of=_key_of, to_published=_to_published,
        from_published=_from_published))

EFFICIENTNET_LITE0_STEM = dataclasses.replace(
    EFFICIENTNET_LITE0,
    features=functools.partial(features, stem_skip=True))
