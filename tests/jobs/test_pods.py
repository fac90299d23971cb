"""DNS names of experiments: valid, and none shared."""

import re

import pytest

from ddep_tf.jobs import pods

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('name', [
    'camvid_small', 'Camvid-small', 'camvid.small', '3d', '...', 'a' * 39,
    'a' * 38 + '-b', 'x' * 200, 'a-', 'camvid-small', 'UPPER', 'upper'])
def test_a_dns_name_is_one(name):
    assert re.fullmatch(r'[a-z]([a-z0-9-]{0,36}[a-z0-9])?',
                        pods.dns_name(name))


def test_no_two_experiments_share_a_dns_name():
    names = ['a_b', 'a-b', 'a.b', 'A-b', 'A_B', 'ab', 'x' * 60, 'x' * 61,
             '3d', 'ddep-3d', '_a_b', 'a-b-']
    assert len({pods.dns_name(name) for name in names}) == len(names)
