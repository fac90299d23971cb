"""The chips that libtpu compiles for. No TensorFlow."""

import dataclasses
import math
import re

from ddep_tf import errors

_TOPOLOGY = re.compile(r'(\w+):(\d+(?:x\d+){1,2})')


@dataclasses.dataclass(frozen=True)
class Chip:
    """A kind of TPU.

    Attributes:
      memory_gib: of a chip, as Google's documentation states it.
      usable_gib: what the compiler leaves of it to programs, as it says where
        one does not fit.
      cores: TensorCores. A replica has the whole chip, for which the compiler
        has to be told to take both as one ("megacore"): else it compiles for
        one, with half of the memory.
    """
    memory_gib: float
    usable_gib: float
    cores: int


# cloud.google.com/tpu/docs/v4 and /v5e: "HBM2 capacity".
CHIPS = {'v4': Chip(32.0, 30.75, 2), 'v5e': Chip(16.0, 15.75, 1)}
SOURCE = ('Memory of the chips: cloud.google.com/tpu/docs/v4 and /v5e; usable: '
          'what libtpu says it leaves to programs.')


def parse(topology: str) -> tuple[str, int]:
    """Returns the name in CHIPS and the number of chips of a topology.

    Raises:
      UserError: it is none of a known chip.
    """
    found = _TOPOLOGY.fullmatch(topology)
    if not found or found[1] not in CHIPS:
        raise errors.UserError(
            f'--topology {topology!r} must be a chip of {", ".join(CHIPS)} and '
            'its arrangement, such as v4:2x2x1 or v5e:2x2')
    return found[1], math.prod(map(int, found[2].split('x')))
