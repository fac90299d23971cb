"""Balanced class weights depend on the images that are trained on alone."""

import dataclasses

import numpy as np
import pytest
import sklearn.utils

from ddep_tf import errors, specs
from ddep_tf.data import shapes
from ddep_tf.runtime import class_weights, inputs

BALANCED = specs.LossSpec(class_weights='balanced')


def test_balanced_is_that_of_scikit_learn():
    counts = np.array([7, 0, 1, 30])
    expected = sklearn.utils.compute_class_weight(
        'balanced', classes=np.array([0, 2, 3]),
        y=np.repeat(np.arange(4), counts))
    found = class_weights.balanced(counts)
    np.testing.assert_allclose(np.delete(found, 1), expected)
    assert found[1] == 0.0
    with pytest.raises(errors.UserError, match='no labelled pixel'):
        class_weights.balanced(np.zeros(4, np.int64))


def test_pixels_of_the_subset_are_counted(make_run, monkeypatch):
    run = make_run('segment', loss=BALANCED, label_count=3, holdout=0.34)
    source, = inputs.open_inputs(run, '')['train']
    assert source.num_examples == 2
    masks = [shapes.render('segment', 'train', int(name.split('_')[-1]))[1]
             for name in source.ids]
    expected = np.bincount(np.ravel(masks), minlength=6)
    np.testing.assert_array_equal(class_weights.pixel_counts(source, 6),
                                  expected)
    found = class_weights.resolved(run, [source])
    assert found.loss.class_weights == class_weights.balanced(expected)
    assert dataclasses.replace(found, loss=BALANCED) == run
    plain = make_run('segment')
    assert class_weights.resolved(plain, [source]) is plain
    # Of a large set a part is read, and counts for all.
    monkeypatch.setattr(class_weights, 'READ_AT_MOST', 1)
    assert class_weights.pixel_counts(source, 6).sum() == 2 * 64 * 64
