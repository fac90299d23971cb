"""Fixtures of the tests of jobs."""

import pytest

from job_cases import Stub, planned


@pytest.fixture
def runs():
    """Runs of four levels, under names as a plan gives them."""
    return [planned('classify', 0),
            planned('denoise-ddep-s0', 1, 'classify'),
            planned('denoise-dep-s0', 1, 'classify'),
            planned('segment-ddep-n0.05-s0-lr1e-05', 2, 'denoise-ddep-s0'),
            planned('segment-dep-n0.05-s0-lr1e-05', 2, 'denoise-dep-s0'),
            planned('segment-scratch-nall-s0-lr0.003', 2),
            planned('segment-ddep-n0.05-s1', 3, 'denoise-ddep-s0',
                    'segment-ddep-n0.05-s0-lr1e-05')]


@pytest.fixture
def stub(tmp_path):
    folder = tmp_path / 'bin'
    folder.mkdir()
    return Stub(folder)
