"""Semantic segmentation: per-pixel cross-entropy [S], or what LossSpec adds."""

import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.objectives import base, losses

_PLAIN = specs.LossSpec()


class Segment(base.Objective):
    """Means over the labelled pixels, or images, of the global batch.

    Args:
      network: Network whose output channels are the classes.
      loss: LossSpec; class weights are numbers, see `runtime/class_weights`.
    """

    stage = 'segment'
    decodes = 'mask'
    whole_images = True
    headline = 'mean_iou'
    higher_is_better = True
    metric_names = ('loss', 'pixel_accuracy')

    def __init__(self, network, loss=_PLAIN, **kwargs):
        super().__init__(network, **kwargs)
        self.loss_spec = loss

    @classmethod
    def from_run(cls, run, network):
        objective = cls(network, run.loss)
        objective.build(None)
        return objective

    @classmethod
    def num_outputs(cls, run):
        classes = base.num_classes(run)
        if classes > specs.IGNORE_LABEL:
            raise errors.UserError(
                f'DatasetSpec.num_classes of {run.data[0].name!r} is '
                f'{classes}: a mask holds {specs.IGNORE_LABEL} classes at '
                f'most, as its {specs.IGNORE_LABEL} is what is ignored')
        return classes

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
        """See base. [3] float32 of the whole batch, so that one replica and
        many have the same gradient: labelled pixels, what they weigh, and
        images with any."""
        labels = batch['label']
        valid = losses.is_labelled(labels)
        totals = base.replica_sum(tf.stack([
            tf.reduce_sum(tf.cast(valid, tf.float32)),
            tf.reduce_sum(losses.pixel_weights(labels, self.loss_spec)),
            tf.reduce_sum(tf.cast(tf.reduce_any(valid, (1, 2)), tf.float32))]))
        return tf.where(totals > 0, totals, 1.0)

    def batch_loss(self, batch, training, divisor=None):
        """See base. `batch`: image, label [B, H, W] int32, 255 ignored."""
        labels, spec = batch['label'], self.loss_spec
        pixels, weight, images = tf.unstack(
            self.divisor(batch) if divisor is None else divisor)
        logits = self.network(batch['image'], training=training)
        loss = tf.reduce_sum(
            losses.cross_entropy(labels, logits, spec) *
            losses.pixel_weights(labels, spec)) / weight
        if spec.dice_weight:
            loss += spec.dice_weight * tf.reduce_sum(
                losses.dice(labels, logits)) / images
        valid = tf.cast(losses.is_labelled(labels), tf.float32)
        hits = tf.cast(tf.equal(tf.argmax(logits, -1, tf.int32), labels),
                       tf.float32)
        return loss, {'pixel_accuracy': tf.reduce_sum(hits * valid) / pixels}
