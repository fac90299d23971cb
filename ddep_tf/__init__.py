"""Decoder Denoising Pretraining for semantic segmentation.

The public API, imported lazily: `import ddep_tf` alone loads no TensorFlow.
"""

import importlib
import os
import sys

__version__ = '0.1.0'

_HOMES = {
    'build_encoder': 'ddep_tf.models.encoder',
    'build_classifier': 'ddep_tf.models.encoder',
    'build_segmenter': 'ddep_tf.models.segmenter',
    'load_vit_npz': 'ddep_tf.models.weights',
    'corrupt': 'ddep_tf.objectives.noise',
    'confusion_matrix': 'ddep_tf.evaluation.metrics',
    'iou_per_class': 'ddep_tf.evaluation.metrics',
    'mean_iou': 'ddep_tf.evaluation.metrics',
    'label_subset': 'ddep_tf.data.subsets',
    'load': 'ddep_tf.serving.loading',
    'map_labels': 'ddep_tf.data.labels',
}

_ON_KERAS = ('ddep_tf.models', 'ddep_tf.objectives', 'ddep_tf.serving')

__all__ = sorted(_HOMES)  # noqa: PLE0605  A list of names.


# Keras reads it when it is imported: the networks are TensorFlow's.
if 'keras' not in sys.modules:
    os.environ['KERAS_BACKEND'] = 'tensorflow'


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    keras = sys.modules.get('keras')
    needs_keras = _HOMES[name].startswith(_ON_KERAS)
    if keras and needs_keras and keras.config.backend() != 'tensorflow':
        raise ImportError(
            f'Keras runs on {keras.config.backend()}, ddep_tf on TensorFlow: '
            "import ddep_tf before keras, or set KERAS_BACKEND='tensorflow'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__():
    return sorted(set(globals()) | set(_HOMES))
