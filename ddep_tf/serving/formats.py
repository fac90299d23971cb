"""The formats of an exported model: how each is written, and opened."""

from collections.abc import Callable
import dataclasses
import functools
import importlib
import logging
import pathlib
import types
import warnings

import keras
import numpy as np
import tensorflow as tf

from ddep_tf import errors

# images [B, H, W, 3] uint8 -> (ids [B, H, W] uint8,
# probabilities [B, H, W, C] float32).
Segment = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      file: name of what is written: a file, or a folder.
      write: writes a serving model to a path.
      open: path -> function of images.
      plain: whether it holds Keras' own layers only.
    """
    file: str
    write: Callable[[keras.Model, pathlib.Path], None]
    open: Callable[[pathlib.Path], Segment]
    plain: bool = False


def _write_keras(model, path):
    model.save(path)


def _open_keras(path):
    model = keras.saving.load_model(path, compile=False)
    return lambda images: _pair(model.predict_on_batch(images))


def _write_saved_model(model, path):
    model.export(path, format='tf_saved_model', verbose=False)


def _open_saved_model(path):
    loaded = tf.saved_model.load(str(path))
    return lambda images: _pair(loaded.serve(tf.constant(images)))


def _write_onnx(model, path):
    for name in ('onnx', 'tf2onnx', 'onnxruntime'):
        _imported(name)
    _teach_erfc()
    logger = logging.getLogger('tf2onnx')
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # It logs each optimization it skips.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            # Named, since Keras would have it called before.
            model.export(path, format='onnx', verbose=False,
                         input_signature=model.inputs)
    finally:
        logger.setLevel(level)


@functools.cache
def _teach_erfc():
    """Teaches tf2onnx 1 - erf(x), of which TensorFlow makes its GELU."""
    handler = importlib.import_module('tf2onnx.handler')

    @handler.tf_op('Erfc')
    class _Erfc:
        @classmethod
        def version_9(cls, graph, node, **kwargs):
            del kwargs
            name, output = node.name, node.output[0]
            typed = {'shapes': [graph.get_shape(output)],
                     'dtypes': [graph.get_dtype(output)]}
            one = graph.make_const(f'{name}_one', np.float32(1))
            erf = graph.make_node('Erf', node.input, name=f'{name}_erf')
            graph.remove_node(name)
            graph.make_node('Sub', [one.output[0], erf.output[0]], name=name,
                            outputs=[output], **typed)


def _open_onnx(path):
    runtime = _imported('onnxruntime')
    session = runtime.InferenceSession(
        str(path), providers=runtime.get_available_providers())
    names = ['ids', 'probabilities']
    return lambda images: tuple(session.run(names, {'image': images}))


def _write_litert(model, path):
    model.export(path, format='litert', verbose=False)


def _open_litert(path):
    litert = importlib.import_module('ai_edge_litert.interpreter')
    interpreter = litert.Interpreter(str(path))
    runner = interpreter.get_signature_runner()
    return lambda images: _pair(runner(image=images))


def _pair(result):
    return np.asarray(result['ids']), np.asarray(result['probabilities'])


def _imported(name) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise errors.UserError(
            f'the format onnx needs {name}, which cannot be imported '
            f"({error}): pip install 'ddep_tf[onnx]'") from error


FORMATS = {
    'keras': Format('model.keras', _write_keras, _open_keras, plain=True),
    'saved_model': Format('saved_model', _write_saved_model,
                          _open_saved_model),
    'onnx': Format('model.onnx', _write_onnx, _open_onnx),
    'litert': Format('model.tflite', _write_litert, _open_litert),
}
