"""What an error says first."""

import pytest

from ddep_tf import errors

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('text, line', [
    ('one', 'one'), ('\n  \n one \ntwo', 'one'), ('', 'ValueError'),
    (' \n ', 'ValueError')])
def test_first_line(text, line):
    assert errors.first_line(ValueError(text)) == line
