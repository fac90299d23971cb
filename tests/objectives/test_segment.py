"""The loss of the segment stage where labels are missing."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.objectives import segment

pytestmark = pytest.mark.quick


class _Linear(keras.layers.Layer):
    """[B, H, W, 3] -> [B, H, W, 2]."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 2), initializer='ones')

    def call(self, inputs):
        return inputs @ self.kernel


def _loss_and_gradient(labels):
    network = keras.Sequential([keras.Input((4, 4, 3)), _Linear()])
    objective = segment.Segment(network, specs.LossSpec())
    image = np.random.default_rng(0).normal(size=(len(labels), 4, 4, 3))
    with tf.GradientTape() as tape:
        loss, _ = objective.batch_loss(
            {'image': tf.constant(image, tf.float32),
             'label': tf.constant(labels, tf.int32)}, True)
    return float(loss), tape.gradient(loss, network.trainable_variables)[0]


def test_a_batch_without_any_label_is_harmless():
    loss, gradient = _loss_and_gradient(np.full((1, 4, 4), 255))
    assert loss == 0.0 and not gradient.numpy().any()


def test_an_image_without_labels_does_not_change_the_loss():
    labelled = np.arange(16).reshape(1, 4, 4) % 2
    ignored = np.full((1, 4, 4), 255)
    # Both logits are equal: the loss of a labelled pixel is log 2.
    loss, gradient = _loss_and_gradient(np.concatenate([labelled, ignored]))
    np.testing.assert_allclose(loss, np.log(2), rtol=1e-6)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(gradient, _loss_and_gradient(labelled)[1],
                               rtol=1e-5)


@pytest.mark.parametrize('classes, refused', [(255, False), (256, True)])
def test_ids_of_classes_fit_a_mask(classes, refused):
    """Whose 255 is what is ignored."""
    run = specs.RunSpec(stage='segment', data=(
        specs.DatasetSpec(name='own', num_classes=classes),))
    with pytest.raises(errors.UserError, match='255 classes at most') if (
            refused) else contextlib.nullcontext():
        assert segment.Segment.num_outputs(run) == classes
