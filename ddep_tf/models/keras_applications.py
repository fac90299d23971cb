"""Any model of keras.applications as an encoder, 'keras/EfficientNetV2B0' [O].

Keras builds the classifier. Its graph is built again up to the last map of
stride 16, with what a dense encoder needs:

- The family's own preprocessing stands in front.
- Convolutions and poolings are padded in the families that crop borders too
  (Inception, Xception, NASNet), so that a map of stride s is [H / s, W / s].
  The weights do not depend on it.
- Batch normalization always uses its stored statistics.
- There is no dropout and no stochastic depth.

A model without a map of stride 2 gets the image itself there, 2 x 2 pixels as
12 channels: ConvNeXt begins with patches of 4 x 4. That needs no weights, so
that the published ones are all there are.
"""

from collections.abc import Callable, Iterator, Sequence
import functools
import inspect
import math
import re

import keras
import numpy as np

from ddep_tf import errors
from ddep_tf.models import layers, registry

# Pixels, so many that cropped borders change no stride, and one that NASNet
# crops: it goes on with an even number.
_PROBE = 1025
_EXPANSION = 3  # A convolution of one pixel that widens so much: see below.
# Of EfficientNet B0 to B7, whose own normalization comes with their weights:
# a mean, and the standard deviation in the place of a variance.
_MEAN = (0.485, 0.456, 0.406)
_STDDEV = (0.229, 0.224, 0.225)

_PER_PIXEL = (keras.layers.BatchNormalization, keras.layers.Activation,
              keras.layers.ReLU)
_PADDINGS = (keras.layers.ZeroPadding2D, keras.layers.Cropping2D)


def entry(name: str) -> registry.EncoderEntry:
    """Returns the entry of 'keras/NAME'. UserError if Keras has no NAME."""
    constructor(name)
    return registry.EncoderEntry(
        features=functools.partial(_features, name), head=_head,
        keys=registry.KeyMap(head=('fc/',), unused=('fc/',), key_of=_key_of))


def variable_name(variable: str) -> str:
    """Returns a variable's name; of one that Keras numbered, without it."""
    return re.sub(r'\bvariable_\d+$', 'variable', variable)


def _key_of(layer, variable):
    return registry.slashed_key(layer, variable_name(variable))


def constructor(name: str) -> Callable[..., keras.Model]:
    """Returns the function of keras.applications behind 'keras/NAME'.

    Raises:
      UserError: there is none.
    """
    application = name.removeprefix(registry.KERAS)
    found = {key: value for key, value in vars(keras.applications).items()
             if key[0].isupper() and callable(value)}
    if application not in found:
        raise errors.UserError(
            f'EncoderSpec.name {name!r}: keras.applications has no '
            f'{application}, but {", ".join(sorted(found))}')
    return found[application]


def build(name: str) -> keras.Model:
    """Returns Keras' model 'keras/NAME' without its top, of random weights."""
    # NASNet sees by their sizes which of two maps is to be halved.
    side = _PROBE if name.startswith(f'{registry.KERAS}NASNet') else None
    return constructor(name)(include_top=False, weights=None,
                             input_shape=(side, side, 3))


def stable_names(application: keras.Model) -> dict[str, str]:
    """Returns {name: the name in a process that builds nothing else}.

    Where Keras names a layer itself it counts through the process:
    `conv2d_188` is `conv2d` to another one.
    """
    numbered: dict[str, list[tuple[int, str]]] = {}
    for operation in application.operations:
        base = re.sub(r'_\d+$', '', operation.name)
        number = operation.name[len(base) + 1:]
        if base.replace('_', '') == type(operation).__name__.lower():
            numbered.setdefault(base, []).append(
                (int(number or 0), operation.name))
    return {name: f'{base}_{i}' if i else base
            for base, names in numbered.items()
            for i, (_, name) in enumerate(sorted(names))}


def find_taps(application: keras.Model) -> dict[str, keras.KerasTensor]:
    """Returns {name of a map: tensor} of the strides that a model has.

    The tap of a stride is the last tensor through which all goes that is
    computed from it: the output of a block. Inverted bottlenecks begin with a
    convolution of single pixels to many channels, which still has the stride
    of the block before: it is not a tap. NASNet, whose cells read the last
    two outputs, has no such tensors, but the last of its concatenations.

    Args:
      application: functional model of an image [B, H, W, 3].
    """
    operations = [each for each in application.operations
                  if not isinstance(each, keras.layers.InputLayer)]
    strides = _strides(application, operations)
    cuts = set(_cuts(operations))
    taps = {}
    for key, stride in registry.MAPS.items():
        at_stride = [each for each, found in zip(operations, strides)
                     if found == stride and not isinstance(each, _PADDINGS)]
        candidates = [each for each in at_stride if each in cuts] or (
            _widest_joins(at_stride))
        if candidates:
            taps[key] = _before_expansion(candidates).output
    return taps


def _strides(application, operations) -> list[int]:
    """Returns the stride of each output; 0 if it is no map."""
    every = keras.Model(application.input,
                        [each.output for each in operations])
    side = application.input.shape[1] or _PROBE
    specs = every.compute_output_spec(keras.KerasTensor((1, side, side, 3)))
    return [2 ** round(math.log2(side / spec.shape[1]))
            if len(spec.shape) == 4 else 0 for spec in specs]


