"""Class weights that balance the classes of the images a run trains on."""

import dataclasses

import numpy as np

from ddep_tf import errors, specs
from ddep_tf.data import pipelines, subsets
from ddep_tf.data.sources import factory
from ddep_tf.runtime import inputs, progress

# Of a larger set so many masks are read, chosen by their ids [O].
READ_AT_MOST = 2000


def resolved(run: specs.RunSpec, sources: inputs.Sources) -> specs.RunSpec:
    """Returns the RunSpec with numbers in place of 'balanced' class weights.

    They depend on the images alone: every start and every worker finds the
    same.

    Args:
      run: RunSpec.
      sources: what it trains on.

    Raises:
      UserError: the masks hold no labelled pixel.
    """
    if run.loss.class_weights != specs.BALANCED:
        return run
    counts = np.sum([pixel_counts(source, run.data[0].num_classes)
                     for source in sources], axis=0)
    return dataclasses.replace(run, loss=dataclasses.replace(
        run.loss, class_weights=balanced(counts)))


def pixel_counts(source: factory.Source, num_classes: int) -> np.ndarray:
    """Returns how many pixels of each class the masks hold, [C] float64."""
    count = source.num_examples
    if count > READ_AT_MOST:
        source = source.subset(subsets.label_subset(source.ids,
                                                    count=READ_AT_MOST))
    counts = np.zeros(256, np.int64)
    masks = progress.bar(pipelines.mask_dataset(source), 'count pixels')
    for mask in masks:
        counts += np.bincount(mask.numpy().ravel(), minlength=256)
    # Those of a part stand for all: or a larger set would count no more than
    # a smaller one beside it.
    return counts[:num_classes] * (count / source.num_examples)


def balanced(counts: np.ndarray) -> tuple[float, ...]:
    """Returns N / (K n) for each class of n pixels, of N pixels and K classes
    that occur, as scikit-learn's class_weight='balanced'; 0 for the others.

    Args:
      counts: [C], pixels of each class.

    Raises:
      UserError: no class has a pixel.
    """
    occurring = counts > 0
    if not occurring.any():
        raise errors.UserError(
            "LossSpec.class_weights is 'balanced', but the masks of the "
            'training images hold no labelled pixel: correct them')
    weights = counts.sum() / (occurring.sum() * np.maximum(counts, 1))
    return tuple(np.where(occurring, weights, 0.0).tolist())
