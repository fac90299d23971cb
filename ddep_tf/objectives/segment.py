"""Semantic segmentation: per-pixel cross-entropy [S]."""

import tensorflow as tf

from ddep_tf import specs
from ddep_tf.objectives import base


class Segment(base.Objective):
    """Cross-entropy over the labelled pixels of the global batch."""

    stage = 'segment'
    decodes = 'mask'
    whole_images = True
    headline = 'mean_iou'
    higher_is_better = True
    metric_names = ('loss', 'pixel_accuracy')

    @classmethod
    def num_outputs(cls, run):
        return base.num_classes(run)

    @classmethod
    def batch_signature(cls, run, batch_size):
        return {'image': base.image_signature(run, batch_size),
                'label': tf.TensorSpec((batch_size, *run.crop_size), tf.int32)}

    @classmethod
    def result_rows(cls, result, class_names):
        rows = [*zip(class_names, result['iou'], strict=True),
                ('mean IoU', result['mean_iou']),
                ('pixel accuracy', result['pixel_accuracy'])]
        if 'single_scale' in result:
            rows.append(('mean IoU, single scale',
                         result['single_scale']['mean_iou']))
        return [(name, value, True) for name, value in rows]

    def divisor(self, batch):
        """See base. The labelled pixels of the whole batch, so that one
        replica and many have the same gradient; float32."""
        valid = tf.cast(batch['label'] != specs.IGNORE_LABEL, tf.float32)
        return tf.maximum(base.replica_sum(tf.reduce_sum(valid)), 1.0)

    def batch_loss(self, batch, training, divisor=None):
        """See base. `batch`: image, label [B, H, W] int32, 255 ignored."""
        labels = batch['label']
        valid = labels != specs.IGNORE_LABEL
        logits = self.network(batch['image'], training=training)
        # Ignored pixels take class 0 and weigh nothing: 255 is no class, and
        # what the loss does with it differs between CPU and GPU.
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.where(valid, labels, 0), logits)
        weights = tf.cast(valid, tf.float32)
        hits = tf.cast(tf.argmax(logits, -1, tf.int32) == labels, tf.float32)
        total = self.divisor(batch) if divisor is None else divisor
        return tf.reduce_sum(losses * weights) / total, {
            'pixel_accuracy': tf.reduce_sum(hits * weights) / total}
