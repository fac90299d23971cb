"""The encoders, and everything this package knows about each. No TensorFlow.

An encoder is one `EncoderEntry`, defined in the file that builds the encoder.
'keras/NAME' is that model of keras.applications.
The entry of an encoder outside this package is found by the name
'MODULE:ENTRY', such as 'my_package.plain_cnn:PLAIN_CNN': every process that
reads a run's config can import it from there.
"""

from collections.abc import Callable, Mapping
import dataclasses
import importlib
import re
from typing import TYPE_CHECKING

from ddep_tf import errors, specs

if TYPE_CHECKING:
    import keras
    import numpy as np

# The maps of an encoder, by stride.
MAPS = {f'stride{stride}': stride for stride in (2, 4, 8, 16)}

_BUILT_IN = {
    'r50_vit_b16': 'ddep_tf.models.hybrid:R50_VIT_B16',
    'tiny': 'ddep_tf.models.hybrid:TINY',
    'small': 'ddep_tf.models.hybrid:SMALL',
    'efficientnet_lite0': 'ddep_tf.models.efficientnet_lite:EFFICIENTNET_LITE0',
    'efficientnet_lite0_stem':
        'ddep_tf.models.efficientnet_lite:EFFICIENTNET_LITE0_STEM',
}
NAMES = tuple(_BUILT_IN)
KERAS = 'keras/'  # How the names of those of keras.applications begin.
_OTHER = re.compile(rf'{KERAS}\w+|\w+(\.\w+)*:\w+')


def slashed_key(layer: str, variable: str) -> str:
    """Returns a layer's name with its dots as slashes, then the variable's."""
    return '/'.join([*layer.split('.'), variable])


def _unchanged(key: str, array: 'np.ndarray') -> 'np.ndarray':
    del key
    return array


@dataclasses.dataclass(frozen=True)
class KeyMap:
    """How the variables of an encoder and its head are published.

    In `head` and `unused`, a name that ends in '/' or '.' matches every key
    that starts with it; any other name matches that key alone.

    Attributes:
      head: keys of the classifier's head, which loading with `head='skip'`
        leaves as they are.
      unused: keys of a published file that the encoder alone has no variable
        for: the head's, and those of layers that only the classifier has.
      key_of: (name of a layer, name of its variable) -> published key.
      to_published: (key, a variable's value) -> the array as published.
      from_published: its inverse. An array with a wrong number of axes is
        returned unchanged, so that the check of shapes reports it.
    """
    head: tuple[str, ...]
    unused: tuple[str, ...]
    key_of: Callable[[str, str], str] = slashed_key
    to_published: 'Callable[[str, np.ndarray], np.ndarray]' = _unchanged
    from_published: 'Callable[[str, np.ndarray], np.ndarray]' = _unchanged

    def is_head(self, key: str) -> bool:
        """Returns whether a published key belongs to the classifier's head."""
        return _is_among(key, self.head)

    def may_go_unused(self, key: str) -> bool:
        """Returns whether an encoder may leave a published key unused."""
        return _is_among(key, self.unused)


def _is_among(key, names):
    return any(key.startswith(name) if name.endswith(('/', '.'))
               else key == name for name in names)


@dataclasses.dataclass(frozen=True)
class EncoderEntry:
    """An encoder.

    Attributes:
      features: image, a symbolic [B, H, W, 3] float32 tensor in [-1, 1] ->
        dict of the `MAPS`, [B, H / s, W / s, C]. With `has_tokens` it also
        takes `position_grid`, `class_token` and `dropout`, as
        `encoder.build_encoder` does, and returns a `class_token`, [B, C], if
        asked to.
      head: (one of those outputs, num_classes) -> logits [B, num_classes]
        float32. With `has_representation` it also takes
        `representation_size`.
      keys: KeyMap of the published weights.
      head_input: name of the output that the head takes.
      has_tokens: whether the encoder ends in a transformer.
      has_representation: whether the head may have a representation layer.
      decoder: DecoderSpec of `segmenter.build_segmenter` unless it is given
        one. Launchers take theirs from gin.
    """
    features: 'Callable[..., Mapping[str, keras.KerasTensor]]'
    head: 'Callable[..., keras.KerasTensor]'
    keys: KeyMap
    head_input: str = 'stride16'
    has_tokens: bool = False
    has_representation: bool = False
    decoder: specs.DecoderSpec = specs.DecoderSpec()


def check_name(name: str) -> None:
    """Raises a UserError unless `name` has the form of an encoder's name."""
    if name not in NAMES and not _OTHER.fullmatch(str(name)):
        raise errors.UserError(
            f'EncoderSpec.name must be one of {", ".join(NAMES)}; {KERAS}NAME '
            'for one of keras.applications, such as keras/EfficientNetV2B0; '
            f'or MODULE:ENTRY for an encoder of your own, got {name!r}')


def find(name: str, representation_size: int | None = None) -> EncoderEntry:
    """Returns the entry of an encoder.

    Args:
      name: one of NAMES, keras/NAME, or MODULE:ENTRY.
      representation_size: units of the head's representation layer; 0 or None
        for none.

    Raises:
      UserError: there is no such encoder, or its head has no such layer.
    """
    check_name(name)
    entry = _keras_entry(name) if name.startswith(KERAS) else _entry(name)
    if representation_size and not entry.has_representation:
        raise errors.UserError(
            f'representation_size: {name} has its own head, without a '
            'representation layer: leave it 0, or None in Python')
    return entry


def _keras_entry(name):
    from ddep_tf.models import keras_applications
    return keras_applications.entry(name)


def _entry(name):
    module, _, attribute = _BUILT_IN.get(name, name).partition(':')
    entry = getattr(_import(module, name), attribute, None)
    if not isinstance(entry, EncoderEntry):
        raise errors.UserError(f'EncoderSpec.name {name!r}: the module '
                               f'{module} has no EncoderEntry {attribute}')
    return entry


def _import(module, name):
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f'{module}.'.startswith(f'{error.name}.'):
            raise  # The module is there, but not one that it imports.
        raise errors.UserError(
            f'EncoderSpec.name {name!r}: there is no module {error.name}: '
            'install it, or add its folder to PYTHONPATH') from error