def _cuts(operations) -> Iterator[keras.Operation]:
    """Yields those through whose output all goes that comes before."""
    place = {id(each.output): i for i, each in enumerate(operations)}
    last_use = list(range(len(operations)))
    for i, each in enumerate(operations):
        for tensor in keras.tree.flatten(each.input):
            if id(tensor) in place:  # All but the image.
                last_use[place[id(tensor)]] = i
    reach = 0
    for i, each in enumerate(operations):
        if reach <= i:
            yield each
        reach = max(reach, last_use[i])


def _widest_joins(operations) -> list[keras.Operation]:
    """Returns the concatenations of most channels: narrow ones lead into a
    cell."""
    joins = [each for each in operations
             if isinstance(each, keras.layers.Concatenate)]
    widest = max((each.output.shape[-1] for each in joins), default=0)
    return [each for each in joins if each.output.shape[-1] == widest]


def _before_expansion(cuts: Sequence[keras.Operation]) -> keras.Operation:
    """Returns the last one, or that before a closing expansion."""
    last = len(cuts) - 1
    while last and isinstance(cuts[last], _PER_PIXEL):
        last -= 1
    convolution = cuts[last]
    widens = (last and isinstance(convolution, keras.layers.Conv2D)
              and convolution.kernel_size == (1, 1)
              and convolution.filters
              >= _EXPANSION * convolution.input.shape[-1])
    return cuts[last - 1] if widens else cuts[-1]


def _normalization(layer, name):
    # One that comes with the weights is here without them.
    learned = layer.input_mean is None
    mean = np.array(_MEAN if learned else layer.input_mean)
    stddev = np.array(_STDDEV) if learned else np.sqrt(layer.input_variance)
    return keras.layers.Rescaling((1 / stddev).tolist(),
                                  (-mean / stddev).tolist(), name=name)


class _Rebuild:
    """Makes the layers of the encoder from those of an application."""

    def __init__(self, application: keras.Model):
        self._names = stable_names(application)
        self._padded = {id(each.output) for each in application.operations
                        if isinstance(each, _PADDINGS)}

    def __call__(self, layer: keras.Operation) -> keras.Operation:
        name = self._names.get(layer.name, layer.name)
        if isinstance(layer, keras.layers.BatchNormalization):
            return layers.StoredBatchNorm(layer.epsilon, layer.scale,
                                          name=name)
        if isinstance(layer, keras.layers.Dropout) or (
                type(layer).__name__ == 'StochasticDepth'):
            return keras.layers.Activation('linear', name=name)
        if isinstance(layer, keras.layers.Normalization):
            return _normalization(layer, name)
        config = {**layer.get_config(), 'name': name}
        kind = type(layer)
        if config.get('groups', 1) > 1:
            # Of each channel alone, in every family. Keras hands grouped ones
            # to XLA, which formats such as ONNX cannot hold.
            kind = keras.layers.DepthwiseConv2D
            config = {key: config[key] for key in (
                'name', 'kernel_size', 'strides', 'padding', 'use_bias')}
            config['depthwise_initializer'] = None
        # What is padded by a layer of its own keeps its phase.
        if config.get('padding') == 'valid' and (
                id(layer.input) not in self._padded):
            config['padding'] = 'same'
        if 'depthwise_initializer' in config:
            # Keras counts every channel as an input of each, which without
            # normalization would let the activations vanish.
            config['depthwise_initializer'] = keras.initializers.RandomNormal(
                stddev=math.sqrt(2 / math.prod(layer.kernel_size)))
        return kind.from_config(config)


def _features(name, image):
    application = build(name)
    taps = find_taps(application)
    body = keras.models.clone_model(
        keras.Model(application.input, taps, name=application.name),
        keras.Input(image.shape[1:]), clone_function=_Rebuild(application),
        call_function=_call)
    maps = body(_preprocess(name, image))
    if 'stride2' not in maps:
        maps['stride2'] = layers.SpaceToDepth(2, name='space_to_depth')(image)
    return {key: maps[key] for key in registry.MAPS}


def _preprocess(name, image):
    """Returns what the family makes of an image, a scale and an offset for
    each channel. Some take blue first."""
    colors = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0]], np.float32)
    preprocess = inspect.getmodule(constructor(name)).preprocess_input
    black, white, red = preprocess(colors[:, None, None])[:, 0, 0]
    if red[0] == black[0]:
        image = image[..., ::-1]
    return keras.layers.Rescaling(
        ((white - black) / 2).tolist(), ((white + black) / 2).tolist(),
        dtype='float32', name='preprocessed')(image)


def _call(layer, *args, **kwargs):
    # Batch normalization is recorded with its mask, which is None.
    kwargs.pop('mask', None)
    return layer(*args, **kwargs)


def _head(x, num_classes):
    x = keras.layers.GlobalAveragePooling2D(name='pool')(x)
    return keras.layers.Dense(
        num_classes, dtype='float32', name='fc',
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01))(x)
