"""Supervised classification: how the encoder is pretrained [S]."""

import tensorflow as tf

from ddep_tf.models import encoder
from ddep_tf.objectives import base


class Classify(base.Objective):
    """Softmax cross-entropy over image labels."""

    stage = 'classify'
    decodes = 'class'
    has_decoder = False
    headline = 'accuracy'
    higher_is_better = True
    metric_names = ('loss', 'accuracy')

    @classmethod
    def num_outputs(cls, run):
        return base.num_classes(run)

    @classmethod
    def build_network(cls, run, position_grid):
        """Returns a Classifier for images of the crop's size."""
        return encoder.build_classifier(
            run.encoder.name, cls.num_outputs(run),
            run.encoder.representation_size or None,
            image_size=run.crop_size, position_grid=position_grid,
            dropout=encoder.dropout_of(run.encoder))

    @classmethod
    def batch_signature(cls, run, batch_size):
        return {'image': base.image_signature(run, batch_size),
                'label': tf.TensorSpec((batch_size,), tf.int32)}

    @classmethod
    def result_rows(cls, result, class_names):
        return [('accuracy', result['accuracy'], True)]

    def batch_loss(self, batch, training, divisor=None):
        """See base. `batch`: image [B, H, W, 3] float32, label [B] int32."""
        logits = self.network(batch['image'], training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch['label'], logits)
        hits = tf.argmax(logits, -1, tf.int32) == batch['label']
        return base.global_mean(losses, divisor), {
            'accuracy': base.global_mean(tf.cast(hits, tf.float32), divisor)}
