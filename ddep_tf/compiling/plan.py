"""What results/tpu_compile holds: which programs of the paper's network, for
which chips, and the search for the largest batch that fits. No TensorFlow."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from typing import Any

from ddep_tf import specs
from ddep_tf.compiling import program as program_lib

TOPOLOGIES = ('v4:2x2x1', 'v5e:2x2')
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)  # Images a chip that are tried.
# The sets that the paper denoises and fine-tunes on, by the crop [S].
DATA = {224: 'imagenet2012', 512: 'ade20k', 1024: 'cityscapes'}
IMAGES = {1024: (1024, 2048)}  # Those that are evaluated.


@dataclasses.dataclass(frozen=True)
class Entry:
    """A program at one batch, or at the largest that fits.

    Attributes:
      stage: one of specs.STAGES.
      size: of the square crop, pixels; one of DATA.
      width: of the decoder.
      precision, remat, accumulate: of RunSpec.
      batch: images a chip; 0 is the largest that fits.
      what: one of program.WHAT.
    """
    stage: str
    size: int
    width: int
    precision: str = specs.BFLOAT16
    remat: bool = False
    accumulate: int = 1
    batch: int = 0
    what: str = program_lib.TRAIN

    def gin(self) -> tuple[Sequence[str], Sequence[str]]:
        """Returns the gin files and parameters of the run."""
        size = f'({self.size}, {self.size})'
        return (('model/r50_vit_b16.gin', f'width/{self.width}x.gin',
                 f'data/{DATA[self.size]}.gin', f'stage/{self.stage}.gin'),
                (f'{self.stage}/RunSpec.crop_size={size}',
                 f'RunSpec.precision={self.precision!r}',
                 f'RunSpec.remat={self.remat}',
                 f'RunSpec.accumulate={self.accumulate}',
                 f'EvalSpec.tile={size}', 'EvalSpec.flip=True'))

    def program(self, run: specs.RunSpec, topology: str,
                batch: int) -> program_lib.Program:
        """Returns the program, with so many images a chip."""
        if self.what == program_lib.EVALUATE:
            return program_lib.evaluation(run, IMAGES[self.size], batch)
        return program_lib.train_step(run, topology, batch)

    @property
    def key(self) -> dict[str, Any]:
        """The columns of the table that identify it, beside the chip."""
        what = self.stage if self.what == program_lib.TRAIN else self.what
        return {'what': what, 'data': DATA[self.size], 'size': self.size,
                'width': self.width, 'precision': self.precision,
                'remat': self.remat, 'parts': self.accumulate}

    def has(self, row: Mapping[str, str]) -> bool:
        """Whether a row of the table is of this entry, for any chip."""
        return all(row[name] == str(value) for name, value in self.key.items())

    def guess(self, usable: float) -> float:
        """Returns about how many images fit into so many GiB: where the
        search begins, as it was seen of a few."""
        megapixels = self.size ** 2 / 1e6
        wider = (1 + self.width) / 2
        kept = 0.5 if self.remat else 1.0
        half = 1.0 if self.precision == specs.BFLOAT16 else 2.0
        return (usable - 2) / (6.0 * megapixels * wider * kept * half)


def entries() -> Iterator[Entry]:
    """Yields what is wanted, that of most use first."""
    widths = (1, 2, 3)
    yield Entry(specs.DENOISE, 224, 1, specs.FLOAT32, batch=16)
    # A crop of Cityscapes in 16 GB, and the paper's batch on one chip.
    yield Entry(specs.SEGMENT, 1024, 1, remat=True)
    yield Entry(specs.DENOISE, 224, 1, accumulate=32, batch=512)
    for width in (2, 3):
        yield Entry(specs.DENOISE, 224, width, specs.FLOAT32, batch=16)
    yield Entry(specs.SEGMENT, 1024, 1, specs.FLOAT32, batch=1,
                what=program_lib.EVALUATE)
    yield Entry(specs.SEGMENT, 1024, 1)
    for remat in (False, True):
        yield Entry(specs.SEGMENT, 512, 1, remat=remat)
    for width in widths:
        yield Entry(specs.DENOISE, 224, width, batch=16)
    for width in (3, 2):
        for size in (1024, 512):
            for remat in (True, False):
                yield Entry(specs.SEGMENT, size, width, remat=remat)
    for size in (512, 1024):
        yield Entry(specs.SEGMENT, size, 1, specs.FLOAT32)
    for width in (2, 3):
        yield Entry(specs.SEGMENT, 1024, width, specs.FLOAT32, batch=1,
                    what=program_lib.EVALUATE)


def undecided(verdicts: Mapping[int, bool]) -> list[int]:
    """Returns the batches that may be the largest that fits, and are not tried.

    Args:
      verdicts: {batch: whether it fits} of a chip, as tried so far.
    """
    low = max((b for b, fits in verdicts.items() if fits), default=0)
    high = min((b for b, fits in verdicts.items() if not fits),
               default=BATCHES[-1] + 1)
    return [batch for batch in BATCHES if low < batch < high]


def next_batch(verdicts: Mapping[int, bool], totals: Mapping[int, float],
               fixed: float, usable: float, first: float) -> int | None:
    """Returns the batch to try next for the largest that fits, or None.

    Args:
      verdicts: as of `undecided`.
      totals: {batch: GiB} of this or another chip.
      fixed: GiB of them that do not grow with the batch.
      usable: GiB of the chip.
      first: where to begin.
    """
    left = undecided(verdicts)
    if not left:
        return None
    if not totals:
        return min(left, key=lambda batch: abs(batch - first))

    def estimate(batch):
        known = min(totals, key=lambda other: abs(other - batch))
        return fixed + (totals[known] - fixed) * batch / known

    return max((batch for batch in left if estimate(batch) <= usable),
               default=left[0])
