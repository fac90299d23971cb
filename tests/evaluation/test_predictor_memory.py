"""Evaluating streams: what it holds does not grow with the split."""

import gc
import tracemalloc
import weakref

import numpy as np
import tensorflow as tf

from ddep_tf.evaluation import predictor

CLASSES = 4


class _Guess:
    """Stands in for a Predictor: the class is what the image's red says."""

    def __init__(self, batch_size=4):
        self.batch_size = batch_size
        self.given = []  # TensorFlow's own memory is not traced.

    def __call__(self, images, size):
        del size
        self.given.append(weakref.ref(images))
        ids = tf.cast(images[..., 0], tf.int32)
        return tf.one_hot(ids, CLASSES)


class _Label:
    """A label that hands out a new array, as a tensor may."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def numpy(self):
        return self._array


def _stream(count, alive, most):
    """Yields examples; notes how many of all given out are still held."""
    for index in range(count):
        image = np.full((32, 32, 3), index % CLASSES, 'f4')
        label = np.zeros((32, 32), np.int64)
        alive += [weakref.ref(image), weakref.ref(label)]
        yield {'image': image, 'label': _Label(label)}
        del image, label
        most.append(sum(ref() is not None for ref in alive) / 2)


def test_no_more_than_a_batch_of_examples_is_held():
    alive, most, masks = [], [], []

    def see(one):
        assert one.position == len(masks)
        ids = one.predicted
        base = ids if ids.base is None else ids.base
        masks.append(weakref.ref(base))
    guess = _Guess(batch_size=4)
    predictor.evaluate(guess, _stream(40, alive, most), CLASSES, 40, see=see)
    # A batch, the first of the next, and the batch stacked.
    assert 1 <= max(most) <= 4 + 2
    gc.collect()
    assert len(guess.given) == 10
    assert not any(ref() is not None for ref in guess.given)
    assert len(masks) == 40 and not any(ref() is not None for ref in masks)


def _peak(count):
    gc.collect()
    tracemalloc.start()
    try:
        predictor.evaluate(_Guess(), _stream(count, [], []), CLASSES, count,
                          see=lambda one: None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images():
    _peak(8)  # What is loaded and traced at first.
    few, many = _peak(50), _peak(200)
    # An image and label are 20 KB: 150 more would be 3 MB.
    assert many < few + 500_000
