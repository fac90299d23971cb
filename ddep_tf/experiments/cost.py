"""What a run costs: parameters, operations, device hours and disk.

Numbers of operations are counted from the graph; `flops` says what is
counted. Per step they are those of an image times the global batch size, per
run those of a step times the steps. Evaluation passes are not in them.
"""

import dataclasses
import functools

from ddep_tf import errors, specs
from ddep_tf.experiments import flops as flops_lib
from ddep_tf.objectives import registry

# Peak FLOP/s of a chip in bfloat16, dense (half of the numbers that NVIDIA
# gives "with sparsity"), as their makers state them.
CHIPS = {
    # cloud.google.com/tpu/docs: v3, v4, v5e, v5p, v6e; "per chip".
    'tpu_v3': 123e12,
    'tpu_v4': 275e12,
    'tpu_v5e': 197e12,
    'tpu_v5p': 459e12,
    'tpu_v6e': 918e12,
    # NVIDIA data sheets: T4 and V100 (SXM2) have float16 in place of bfloat16.
    't4': 65e12,
    'v100': 125e12,
    'l4': 121e12,
    'a100': 312e12,
    'h100': 989e12,  # SXM.
    # NVIDIA's papers on Ampere GA102 and on Ada, float32 accumulation.
    'rtx_3090': 71e12,
    'rtx_4090': 165e12,
}
_FLOAT = 4  # Bytes.
_HEAD = ['Run', 'Stage', 'Network', 'Crop', 'Parameters', 'Trained',
         'GFLOPs forward per image', 'GFLOPs training per image',
         'TFLOPs per step', 'PFLOPs per run', 'Device hours', 'GB on disk']


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run of one stage costs.

    Attributes:
      parameters: of encoder, decoder and head, normalisation statistics
        included.
      trained_parameters: those that the optimizer changes.
      forward_flops: of an image of run.crop_size.
      train_flops: of an image in a train step: forward, and backward as far
        as something is trained.
      step_flops: of a step of the global batch.
      run_flops: of all steps. Evaluation is not in it.
    """
    parameters: int
    trained_parameters: int
    forward_flops: int
    train_flops: int
    step_flops: int
    run_flops: int


def count(run):
    """Counts what a run costs.

    Neither data nor weights need be there. Where the spec leaves the grid of
    the position embedding open it is taken from the crop, though a run that
    starts from a file takes the file's: 768 parameters a position of
    `r50_vit_b16`.

    Args:
      run: RunSpec.

    Returns:
      Cost.

    Raises:
      UserError: num_classes is not given where the stage needs it.
    """
    measured = _measure(_essence(run))
    step = measured[-1] * run.global_batch_size
    return Cost(*measured, step, step * run.steps)


def _essence(run):
    """Returns the run reduced to what its train step depends on."""
    objective = registry.objective_of(run.stage)
    data = specs.DatasetSpec(num_classes=objective.num_outputs(run))
    return specs.RunSpec(
        stage=run.stage, data=(data,), encoder=run.encoder,
        decoder=run.decoder if objective.has_decoder else specs.DecoderSpec(),
        crop_size=run.crop_size, train_encoder=run.train_encoder)


_measure = functools.cache(flops_lib.measure)


def device_hours(flops, chip, utilisation):
    """Returns the hours that one chip computes for, a float.

    Args:
      flops: operations in all.
      chip: one of CHIPS.
      utilisation: share of the peak that is reached, in (0, 1].

    Raises:
      UserError: an unknown chip, or a utilisation outside (0, 1].
    """
    if chip not in CHIPS:
        raise errors.UserError(f'chip must be one of {", ".join(CHIPS)}, got '
                               f'{chip!r}')
    if not 0 < utilisation <= 1:
        raise errors.UserError('utilisation must lie in (0, 1], got '
                               f'{utilisation}')
    return flops / (CHIPS[chip] * utilisation) / 3600


def disk(run):
    """Returns about how many bytes a finished run leaves, an int.

    The weights, and in each state that is kept the weights and Adam's two
    moments of what is trained. Logs and pictures are not in it. While a state
    is saved there is one more.
    """
    cost = count(run)
    saved = -(-run.steps // (run.checkpoint_every or run.steps))
    states = min(run.keep, saved) + bool(
        run.data[0].val_split or run.holdout)
    state = cost.parameters + 2 * cost.trained_parameters
    return _FLOAT * (cost.parameters + states * state)


def table(runs, chip, utilisation):
    """Returns the costs of runs as rows of strings, the first one the head.

    Args:
      runs: iterable of (label, RunSpec).
      chip, utilisation: see `device_hours`.
    """
    device_hours(0, chip, utilisation)  # Refused before any counting.
    return [_HEAD] + [_row(label, run, chip, utilisation)
                      for label, run in runs]


def _row(label, run, chip, utilisation):
    cost = count(run)
    hours = device_hours(cost.run_flops, chip, utilisation)
    return [label, registry.objective_of(run.stage).describe(run),
            _network(run), '{} x {}'.format(*run.crop_size),
            f'{cost.parameters:,}',
            f'{cost.trained_parameters:,}',
            _number(cost.forward_flops / 1e9), _number(cost.train_flops / 1e9),
            _number(cost.step_flops / 1e12), _number(cost.run_flops / 1e15),
            _number(hours), _number(disk(run) / 1e9)]


def _network(run):
    if not registry.objective_of(run.stage).has_decoder:
        return run.encoder.name
    return f'{run.encoder.name}, {run.decoder.width_multiplier}x'


def _number(value):
    """Three digits at least, and no exponent."""
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:#.3g}' if value >= 0.001 else f'{value:.6f}'


def sentences(chip, utilisation):
    """Returns the sentences that say what a table's numbers are."""
    device_hours(0, chip, utilisation)
    return [
        'A multiply-add counts as 2. Counted are convolutions and matrix '
        'products of the traced forward pass and train step; not counted are '
        'norms, activations, softmax, resizing, losses, the optimizer and all '
        'evaluation.',
        'A step is the global batch, a run all its steps: one run, not the '
        'sum over seeds, labels and learning rates.',
        f'Device hours are those of one {chip} at {utilisation:.0%} (assumed) '
        f'of its peak of {CHIPS[chip] / 1e12:g} TFLOP/s in bfloat16.',
        'The paper states "117.6 PFLOPs" for DDeP and "48.3 PFLOPs" for the '
        'supervised baseline, on 32 TPU v4 chips; what it counts is not said, '
        'so that the two need not agree with this table.',
    ]
