"""Label subsets: counts, nesting, order, and refusals."""

import hashlib
import random

import pytest

from ddep_tf import errors
from ddep_tf.data import subsets

pytestmark = pytest.mark.quick

IDS = [f'image_{i:05d}' for i in range(367)]


@pytest.mark.parametrize('total, fraction, count', [
    (2975, 1 / 30, 99), (2975, 1 / 4, 744), (2975, 1.0, 2975),
    (4998, 0.01, 50), (4998, 0.05, 250), (20210, 0.01, 202), (2, 0.25, 1),
    (50, 0.29, 14), (367, 1e-2, 4)])  # 0.29 * 50 + 0.5 is just below 15.
def test_count_of_a_fraction(total, fraction, count):
    ids = [str(i) for i in range(total)]
    assert len(subsets.label_subset(ids, fraction)) == count


def test_subsets_are_nested():
    previous = set()
    for count in (1, 2, 10, 40, 100, 366, 367):
        chosen = subsets.label_subset(IDS, count=count, seed=3)
        assert len(chosen) == count and previous < set(chosen)
        previous = set(chosen)
    small = subsets.label_subset(IDS, 0.1, seed=3)
    assert set(small) < set(subsets.label_subset(IDS, 0.2, seed=3))
    # 0.1 of 367 is 37, whichever way it is asked for.
    assert small == subsets.label_subset(IDS, count=37, seed=3)


def test_order_does_not_matter_and_the_seed_does():
    mixed = random.Random(0).sample(IDS, len(IDS))
    chosen = subsets.label_subset(IDS, count=40)
    assert chosen == subsets.label_subset(iter(mixed), count=40)
    assert chosen == sorted(chosen)
    assert chosen != subsets.label_subset(IDS, count=40, seed=1)


def test_ranking_is_by_hash():
    first = min(IDS, key=lambda i: hashlib.sha256(
        f'5:{i}'.encode()).hexdigest())
    assert subsets.label_subset(IDS, count=1, seed=5) == [first]


def test_manifest():
    expected = hashlib.sha256(b'a\nb').hexdigest()
    assert subsets.manifest(['b', 'a']) == {'count': 2, 'sha256': expected}


@pytest.mark.parametrize('arguments, named', [
    ({}, 'exactly one'), ({'fraction': 0.5, 'count': 1}, 'exactly one'),
    ({'fraction': 0.0}, '0.0'), ({'fraction': 1.01}, '1.01'),
    ({'fraction': float('nan')}, 'nan'), ({'fraction': -1}, '-1'),
    ({'count': 0}, '0'), ({'count': 368}, '368'),
    ({'count': 1.5}, '1.5'), ({'count': 'a'}, 'a'),
    ({'fraction': '1'}, "'1'"),
    ({'fraction': 0.001}, 'none')])
def test_refusals(arguments, named):
    with pytest.raises(errors.UserError, match=named):
        subsets.label_subset(IDS, **arguments)


def test_ids_that_occur_twice():
    with pytest.raises(ValueError, match="'b'"):
        subsets.label_subset(['a', 'b', 'b'], count=1)
