"""What paired differences show: interval, test, and what they could find.

scipy.stats is imported where it is used: that takes most of a second.
"""

import math

import numpy as np

CONFIDENCE = 0.95
POWER = 0.8
RESAMPLES = 10_000
_EXACT = 16  # Up to so many pairs, all patterns of signs are counted.


def deviation(values: np.ndarray) -> float:
    """Returns the standard deviation, ddof 1, of [N]; nan for N = 1."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the bootstrap interval of the mean of [N]; nan for N = 1.

    Percentiles of the means of RESAMPLES draws with replacement, from a fixed
    seed: the same numbers give the same interval.
    """
    if len(values) == 1:
        return math.nan, math.nan
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    from scipy import stats
    found = stats.bootstrap(
        (values,), np.mean, confidence_level=CONFIDENCE, method='percentile',
        n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    low, high = map(float, found.confidence_interval)
    return low, high


def sign_flip_p(values: np.ndarray) -> float:
    """Returns the two-sided p-value of the sign-flip test of [N] differences.

    If neither side is better, each difference might as well have come out
    with the other sign. The p-value is the share of the 2^N patterns of signs
    whose mean is at least as far from 0 as the observed one: all patterns up
    to N = 16, beyond that 2^16 random ones from a fixed seed. It is never
    below 2 / 2^N, so that fewer than 6 pairs never give 0.05.
    """
    if len(values) == 1:
        return 1.0
    from scipy import stats
    return float(stats.permutation_test(
        (values,), np.mean, permutation_type='samples', vectorized=True,
        n_resamples=2 ** _EXACT, rng=np.random.default_rng(0)).pvalue)


def detectable(values: np.ndarray) -> float:
    """Returns the smallest mean difference that such pairs would show.

    It is the true mean at which a two-sided paired t-test at level
    1 - CONFIDENCE finds a difference of that sign with probability POWER (by
    the noncentral t distribution), for as many pairs with the standard
    deviation of `values`, in their unit. nan for N = 1.
    """
    if len(values) == 1:
        return math.nan
    from scipy import optimize, stats
    freedom = len(values) - 1
    critical = stats.t.isf((1 - CONFIDENCE) / 2, freedom)

    def excess(shift):
        return stats.nct.sf(critical, freedom, shift) - POWER
    shift = optimize.brentq(excess, 0, 4 * critical + 4)
    return float(shift * deviation(values) / math.sqrt(len(values)))
