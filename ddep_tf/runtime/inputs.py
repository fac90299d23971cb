"""The examples of a run: its splits, its labelled subset, what it holds out."""

from collections.abc import Sequence
import dataclasses
import os

import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import pipelines, subsets
from ddep_tf.data.sources import factory
from ddep_tf.objectives import registry

Sources = list[factory.Source]
SPLITS = ('train', 'val', 'test')


def open_inputs(run: specs.RunSpec, data_dir: str | os.PathLike,
                splits: Sequence[str] = SPLITS) -> dict[str, Sources]:
    """Opens the splits of a run.

    Args:
      run: RunSpec.
      data_dir: root folder of the data.
      splits: of 'train', 'val' and 'test'; the last two are those of the
        first data set. Where the run holds images out, they are its 'val'.

    Returns:
      {split: list of sources}, empty where the first set names no such split.
    """
    inputs = {}
    if 'train' in splits or ('val' in splits and run.holdout):
        opened = open_labelled(run, data_dir)
        inputs['train'], inputs['val'] = hold_out(run, opened)
    for split in ('val', 'test'):
        name = getattr(run.data[0], f'{split}_split')
        if split in splits and name and not inputs.get(split):
            inputs[split] = [_open(run, run.data[0], name, data_dir)]
    return {split: inputs.get(split, []) for split in splits}


def open_labelled(run: specs.RunSpec, data_dir: str | os.PathLike) -> Sources:
    """Opens a run's training sets, cut to their labelled subset."""
    opened = [_open(run, spec, spec.train_split, data_dir)
              for spec in run.data]
    _check_same_classes(run)
    return take_labels(run, opened)


def with_all_labels(run: specs.RunSpec) -> specs.RunSpec:
    """Returns the RunSpec with all labels in place of a subset."""
    return dataclasses.replace(run, label_count=0, label_fraction=0.0)


def take_labels(run: specs.RunSpec, opened: Sources) -> Sources:
    """Returns the part of a run's training sets whose labels it uses.

    Args:
      run: RunSpec.
      opened: its training sets, whole.

    Raises:
      UserError: a subset of several sets is asked for, or one that is larger
        than its set.
    """
    if not (run.label_fraction or run.label_count):
        return opened
    source = _only(opened, 'label_fraction and label_count choose')
    return [source.subset(subsets.label_subset(
        source.ids, fraction=run.label_fraction or None,
        seed=subset_seed(run), count=run.label_count or None))]


def hold_out(run: specs.RunSpec, opened: Sources) -> tuple[Sources, Sources]:
    """Splits a run's labelled sources into (trained on, validated on).

    The choice depends on the subset's seed, as the subset does, but is drawn
    independently of it.

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
            f'labelled images holds out {count}: change it, or use more '
            'labels')
    # Subsets have seeds from 0 on: a negative one is another choice.
    held = set(subsets.label_subset(source.ids, count=count,
                                    seed=-1 - subset_seed(run)))
    kept = [name for name in source.ids if name not in held]
    return [source.subset(kept)], [source.subset(held)]


def subset_seed(run: specs.RunSpec) -> int:
    """Returns the seed that chooses a run's labelled images."""
    return run.seed if run.subset_seed < 0 else run.subset_seed


def train_dataset(run: specs.RunSpec, sources: Sources,
                  start_step: int = 0, host: int = 0, hosts: int = 1,
                  batch_size: int = 0, data_service: str = ''
                  ) -> tf.data.Dataset:
    """Returns the infinite tf.data of a run's batches.

    Args:
      run: RunSpec.
      sources: its training sets.
      start_step: the step to begin with.
      host, hosts, batch_size, data_service: the part of a host, and who makes
        it, as of `pipelines.train_dataset`.
    """
    return pipelines.train_dataset(
        sources, crop_size=run.crop_size,
        global_batch_size=run.global_batch_size, seed=run.seed,
        start_step=start_step, flip=run.flip, augment=run.augment,
        example_fn=_example_fn(run), image_dtype=run.image_dtype,
        max_readers=_max_readers(run), host=host, hosts=hosts,
        batch_size=batch_size, data_service=data_service)


def decoded_once(run: specs.RunSpec, sources: Sources,
                 start_step: int = 0, data_service: str = '') -> Sources:
    """Returns a run's training sets for `train_dataset`, decoded here and now
    where memory holds them, the steps from `start_step` on see them twice or
    more, and they are not left to other hosts or to a data service."""
    uses = (run.steps - start_step) * run.global_batch_size
    if (data_service or are_portable(sources)
            or uses < 2 * sum(source.num_examples for source in sources)):
        return sources
    return pipelines.decoded_once(sources, _max_readers(run),
                                  run.global_batch_size)


def are_portable(sources: Sources) -> bool:
    """Whether any host could make the data set of these sources."""
    return all(source.is_portable for source in sources)


def crop_dataset(run: specs.RunSpec, source: factory.Source,
                 batch_size: int) -> tf.data.Dataset:
    """Returns the center crops of a source once, as the run's stage takes
    them."""
    return pipelines.eval_dataset(source, batch_size, run.crop_size,
                                  example_fn=_example_fn(run),
                                  image_dtype=run.image_dtype)


def _max_readers(run):
    return max(spec.readers for spec in run.data)


def _example_fn(run):
    return registry.objective_of(run.stage).example_fn(run)


def _open(run, spec, split, data_dir):
    return factory.open_source(spec, split, data_dir,
                               registry.objective_of(run.stage).decodes)


def _only(opened, what):
    if len(opened) > 1:
        raise errors.UserError(f'{what} from one set, RunSpec.data names '
                               f'{len(opened)}')
    return opened[0]


def _check_same_classes(run):
    """A head has one meaning: labelled sets must agree on the classes."""
    if registry.objective_of(run.stage).decodes == 'nothing':
        return
    kinds = {(spec.num_classes, spec.label_set, spec.classes)
             for spec in run.data}
    if len(kinds) > 1:
        raise errors.UserError(
            f'RunSpec.data of stage {run.stage} names sets of different '
            'classes (num_classes, label_set, classes.json): ' + ', '.join(
                f'{count}, {name!r}, {[c.name for c in classes]}'
                for count, name, classes in sorted(kinds, key=str)))
