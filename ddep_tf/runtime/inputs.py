"""The examples of a run: its splits, its labelled subset, what it holds out."""

import dataclasses

from ddep_tf import errors
from ddep_tf.data import subsets
from ddep_tf.data.sources import factory

_DECODES = {'classify': 'class', 'denoise': 'nothing', 'segment': 'mask'}


def open_inputs(run, data_dir, splits=('train', 'val', 'test')):
    """Opens the splits of a run.

    Args:
      run: RunSpec.
      data_dir: root folder of the data.
      splits: of 'train', 'val' and 'test'; the last two of the first set
        only. Where the run holds images out, they are 'val'.

    Returns:
      {split: list of sources}; empty where the first set names no such split.
    """
    inputs = {}
    if 'train' in splits or ('val' in splits and run.holdout):
        opened = open_labelled(run, data_dir)
        inputs['train'], inputs['val'] = hold_out(run, opened)
    for split in ('val', 'test'):
        name = getattr(run.data[0], f'{split}_split')
        if split in splits and name and not inputs.get(split):
            inputs[split] = [factory.open_source(
                run.data[0], name, data_dir, _DECODES[run.stage])]
    return {split: inputs.get(split, []) for split in splits}


def open_labelled(run, data_dir):
    """Returns a run's opened train sets, cut to their labelled subset."""
    opened = [factory.open_source(spec, spec.train_split, data_dir,
                                  _DECODES[run.stage])
              for spec in run.data]
    _check_same_classes(run)
    return take_labels(run, opened)


def all_labels(run):
    """Returns the RunSpec with all labels in place of a subset."""
    return dataclasses.replace(run, label_count=0, label_fraction=0.0)


def take_labels(run, opened):
    """Returns the part of a run's opened train sets whose labels it uses.

    Args:
      run: RunSpec.
      opened: list of sources, of all their examples.

    Raises:
      UserError: labels are chosen from several sets, or cannot be had.
    """
    if not (run.label_fraction or run.label_count):
        return opened
    source = _only(opened, 'label_fraction and label_count choose')
    return [source.subset(subsets.label_subset(
        source.ids, fraction=run.label_fraction or None,
        seed=subset_seed(run), count=run.label_count or None))]


def hold_out(run, opened):
    """Splits a run's labelled sources into (trained on, validated on).

    Which ones are held out hangs on the subset's seed, as the subset does,
    but is drawn apart from it.

    Raises:
      UserError: there are several sets, or too few images to split.
    """
    if not run.holdout:
        return opened, []
    source = _only(opened, 'RunSpec.holdout chooses')
    count = int(run.holdout * source.num_examples + 0.5)
    if not 0 < count < source.num_examples:
        raise errors.UserError(
            f'RunSpec.holdout {run.holdout:g} of {source.num_examples} '
            f'labelled images holds out {count}: change it, or take more '
            'labels')
    # Subsets have seeds from 0 on: a negative one is another choice.
    held = set(subsets.label_subset(source.ids, count=count,
                                      seed=-1 - subset_seed(run)))
    kept = [name for name in source.ids if name not in held]
    return [source.subset(kept)], [source.subset(held)]


def _only(opened, what):
    if len(opened) > 1:
        raise errors.UserError(f'{what} from one set, RunSpec.data names '
                               f'{len(opened)}')
    return opened[0]


def _check_same_classes(run):
    """A head has one meaning: labelled sets must agree on the classes."""
    if run.stage == 'denoise':
        return
    kinds = {(spec.num_classes, spec.label_set) for spec in run.data}
    if len(kinds) > 1:
        raise errors.UserError(
            f'RunSpec.data of stage {run.stage} names sets of different '
            'classes (num_classes, label_set): ' + ', '.join(
                f'{count}, {name!r}' for count, name in sorted(kinds)))


def subset_seed(run):
    """Returns the seed that chooses a run's labelled images."""
    return run.seed if run.subset_seed < 0 else run.subset_seed
