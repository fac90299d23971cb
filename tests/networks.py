"""Functions in place of networks."""

import numpy as np

from ddep_tf.evaluation import rounds


class Plain:
    """A function of images as a network of so many outputs.

    Args:
      num_outputs: channels of the result.
      function: [B, h, w, 3] float32 -> [B, h, w, num_outputs].
    """

    def __init__(self, num_outputs, function):
        self.num_outputs = num_outputs
        self._function = function

    def __call__(self, images, training=False):
        del training
        return self._function(images)


def probabilities(predictor, images, size):
    """Returns what a Predictor gives of images of one size: [B, h, w, C]."""
    (_, found), = predictor.predict(
        [rounds.Group(np.asarray(images), size)], True)
    return found
