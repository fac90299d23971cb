"""Supervised classification: how the encoder is pretrained [S]."""

import tensorflow as tf

from ddep_tf.objectives import base


class Classify(base.Objective):
    """Softmax cross-entropy over image labels."""

    metric_names = ('loss', 'accuracy')

    def batch_loss(self, batch, training):
        """See base. `batch`: image [B, H, W, 3] float32, label [B] int32."""
        logits = self.network(batch['image'], training=training)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch['label'], logits)
        hits = tf.argmax(logits, -1, tf.int32) == batch['label']
        return base.global_mean(losses), {
            'accuracy': base.global_mean(tf.cast(hits, tf.float32))}
