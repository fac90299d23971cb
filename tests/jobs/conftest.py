"""Fixtures of the tests of jobs."""

import pytest

from job_cases import Stub, node


@pytest.fixture
def nodes():
    """Runs of four levels, under names as a plan gives them."""
    return [node('classify', 0),
            node('denoise-ddep-s0', 1, 'classify'),
            node('denoise-dep-s0', 1, 'classify'),
            node('segment-ddep-n0.05-s0-lr1e-05', 2, 'denoise-ddep-s0'),
            node('segment-dep-n0.05-s0-lr1e-05', 2, 'denoise-dep-s0'),
            node('segment-scratch-nall-s0-lr0.003', 2),
            node('segment-ddep-n0.05-s1', 3, 'denoise-ddep-s0',
                 'segment-ddep-n0.05-s0-lr1e-05')]


@pytest.fixture
def stub(tmp_path):
    folder = tmp_path / 'bin'
    folder.mkdir()
    return Stub(folder)
