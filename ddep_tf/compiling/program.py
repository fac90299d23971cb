"""What a chip runs, and what compiling it tells. No TensorFlow."""

from collections.abc import Sequence
import dataclasses

from ddep_tf import errors, spec_base, specs
from ddep_tf.compiling import chips

WHAT = (TRAIN, EVALUATE) = ('train', 'evaluate')
FITS, TOO_LARGE = 'fits', 'does not fit'
TIMED_OUT = 'stopped after 20 minutes'


@dataclasses.dataclass(frozen=True)
class Program(spec_base.Spec):
    """What one chip runs.

    Attributes:
      what: one of WHAT: a whole train step; or what evaluates the images of
        a replica, all views and the confusion matrix.
      run: RunSpec whose global_batch_size, or whose EvalSpec.batch_size, is
        the chip's images.
      image_size: (height, width) of the images that are evaluated.
    """
    what: str
    run: specs.RunSpec
    image_size: tuple[int, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        self.require('what', *WHAT)
        if self.what == EVALUATE and not self.run.evaluation.tile:
            raise errors.UserError(
                'EvalSpec.tile is not set: a TPU takes images of one size, so '
                "give one, such as --gin_param='EvalSpec.tile=(512, 512)'")

    @property
    def batch(self) -> int:
        """Images a chip."""
        return (self.run.global_batch_size if self.what == TRAIN else
                self.run.evaluation.batch_size)


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What came of a compilation. Memory is in GiB; None is not known.

    Attributes:
      outcome: FITS, TOO_LARGE or TIMED_OUT.
      total: on the chip; of what does not fit, as the compiler tells it.
      arguments: batch and variables.
      outputs: those that take no argument's place.
      temporaries: what lives in a step alone.
      code: the program itself.
      gflop: operations, as the compiler counts them.
      host: most that lowering or compiling took of this machine's memory.
      lower_seconds, compile_seconds: of a core, that each took.
    """
    outcome: str
    total: float | None = None
    arguments: float | None = None
    outputs: float | None = None
    temporaries: float | None = None
    code: float | None = None
    gflop: float | None = None
    host: float | None = None
    lower_seconds: float | None = None
    compile_seconds: float | None = None


def train_step(run: specs.RunSpec, topology: str,
               batch: int | None = None) -> Program:
    """Returns the train step of one chip of a topology.

    Args:
      run: RunSpec.
      topology: as `chips.parse` takes it.
      batch: images a chip; None shares run.global_batch_size out.

    Raises:
      UserError: the topology is unknown, or the batch does not divide.
    """
    count = chips.parse(topology)[1]
    if not batch and run.global_batch_size % count:
        raise errors.UserError(
            f'RunSpec.global_batch_size {run.global_batch_size} does not '
            f'divide over the {count} chips of {topology}: give --batch')
    batch = batch or run.global_batch_size // count
    if batch % run.accumulate:
        raise errors.UserError(
            f'{batch} images a chip do not divide into {run.accumulate} parts '
            '(RunSpec.accumulate): give another --batch')
    return Program(TRAIN, dataclasses.replace(run, global_batch_size=batch))


def evaluation(run: specs.RunSpec, image_size: Sequence[int],
               batch: int | None = None) -> Program:
    """Returns what one chip evaluates images by.

    Args:
      run: RunSpec.
      image_size: (height, width) of the images; () takes that of the tiles.
      batch: images a chip at once; None takes EvalSpec.batch_size.

    Raises:
      UserError: EvalSpec.tile is not set.
    """
    evaluated = dataclasses.replace(
        run.evaluation, batch_size=batch or run.evaluation.batch_size)
    return Program(EVALUATE, dataclasses.replace(run, evaluation=evaluated),
                   tuple(image_size or evaluated.tile))


def describe(program: Program) -> str:
    """Returns the program as a line."""
    run = program.run
    words = [f'{run.encoder.name} {run.decoder.width_multiplier}x',
             run.precision]
    if program.what == EVALUATE:
        words += ['evaluate {} x {}'.format(*program.image_size),
                  'tiles of {} x {}'.format(*run.evaluation.tile)]
    else:
        words += ['{} {} x {}'.format(run.stage, *run.crop_size),
                  *(['blocks computed again'] if run.remat else []),
                  *([f'{run.accumulate} parts'] if run.accumulate > 1 else [])]
    return ', '.join([*words, f'{program.batch} images a chip'])


def verdict(compiled: Compiled, topology: str) -> str:
    """Returns what came of a compilation as a line."""
    name = chips.parse(topology)[0]
    chip = chips.CHIPS[name]
    if compiled.outcome == TIMED_OUT:
        return f'{name}: {TIMED_OUT}'
    total = '?' if compiled.total is None else f'{compiled.total:.2f}'
    parts = [f'{name}: {compiled.outcome}, {total} of {chip.memory_gib:g} GiB '
             f'a chip ({chip.usable_gib:g} usable)']
    if compiled.temporaries is not None:
        parts.append(f'arguments {compiled.arguments:.2f}, outputs '
                     f'{compiled.outputs:.2f}, temporaries '
                     f'{compiled.temporaries:.2f}, code {compiled.code:.2f}')
        parts.append(f'{compiled.gflop:,.0f} GFLOP')
    parts.append(f'lowered in {compiled.lower_seconds:.0f} s, compiled in '
                 f'{compiled.compile_seconds:.0f} s of a core, in '
                 f'{compiled.host:.1f} GiB of this machine')
    return '; '.join(parts)
