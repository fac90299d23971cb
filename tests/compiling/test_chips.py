"""Topologies."""

import pytest

from ddep_tf import errors
from ddep_tf.compiling import chips

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('text, chip, count', [
    ('v4:2x2x1', 'v4', 4), ('v5e:2x4', 'v5e', 8), ('v4:4x4x2', 'v4', 32)])
def test_a_topology_names_a_chip_and_their_number(text, chip, count):
    assert chips.parse(text) == (chip, count)


@pytest.mark.parametrize('text', ['v4', 'v9:2x2', 'v4:2', 'v4:2x2x1x1', ''])
def test_another_one_is_refused(text):
    with pytest.raises(errors.UserError, match='v4:2x2x1 or v5e:2x2'):
        chips.parse(text)
