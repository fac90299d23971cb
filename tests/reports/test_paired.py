"""Interval, sign-flip test and what pairs could find, against SciPy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from ddep_tf.reports import paired

pytestmark = pytest.mark.quick


def test_sign_flips_are_counted_by_hand():
    # Of the 8 patterns of +-1, +-2, +-4, sums as far from 0 as 1 + 2 + 4:
    # that and its opposite; as -1 + 2 + 4 = 5: those with 7 as well.
    assert paired.sign_flip_p(np.array([1.0, 2.0, 4.0])) == 2 / 8
    assert paired.sign_flip_p(np.array([-1.0, 2.0, 4.0])) == 4 / 8
    assert paired.sign_flip_p(np.array([3.0, 3.0, 3.0, 3.0])) == 2 / 16
    assert paired.sign_flip_p(np.array([1.0, -1.0])) == 1
    assert paired.sign_flip_p(np.array([5.0])) == 1


@pytest.mark.parametrize('count', [5, 8, 11])
def test_sign_flips_are_those_of_all_patterns(count):
    values = np.random.default_rng(count).normal(0.5, size=count)
    means = [np.mean(np.multiply(signs, values))
             for signs in itertools.product((1, -1), repeat=count)]
    expected = np.mean(np.abs(means) >= abs(values.mean()) - 1e-12)
    assert paired.sign_flip_p(values) == pytest.approx(expected, abs=1e-12)


def test_sign_flips_of_many_pairs_are_near_the_t_test():
    values = np.random.default_rng(3).normal(0.3, size=40)
    p = paired.sign_flip_p(values)
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert p == paired.sign_flip_p(values)


@pytest.mark.parametrize('count', [4, 8])
def test_a_detectable_difference_is_found_in_four_of_five(count):
    """By t-tests of simulated experiments."""
    rng = np.random.default_rng(count)
    values = rng.normal(size=count)
    spread = values.std(ddof=1)
    simulated = rng.normal(paired.detectable(values), spread,
                           (count, 100_000))
    found = stats.ttest_1samp(simulated, 0).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.006)


def test_single_and_equal_pairs():
    one, equal = np.array([2.0]), np.array([2.0, 2.0])
    assert np.isnan([*paired.interval(one), paired.detectable(one)]).all()
    assert paired.interval(equal) == (2, 2) and paired.detectable(equal) == 0
