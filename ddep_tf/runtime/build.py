"""From a RunSpec to the objects of its stage."""

import pathlib

from ddep_tf import errors, specs
from ddep_tf.data import pipelines
from ddep_tf.models import encoder, segmenter, weights
from ddep_tf.objectives import classify, denoise, noise, segment
from ddep_tf.runtime import run_folder


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
        start_step=start_step, flip=run.flip, example_fn=noise_hook(run))


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
    path = pathlib.Path(run_dir) / run_folder.WEIGHTS
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
