"""Evaluating streams: what it holds does not grow with the split."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import predictor

import networks

CLASSES = 4


@pytest.fixture(name='guess', scope='module')
def red_says():
    """Takes the class from the image's red."""
    network = networks.Plain(CLASSES, lambda images: 100 * tf.one_hot(
        tf.cast(images[..., 0], tf.int32), CLASSES))
    return predictor.Predictor(network, specs.EvalSpec(batch_size=4))


def _stream(count, alive, most):
    """Yields examples; notes how many of all given out are still held."""
    for index in range(count):
        image = np.full((32, 32, 3), index % CLASSES, 'f4')
        label = np.zeros((32, 32), np.int64)
        alive += [weakref.ref(image), weakref.ref(label)]
        yield {'image': image, 'label': label}
        del image, label
        most.append(sum(ref() is not None for ref in alive) / 2)


def test_no_more_than_a_batch_of_examples_is_held(guess):
    alive, most, masks = [], [], []

    def see(one):
        assert one.position == len(masks)
        ids = one.predicted
        base = ids if ids.base is None else ids.base
        masks.append(weakref.ref(base))
    predictor.evaluate(guess, _stream(40, alive, most), CLASSES, 40, see=see)
    # A batch, and the first of the next.
    assert 1 <= max(most) <= 4 + 2
    gc.collect()
    assert len(masks) == 40 and not any(ref() is not None for ref in masks)


def _peak(guess, count):
    gc.collect()
    tracemalloc.start()
    try:
        predictor.evaluate(guess, _stream(count, [], []), CLASSES, count,
                           see=lambda one: None)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(guess):
    _peak(guess, 8)  # What is loaded and traced at first.
    few, many = _peak(guess, 50), _peak(guess, 200)
    # An image and label are 20 KB: 150 more would be 3 MB.
    assert many < few + 500_000
