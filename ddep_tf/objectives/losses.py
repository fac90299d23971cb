"""Losses of segmentation where labels are missing, per pixel and per image.

Keras' losses are not used: those that skip ignored pixels know neither label
smoothing nor focusing, and its focal and Dice losses skip none; they also clip
probabilities at 1e-7, where the gradient ends.
"""

import tensorflow as tf

from ddep_tf import specs
from ddep_tf.models import layers

_EPSILON = 1e-7  # Where a power below 1 has no finite gradient.


def is_labelled(labels: tf.Tensor) -> tf.Tensor:
    """Returns where train ids are not ignored, bool of their shape."""
    # Not `!=`, which in a tf.Graph asks whether they are one object.
    return tf.not_equal(labels, specs.IGNORE_LABEL)


def pixel_weights(labels: tf.Tensor, spec: specs.LossSpec) -> tf.Tensor:
    """Returns what each pixel weighs, float32 of the shape of `labels`.

    Args:
      labels: int32 train ids, 255 ignored, which weighs 0.
      spec: LossSpec with numbers, not 'balanced', as its class weights.
    """
    if not spec.class_weights:
        return tf.cast(is_labelled(labels), tf.float32)
    table = tf.constant(spec.class_weights, tf.float32)
    return tf.linalg.matvec(_one_hot(labels, len(table)), table)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor,
                  spec: specs.LossSpec) -> tf.Tensor:
    """Returns the cross-entropy of each pixel, smoothed and focused.

    With H the cross-entropy and p the probability of the true class, a pixel's
    loss is (1 - p)^gamma H, the focal loss of Lin et al. (2017). With label
    smoothing e, H is (1 - e) times that of the true class plus e times the
    mean over all classes.

    Args:
      labels: [B, H, W] int32 train ids, 255 ignored.
      logits: [B, H, W, C] float32.
      spec: LossSpec.

    Returns:
      [B, H, W] float32; of ignored pixels any finite number.
    """
    entropy = _entropy(labels, logits, spec.label_smoothing)
    if not spec.focal_gamma:
        return entropy
    true_class = (_entropy(labels, logits, 0.0) if spec.label_smoothing
                  else entropy)
    wrong = tf.maximum(-tf.math.expm1(-true_class), _EPSILON)
    return entropy * wrong ** spec.focal_gamma


def _entropy(labels, logits, smoothing):
    """Sums over the classes, since a gather of every pixel, and above all the
    scatter that is its gradient, are slow. Of maps of all classes, which a
    step's memory is at its peak for, the gradient keeps the logits alone."""
    num_classes = logits.shape[-1]

    def target(labels):
        truth = _one_hot(labels, num_classes)
        return (1 - smoothing) * truth + smoothing / num_classes if (
            smoothing) else truth

    @tf.custom_gradient
    def compute(logits):
        def gradient(upstream):
            again, known = (layers.after(upstream, x) for x in (logits, labels))
            return upstream[..., None] * (
                tf.nn.softmax(again) - target(known))

        # Shifted by the greatest logit, the loss keeps its digits where the
        # network is sure.
        shifted = logits - tf.reduce_max(logits, -1, keepdims=True)
        return (tf.math.log(tf.reduce_sum(tf.exp(shifted), -1))
                - tf.reduce_sum(target(labels) * shifted, -1)), gradient

    return compute(logits)


def dice(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the soft Dice loss of each image, in [0, 1].

    It is the mean of 1 - 2 sum(p t) / (sum(p) + sum(t)) over the classes t
    that the image has; the sums are over its labelled pixels. It is taken per
    image, since Dice over a batch is no sum over replicas: they would have to
    exchange what they predict between loss and gradient, which XLA cannot.

    Args:
      labels: [B, H, W] int32 train ids, 255 ignored.
      logits: [B, H, W, C] float32.

    Returns:
      [B] float32; 0 for an image without labelled pixels.
    """
    valid = tf.cast(is_labelled(labels), tf.float32)[..., None]
    truth = _one_hot(labels, logits.shape[-1])
    predicted = tf.nn.softmax(logits) * valid
    overlap, of_truth, of_prediction = (
        tf.reduce_sum(x, (1, 2)) for x in (truth * predicted, truth,
                                           predicted))
    present = tf.cast(of_truth > 0, tf.float32)
    coefficients = tf.math.divide_no_nan(
        2 * overlap, present * (of_truth + of_prediction))
    return tf.math.divide_no_nan(
        tf.reduce_sum(present - coefficients, -1), tf.reduce_sum(present, -1))


def _one_hot(labels, num_classes):
    """[..., num_classes] float32; 255 is beyond the classes: ignored pixels
    are of none."""
    return tf.one_hot(labels, num_classes)
