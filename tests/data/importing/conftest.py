"""Where an export lies, and where its import goes."""

import pytest


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'in' / 'export'


@pytest.fixture
def output(tmp_path):
    return tmp_path / 'out' / 'data'
