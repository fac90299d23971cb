"""Runs that share their checks read the data once."""

import pytest

from ddep_tf.runtime import input_checks

pytestmark = pytest.mark.quick


class _Source:
    def __init__(self, identity, num_examples=3):
        self.identity, self.num_examples = identity, num_examples
        self.reads = 0

    def check(self, progress):
        self.reads += 1
        assert list(progress(range(3))) == [0, 1, 2]


def test_a_source_is_read_once_for_each_object_and_folder():
    source, same, other = _Source('a'), _Source('a'), _Source('b')
    checks = input_checks.InputChecks()
    for _ in range(2):
        checks.check({'train': [source], 'val': [same, other]}, 'data')
    assert (source.reads, same.reads, other.reads) == (1, 0, 1)
    checks.check({'train': [source]}, 'elsewhere')
    input_checks.InputChecks().check({'train': [source]}, 'data')
    assert source.reads == 3


def test_a_large_split_is_not_read_before_the_training():
    source = _Source('a', input_checks.READ_AT_MOST + 1)
    input_checks.InputChecks().check({'train': [source]}, 'data')
    assert source.reads == 0
