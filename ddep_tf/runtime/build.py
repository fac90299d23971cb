"""From a RunSpec to the objects of its stage."""

import dataclasses
import pathlib

from ddep_tf import errors, specs
from ddep_tf.data import fractions, pipelines, sources
from ddep_tf.models import encoder, segmenter, weights
from ddep_tf.objectives import classify, denoise, noise, segment
from ddep_tf.runtime import folder, optimizer


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
            inputs[split] = [sources.open_source(
                run.data[0], name, data_dir, run.stage)]
    return {split: inputs.get(split, []) for split in splits}


def open_labelled(run, data_dir):
    """Returns a run's opened train sets, cut to their labelled subset."""
    opened = [sources.open_source(spec, spec.train_split, data_dir, run.stage)
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
    return [source.subset(fractions.label_subset(
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
    held = set(fractions.label_subset(source.ids, count=count,
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


def noise_hook(run):
    """Returns what adds noise to an example, None for other stages.

    The noise is drawn in tf.data from the example's own stateless seed, so
    that replicas do not matter.
    """
    if run.stage != 'denoise':
        return None

    def add(example, seed):
        drawn, stddev = noise.draw((*run.crop_size, 3), seed, run.noise)
        return {**example, 'noise': drawn, 'noise_stddev': stddev}
    return add


def train_dataset(run, train_sources, start_step=0):
    """Returns the infinite tf.data of a run's global batches."""
    return pipelines.train_dataset(
        train_sources, crop_size=run.crop_size,
        global_batch_size=run.global_batch_size, seed=run.seed,
        start_step=start_step, flip=run.flip, add=noise_hook(run))


def build_network(run, weights_path=''):
    """Builds the network of a run's stage, for any input size.

    Args:
      run: RunSpec.
      weights_path: run folder or .npz that will be loaded whole; its position
        grid holds. '' takes that of the run's spec, of its initial encoder,
        or of its crop.

    Returns:
      Classifier or Network.
    """
    grid = _position_grid(run, weights_path)
    if run.stage == 'classify':
        return encoder.build_classifier(
            run.encoder.name, run.data[0].num_classes,
            run.encoder.representation_size or None,
            image_size=run.crop_size, position_grid=grid,
            dropout=run.encoder.dropout)
    outputs = 3 if run.stage == 'denoise' else run.data[0].num_classes
    if outputs < 1:
        raise errors.UserError(
            f'DatasetSpec.num_classes of {run.data[0].name!r} must be above 0')
    return segmenter.build_network(run.encoder, run.decoder, outputs,
                                   (None, None), position_grid=grid)


def load_network(run, run_dir, strategy):
    """Returns the network of a finished run, its weights loaded.

    Args:
      run: its RunSpec.
      run_dir: the run folder.
      strategy: tf.distribute.Strategy.

    Raises:
      UserError: the run has no weights yet, or they do not fit.
    """
    path = pathlib.Path(run_dir) / folder.WEIGHTS
    arrays = weights.read_npz(path)
    with strategy.scope():
        network = build_network(run, path)
        weights.load_arrays(network, arrays, path)
    return network


def _position_grid(run, weights_path):
    if run.encoder.position_grid:
        return tuple(run.encoder.position_grid)
    path = weights_path or run.init_encoder
    of_file = weights.position_grid_of(path) if path else None
    return of_file or tuple(side // specs.STRIDE for side in run.crop_size)


def build_objective(run, network):
    """Wraps the network in its stage's objective, without an optimizer."""
    if run.stage == 'classify':
        objective = classify.Classify(network)
    elif run.stage == 'denoise':
        objective = denoise.Denoise(network, run.noise, run.train_encoder)
    else:
        objective = segment.Segment(network)
    objective.build(None)
    return objective


def add_optimizer(run, objective):
    """Gives an objective its optimizer, built, to train with."""
    objective.optimizer = optimizer.Adam(
        run.optimizer, run.steps,
        objective.network.encoder.trainable_variables)
    objective.optimizer.build(objective.trained)


def graft(run, network):
    """Loads what earlier stages hand over.

    Returns:
      rows (key, shape, state): every variable of the network, 'loaded' or
      'new', then what was loaded from none of the files, 'left'. A head that
      is not handed over stands in both.
    """
    parts = (('encoder', run.init_encoder), ('decoder', run.init_decoder))
    rows = [row for part, path in parts if path
            for row in weights.graft(network, path, part)]
    loaded = {key for key, _, state in rows if state == 'loaded'}
    left = {}
    for key, shape, state in rows:
        if state == 'left' and key not in loaded:
            left.setdefault(key, (key, shape, state))
    return [(key, tuple(variable.shape),
             'loaded' if key in loaded else 'new')
            for key, variable in weights.named_variables(network).items()
            ] + list(left.values())
