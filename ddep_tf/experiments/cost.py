"""What a run costs: parameters, operations, device hours and disk.

Operations are counted from the graph of a single image; `flops` says which. A
step costs that times the global batch size, and a run that times its steps.
Evaluation is not included.
"""

from collections.abc import Iterable
import dataclasses
import functools

from ddep_tf import errors, specs
from ddep_tf.experiments import flops as flops_lib
from ddep_tf.objectives import registry

# Peak FLOP/s of a chip in bfloat16, as its maker states it: dense, that is,
# half of the numbers that NVIDIA gives "with sparsity".
CHIPS = {
    # cloud.google.com/tpu/docs: v3, v4, v5e, v5p, v6e; "per chip".
    'tpu_v3': 123e12,
    'tpu_v4': 275e12,
    'tpu_v5e': 197e12,
    'tpu_v5p': 459e12,
    'tpu_v6e': 918e12,
    # NVIDIA data sheets: T4 and V100 (SXM2) have float16 instead of bfloat16.
    't4': 65e12,
    'v100': 125e12,
    'l4': 121e12,
    'a100': 312e12,
    'h100': 989e12,  # SXM.
    # NVIDIA's papers on Ampere GA102 and on Ada, float32 accumulation.
    'rtx_3090': 71e12,
    'rtx_4090': 165e12,
}
_FLOAT_BYTES = 4
_HEAD = ['Run', 'Stage', 'Network', 'Crop', 'Parameters', 'Trained',
         'GFLOPs forward per image', 'GFLOPs training per image',
         'TFLOPs per step', 'PFLOPs per run', 'Device hours', 'GB on disk']


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
      parameters: of encoder, decoder and head, including normalization
        statistics.
      trained_parameters: those that the optimizer changes.
      forward_flops: per image of run.crop_size, forward pass only.
      train_flops: per image of run.crop_size in a train step: forward pass,
        and backward pass down to the first trained layer.
      step_flops: per step, of the global batch.
      run_flops: of all steps.
    """
    parameters: int
    trained_parameters: int
    forward_flops: int
    train_flops: int
    step_flops: int
    run_flops: int


def count(run: specs.RunSpec) -> Cost:
    """Counts what a run costs; needs neither data nor weights.

    If the spec leaves the grid of the position embedding open, it is taken
    from the crop. A run that starts from a file takes the file's grid, and for
    each position more has 768 parameters more (`r50_vit_b16`).

    Args:
      run: RunSpec.

    Raises:
      UserError: num_classes is missing for a stage that needs it.
    """
    measured = _measure(_essence(run))
    step = measured[-1] * run.global_batch_size
    return Cost(*measured, step, step * run.steps)


def _essence(run: specs.RunSpec) -> specs.RunSpec:
    """Returns the run reduced to what its train step depends on."""
    objective = registry.objective_of(run.stage)
    data = specs.DatasetSpec(num_classes=objective.num_outputs(run))
    return specs.RunSpec(
        stage=run.stage, data=(data,), encoder=run.encoder,
        decoder=run.decoder if objective.has_decoder else specs.DecoderSpec(),
        crop_size=run.crop_size, train_encoder=run.train_encoder)


_measure = functools.cache(flops_lib.measure)


def device_hours(flops: float, chip: str, utilisation: float) -> float:
    """Returns how many hours one chip takes.

    Args:
      flops: number of operations.
      chip: one of CHIPS.
      utilisation: fraction of the peak that is reached, in (0, 1].

    Raises:
      UserError: the chip is unknown, or the utilisation out of range.
    """
    if chip not in CHIPS:
        raise errors.UserError(f'chip must be one of {", ".join(CHIPS)}, got '
                               f'{chip!r}')
    if not 0 < utilisation <= 1:
        raise errors.UserError('utilisation must lie in (0, 1], got '
                               f'{utilisation}')
    return flops / (CHIPS[chip] * utilisation) / 3600


def disk(run: specs.RunSpec) -> int:
    """Returns about how many bytes a finished run occupies.

    These are the weights, and for each state that is kept the weights and
    Adam's two moments of the trained ones. Logs and pictures are not counted,
    nor the additional state while one is being saved.
    """
    cost = count(run)
    saved = -(-run.steps // (run.checkpoint_every or run.steps))
    states = min(run.keep, saved) + bool(
        run.data[0].val_split or run.holdout)
    state = cost.parameters + 2 * cost.trained_parameters
    return _FLOAT_BYTES * (cost.parameters + states * state)


def table(runs: Iterable[tuple[str, specs.RunSpec]], chip: str,
          utilisation: float) -> list[list[str]]:
    """Returns the costs of runs as rows of strings, the first the head.

    Args:
      runs: (name, RunSpec) of each.
      chip, utilisation: as of `device_hours`.
    """
    device_hours(0, chip, utilisation)  # Refuses them before any counting.
    return [_HEAD] + [_row(name, run, chip, utilisation)
                      for name, run in runs]


def _row(name, run, chip, utilisation):
    cost = count(run)
    hours = device_hours(cost.run_flops, chip, utilisation)
    return [name, registry.objective_of(run.stage).describe(run),
            _network(run), '{} x {}'.format(*run.crop_size),
            f'{cost.parameters:,}',
            f'{cost.trained_parameters:,}',
            _number(cost.forward_flops / 1e9), _number(cost.train_flops / 1e9),
            _number(cost.step_flops / 1e12), _number(cost.run_flops / 1e15),
            _number(hours), _number(disk(run) / 1e9)]


def _network(run: specs.RunSpec) -> str:
    if not registry.objective_of(run.stage).has_decoder:
        return run.encoder.name
    return f'{run.encoder.name}, {run.decoder.width_multiplier}x'


def _number(value: float) -> str:
    """Returns at least three digits, without an exponent."""
    if value >= 100:
        return f'{value:,.0f}'
    return f'{value:#.3g}' if value >= 0.001 else f'{value:.6f}'


def sentences(chip: str, utilisation: float) -> list[str]:
    """Returns the sentences that explain the numbers of `table`."""
    device_hours(0, chip, utilisation)
    return [
        'A multiply-add counts as 2. Convolutions and matrix products of the '
        'traced forward pass and train step are counted; norms, activations, '
        'softmax, resizing, losses, the optimizer and all evaluation are '
        'not.',
        'A step processes the global batch, and a run is all its steps: the '
        'numbers are those of a single run, not sums over seeds, labels and '
        'learning rates.',
        f'Device hours are those of one {chip} at {utilisation:.0%} (assumed) '
        f'of its peak of {CHIPS[chip] / 1e12:g} TFLOP/s in bfloat16.',
        'The paper states "117.6 PFLOPs" for DDeP and "48.3 PFLOPs" for the '
        'supervised baseline, on 32 TPU v4 chips, without saying what is '
        'counted: they need not agree with this table.',
    ]
