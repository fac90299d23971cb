"""EfficientNet-Lite0 under the encoder's contract [O].

Layers are named after the published arrays, `blocks.3.expand_conv` for
`_blocks.3._expand_conv`, so that the names map both ways.
"""

import keras

# (kernel, stride, expansion, channels) of each inverted bottleneck.
BLOCKS = (
    (3, 1, 1, 16),
    (3, 2, 6, 24), (3, 1, 6, 24),
    (5, 2, 6, 40), (5, 1, 6, 40),
    (3, 2, 6, 80), (3, 1, 6, 80), (3, 1, 6, 80),
    (5, 1, 6, 112), (5, 1, 6, 112), (5, 1, 6, 112),
    (5, 2, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192), (5, 1, 6, 192),
    (3, 1, 6, 320))
# The last block of each stride is what a decoder sees.
STRIDE_ENDS = {0: 'stride2', 2: 'stride4', 4: 'stride8', 10: 'stride16'}


@keras.saving.register_keras_serializable('ddep_tf')
class StoredBatchNorm(keras.layers.BatchNormalization):
    """BatchNorm that always uses its stored statistics, epsilon 1e-3.

    Scale and offset are trained; the statistics never move.
    """

    def __init__(self, **kwargs):
        super().__init__(**{'epsilon': 1e-3, **kwargs})

    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=False, mask=mask)


def features(images):
    """Builds the blocks up to stride 16.

    Args:
      images: [B, H, W, 3] float32 in [-1, 1], symbolic.

    Returns:
      dict of stride2, 4, 8, 16 with 16, 24, 40, 112 channels, float32.
    """
    x = _stem(images)
    found = {}
    for i in range(max(STRIDE_ENDS) + 1):
        x = _block(x, i)
        if i in STRIDE_ENDS:
            found[STRIDE_ENDS[i]] = x
    return found


def classifier_top(x, num_classes):
    """Builds what follows stride 16: the last blocks, pool and dense.

    Args:
      x: [B, H/16, W/16, 112] float32, symbolic.

    Returns:
      Logits [B, num_classes] float32.
    """
    for i in range(max(STRIDE_ENDS) + 1, len(BLOCKS)):
        x = _block(x, i)
    x = _conv(x, 1280, 1, 1, 'conv_head')
    x = _norm(x, 'bn1', 'relu_head')
    x = keras.layers.GlobalAveragePooling2D(name='pool_head')(x)
    return keras.layers.Dense(num_classes, name='fc')(x)


def _stem(images):
    return _norm(_conv(images, 32, 3, 2, 'conv_stem'), 'bn0', 'relu_stem')


def _block(inputs, index):
    kernel, stride, expansion, channels = BLOCKS[index]
    name = f'blocks.{index}'
    x = inputs
    if expansion > 1:
        x = _conv(x, expansion * x.shape[-1], 1, 1, f'{name}.expand_conv')
        x = _norm(x, f'{name}.bn0', f'{name}.relu0')
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, 'same', use_bias=False,
        # He's, for the kernel's own fan-in of k * k.
        depthwise_initializer=keras.initializers.RandomNormal(
            stddev=(2.0 / kernel ** 2) ** 0.5),
        name=f'{name}.depthwise_conv')(x)
    x = _norm(x, f'{name}.bn1', f'{name}.relu1')
    x = _conv(x, channels, 1, 1, f'{name}.project_conv', 'lecun_normal')
    x = _norm(x, f'{name}.bn2')
    if stride == 1 and channels == inputs.shape[-1]:
        x = keras.layers.Add(name=f'{name}.add')([x, inputs])
    return x


def _conv(x, filters, size, stride, name, initializer='he_normal'):
    return keras.layers.Conv2D(filters, size, stride, 'same', use_bias=False,
                               kernel_initializer=initializer, name=name)(x)


def _norm(x, name, relu=None):
    x = StoredBatchNorm(name=name)(x)
    return keras.layers.ReLU(6.0, name=relu)(x) if relu else x
