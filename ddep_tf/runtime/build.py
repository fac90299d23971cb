"""From a RunSpec to its network and objective."""

import os

import keras
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.models import controls, precision, weights
from ddep_tf.models import registry as encoders
from ddep_tf.objectives import base, registry
from ddep_tf.runtime import run_folder

Row = tuple[str, tuple[int, ...], str]


def build_network(run: specs.RunSpec,
                  weights_path: str | os.PathLike = '') -> keras.Model:
    """Builds the network of a run's stage, randomly initialized, to compute
    in the run's precision.

    Args:
      run: RunSpec.
      weights_path: run folder or .npz that will be loaded as a whole; its
        position grid is used. '' takes that of the run's spec, of its initial
        encoder, or of its crop, whichever comes first.

    Returns:
      Classifier or Network.
    """
    with precision.policy(run.precision):
        network = registry.objective_of(run.stage).build_network(
            run, _position_grid(run, weights_path))
        if run.remat:
            network.recompute_blocks()
    return network


def build_objective(run: specs.RunSpec,
                    network: keras.Model) -> base.Objective:
    """Wraps the network in its stage's objective, without an optimizer.

    Raises:
      UserError: an encoder of one's own trains batch normalization, which
        RunSpec.accumulate or RunSpec.remat would change.
    """
    objective = registry.objective_of(run.stage).from_run(run, network)
    objective.accumulate = run.accumulate
    if run.accumulate > 1 or run.remat:
        _check_batch_norm(run, objective)
    return objective


def check_trainable(run: specs.RunSpec, strategy: tf.distribute.Strategy,
                    is_new: bool) -> None:
    """Checks what can be trained, and what a network would leave out.

    Args:
      run: RunSpec.
      strategy: tf.distribute.Strategy.
      is_new: False for a run that began; by an earlier version it may have
        been without options that its network has no place for.

    Raises:
      UserError: there is such an option; or XLA would have to compile batch
        normalization that spans several replicas.
    """
    replicas = strategy.num_replicas_in_sync
    has_decoder = registry.objective_of(run.stage).has_decoder
    if (has_decoder and run.jit_compile and run.decoder.norm == 'batch'
            and replicas > 1):
        raise errors.UserError(
            "DecoderSpec.norm = 'batch' takes its statistics over all "
            f'{replicas} replicas, which XLA does not compile: leave '
            'RunSpec.jit_compile out, or train on one device')
    if not is_new or encoders.find(run.encoder.name).has_tokens:
        return
    for name in ('dropout', 'position_grid'):
        if getattr(run.encoder, name):
            raise errors.UserError(f'EncoderSpec.{name}: {run.encoder.name} '
                                   'has no transformer: leave it out')


def load_network(run: specs.RunSpec, run_dir: str | os.PathLike,
                 strategy: tf.distribute.Strategy) -> keras.Model:
    """Returns the network of a finished run, its weights loaded.

    Raises:
      UserError: the run has no weights yet, or they do not fit.
    """
    path = files.path(run_dir, run_folder.WEIGHTS)
    arrays = weights.read_npz(path)
    with strategy.scope():
        network = build_network(run, path)
        weights.load_arrays(network, arrays, path)
    return network


def skip_draws(network: keras.Model, count: int) -> None:
    """Brings a network's dropout to where it is after so many calls, which no
    state of a run holds.

    Args:
      network: just built: nothing has been drawn.
      count: calls in training.
    """
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.Dropout):
            draws = layer.seed_generator.state  # (Seed, number of the draw).
            draws.assign(draws + keras.ops.convert_to_tensor(
                [0, count], draws.dtype))


def graft(run: specs.RunSpec, network: keras.Model) -> list[Row]:
    """Loads what earlier stages hand over, or what a control leaves of it.

    Returns:
      rows (key, shape, state): every variable of the network, 'loaded' or
      'new', then every array that was loaded from none of the files, 'left'.
      A head that is not handed over appears as both.

    Raises:
      UserError: what is handed over does not fit, or is missing.
    """
    parts = (('encoder', run.init_encoder), ('decoder', run.init_decoder))
    if run.decoder_control and not run.init_decoder:
        raise errors.UserError('RunSpec.decoder_control needs a decoder to '
                               'start from: give --init_decoder')
    if run.decoder_control and not registry.objective_of(
            run.stage).has_decoder:
        raise errors.UserError('RunSpec.decoder_control is for stages with a '
                               f'decoder, and this run is of {run.stage}')
    initial = network.decoder.get_weights() if run.decoder_control else []
    rows = [row for part, path in parts if path
            for row in weights.graft(network, path, part)]
    if run.decoder_control:
        controls.remove_content(network.decoder, initial, run.decoder_control,
                                run.seed)
    loaded = {key for key, _, state in rows if state == 'loaded'}
    left: dict[str, Row] = {}
    for key, shape, state in rows:
        if state == 'left' and key not in loaded:
            left.setdefault(key, (key, shape, state))
    return [(key, tuple(variable.shape),
             'loaded' if key in loaded else 'new')
            for key, variable in weights.named_variables(network).items()
            ] + list(left.values())


def _check_batch_norm(run, objective):
    encoder = objective.network.encoder
    trained = {id(variable) for variable in objective.trained_variables}
    if any(id(variable) in trained for variable in encoder.variables) and any(
            isinstance(layer, keras.layers.BatchNormalization)
            for layer in encoder._flatten_layers()):
        raise errors.UserError(
            f'{run.encoder.name}: RunSpec.accumulate and RunSpec.remat need '
            'an encoder without batch normalization, which would see parts of '
            'the batch, or count it twice')


def _position_grid(run, weights_path):
    if run.encoder.position_grid:
        return tuple(run.encoder.position_grid)
    path = weights_path or run.init_encoder
    of_file = weights.position_grid_of(path) if path else None
    return of_file or tuple(side // specs.STRIDE for side in run.crop_size)
