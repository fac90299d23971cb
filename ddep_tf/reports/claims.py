"""Claims, the differences that decide them, and the rule by which.

They stand in `claims.json`, beside the folders of results:
{"claims": [{...}, ...]}, each with fields of `Claim`.
"""

import dataclasses
import os

import numpy as np

from ddep_tf import errors, files, spec_base
from ddep_tf.reports import learning, paired, read, stats

HOLDS = 'holds here'
FAILS = 'does not hold here'
OPEN = 'cannot be told at this size'
UNMEASURED = 'not measured yet'
LEVEL = 0.05
MARGIN = 1.0  # Points.
OUTCOMES = {'test': stats.on_test, 'along': learning.along}


@dataclasses.dataclass(frozen=True)
class Claim(spec_base.Spec):
    """A sentence, and the difference that is positive if it is true.

    Attributes:
      claim: the sentence.
      source: who says so, as docs/method.md tags its sources: '[A]'.
      results: folder beside claims.json.
      labels: numbers of labelled images, each of which is judged.
      variant, arm: the side that is to be better.
      minus_variant, minus: the other side; '' is the same variant.
      than_labels, than_variant: where the same difference is to be smaller: of
        so many labelled images, or of another variant; 0 and '' are off.
      outcome: what is compared, a key of OUTCOMES.
      margin: in points: the claim fails if so large a gain is excluded.
    """
    claim: str = ''
    source: str = ''
    results: str = ''
    labels: tuple[int, ...] = ()
    variant: str = ''
    arm: str = ''
    minus_variant: str = ''
    minus: str = ''
    than_labels: int = 0
    than_variant: str = ''
    outcome: str = 'test'
    margin: float = MARGIN

    def __post_init__(self):
        super().__post_init__()
        for name in ('claim', 'results', 'labels', 'arm', 'minus'):
            if not getattr(self, name):
                raise errors.UserError(f'Claim.{name} is missing')
        if self.minus_variant and self.than_variant:
            raise errors.UserError(
                'Claim.minus_variant and Claim.than_variant: a gain between '
                'variants is not compared with that of another variant: '
                'leave one out')
        self.require('outcome', *OUTCOMES)
        self.require_positive('labels', 'margin')

    @property
    def sides(self) -> tuple[stats.Side, stats.Side]:
        return (stats.Side(self.variant, self.arm),
                stats.Side(self.minus_variant or self.variant, self.minus))


def read_claims(path: str | os.PathLike) -> list[Claim]:
    """Returns the claims of a file. UserError if one is malformed."""
    found = files.read_json(path).get('claims')
    if not isinstance(found, list):
        raise errors.UserError(f'{path} must hold {{"claims": [...]}}')
    return [_claim(values, f'{path}, claim {number}')
            for number, values in enumerate(found, start=1)]


def _claim(values, place) -> Claim:
    if not isinstance(values, dict):
        raise errors.UserError(f'{place} must be an object, got {values!r}')
    try:
        return spec_base.from_dict(Claim, values)
    except errors.UserError as error:
        raise errors.UserError(f'{place}: {error}') from None


def measure(claim: Claim, labels: int,
            experiment: read.Experiment) -> stats.Difference | None:
    """Returns the difference that decides a claim, None without a pair.

    Raises:
      UserError: the experiment has no such variant or arm, which would read
        as not measured, or the two sides share their runs.
    """
    than = [side._replace(variant=claim.than_variant or side.variant)
            for side in claim.sides]
    for side in (*claim.sides, *than):
        _require(side.variant, experiment.variants, claim)
        _require(side.arm, experiment.arms, claim)
    is_relative = bool(claim.than_labels or claim.than_variant)
    than_labels = claim.than_labels or labels
    if is_relative and (than_labels, *than) == (labels, *claim.sides) or any(
            one.run == other.run for one, other in stats.paired_runs(
                experiment, labels, *claim.sides)):
        raise errors.UserError(f'{claim.claim!r} compares runs of '
                               f'{claim.results} with themselves')
    compare = OUTCOMES[claim.outcome]
    found = compare(experiment, labels, *claim.sides)
    if not found or not is_relative:
        return found
    other = compare(experiment, than_labels, *than)
    return other and stats.excess(found, other)


def _require(name, known, claim):
    if name not in known:
        raise errors.UserError(
            f'{claim.claim!r} names {name!r}, but {claim.results} has only '
            f'{", ".join(map(repr, known))}')


def verdict(found: stats.Difference | None, margin: float = MARGIN) -> str:
    """Returns what a difference says of the claim that it is positive.

    The rule, in this order, set before the runs that it judges:

    - HOLDS: the 95 % interval lies above 0, and the sign-flip test gives
      p <= LEVEL.
    - FAILS: the 95 % interval lies below `margin`, and the test of what is
      missing to `margin` gives p <= LEVEL: so large a gain is
      excluded, a smaller one may be there.
    - OPEN: neither.

    Args:
      found: None if there is no pair of runs, which is UNMEASURED.
      margin: in points.
    """
    if found is None:
        return UNMEASURED
    values = np.array(found.values)
    if found.low > 0 and paired.sign_flip_p(values) <= LEVEL:
        return HOLDS
    if found.high < margin and paired.sign_flip_p(values - margin) <= LEVEL:
        return FAILS
    return OPEN
