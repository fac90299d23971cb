"""A network of Keras' own layers alone, which computes what another does.

A file of it opens where there is no ddep_tf.
"""

from collections.abc import Sequence

import keras
from keras import ops
import numpy as np

from ddep_tf import errors
from ddep_tf.models import decoder as decoder_lib
from ddep_tf.models import layers, resnet, segmenter, vit


def rebuild(network: segmenter.Network,
            image_size: Sequence[int | None]) -> keras.Model:
    """Builds a network again.

    Args:
      network: the network. Layers that are Keras' own are shared with it.
      image_size: (height, width) of its input, multiples of 16; None leaves a
        side open.

    Returns:
      keras.Model: image [B, H, W, 3] float32 in [-1, 1] -> logits
      [B, H, W, C] float32.

    Raises:
      UserError: a layer has no counterpart in Keras, or needs the size.
    """
    image = keras.Input((*image_size, 3), name='image')
    maps = _plain(network.encoder, keras.Input(image.shape[1:]))(image)
    maps = {**maps, decoder_lib.IMAGE: image}
    maps = {key: maps[key] for key in network.decoder.input}
    features = _plain(network.decoder, {
        key: keras.Input(x.shape[1:], name=key) for key, x in maps.items()
    })(maps)
    logits = _same(keras.layers.Conv2D, network.head, features,
                   kernel_initializer='zeros')
    return keras.Model(image, logits, name='network')


def _plain(model, inputs):
    """Builds a functional model on inputs, of Keras' own layers."""
    return keras.models.clone_model(
        keras.Model(model.input, model.output, name=model.name), inputs,
        clone_function=lambda layer: layer, call_function=_call,
        recursive=True)


def _call(layer, *args, **kwargs):
    """Calls a layer, or what is the same in Keras."""
    for kind, translate in _TRANSLATIONS.items():
        if type(layer) is kind:
            return translate(layer, *args)
    if type(layer).__module__.partition('.')[0] != 'keras':
        raise errors.UserError(
            f'--format=keras: the layer {type(layer).__name__} is none of '
            "Keras' own: take another format, which holds no Python")
    return layer(*args, **kwargs)


def _same(kind, layer, x, weights=None, **changes):
    """Calls a new layer of Keras with the config and weights of another."""
    new = kind.from_config({**layer.get_config(), **changes})
    y = new(x)
    new.set_weights(layer.get_weights() if weights is None else weights)
    return y


def _std_conv(layer, x):
    return _same(keras.layers.Conv2D, layer, x,
                 [np.asarray(layer.standardized())])


def _group_norm(layer, x):
    norm = keras.layers.GroupNormalization(
        layer.groups, epsilon=layer.epsilon, name=layer.name)
    y = norm(x)
    norm.set_weights(layer.get_weights())
    return y


def _layer_norm(layer, x):
    return _same(keras.layers.LayerNormalization, layer, x)


def _batch_norm(layer, x):
    norm = keras.layers.BatchNormalization(
        epsilon=layer.epsilon, scale=layer.scale, name=layer.name)
    y = norm(x)
    norm.set_weights(layer.get_weights())
    return y


def _upsample(layer, x):
    if layer.align_corners:
        raise errors.UserError(
            '--format=keras: Keras has no layer that upsamples with aligned '
            'corners (DecoderSpec.align_corners): take another format')
    # Keras' own bilinear one cannot be traced where sizes are left open. It is
    # a nearest one, each pixel then averaged with its neighbors, 1 : 2 : 1.
    x = keras.layers.UpSampling2D(2, name=layer.name)(x)
    x = ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], mode='symmetric')
    for half in ('1', '2'):
        x = keras.layers.AveragePooling2D(2, 1, name=f'{layer.name}{half}')(x)
    return x


def _space_to_depth(layer, x):
    channels = layer.size ** 2 * x.shape[-1]
    convolution = keras.layers.Conv2D(channels, layer.size, layer.size,
                                      use_bias=False, name=layer.name)
    y = convolution(x)
    convolution.set_weights([np.eye(channels).reshape(
        layer.size, layer.size, -1, channels)])
    return y


def _position_embedding(layer, x):
    rows, columns, channels = x.shape[1:]
    if rows is None or columns is None:
        raise errors.UserError(
            '--image_size is missing: --format=keras of an encoder with a '
            'position embedding needs one, such as --image_size=480,640')
    tokens = keras.layers.Reshape((-1, channels),
                                  name=f'{layer.name}.tokens')(x)
    number = ops.cumsum(ops.ones_like(tokens[:1, :, 0], dtype='int32'), 1) - 1
    embedding = keras.layers.Embedding(rows * columns, channels,
                                       name=layer.name)
    y = tokens + embedding(number)
    embedding.set_weights(
        [np.asarray(layer.resized(rows, columns, channels))[0]])
    return y


def _tokens_to_grid(layer, tokens, grid):
    return keras.layers.Reshape(grid.shape[1:], name=layer.name)(tokens)


def _attention(layer, query, key, value):
    del layer
    scores = ops.einsum('bqhd,bkhd->bhqk', query * query.shape[-1] ** -0.5,
                        key)
    return ops.einsum('bhqk,bkhd->bqhd', ops.softmax(scores), value)


def _dense(layer, x):
    y = _same(keras.layers.Dense, layer, x, activation=None)
    return (ops.gelu(y, approximate=True)
            if layer.activation is vit.gelu_tanh else y)


def _gelu_dense(layer, x):
    return _same(keras.layers.Dense, layer, ops.gelu(x, approximate=True))


def _einsum_dense(layer, x):
    return _same(keras.layers.EinsumDense, layer, x,
                 kernel_initializer='zeros')


_TRANSLATIONS = {
    resnet.StdConv: _std_conv,
    layers.GroupNorm: _group_norm,
    layers.StoredBatchNorm: _batch_norm,
    vit.LayerNorm: _layer_norm,
    layers.Upsample: _upsample,
    layers.SpaceToDepth: _space_to_depth,
    vit.PositionEmbedding: _position_embedding,
    vit.TokensToGrid: _tokens_to_grid,
    vit.DotProductAttention: _attention,
    vit.Dense: _dense,
    vit.GeluDense: _gelu_dense,
    vit.HeadsDense: _einsum_dense,
}
