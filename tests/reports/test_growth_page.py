"""The page and the figure of how time and memory grow."""

import pathlib

import pytest

from ddep_tf import files
from ddep_tf.experiments import growth
from ddep_tf.reports import growth_page

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).resolve().parents[2] / 'results/growth'


def _row(size, batch):
    pixels = batch * size ** 2 / 1e6
    return {'what': 'denoise', 'encoder': 'tiny', 'width': '1',
            'precision': 'float32', 'size': str(size), 'batch': str(batch),
            'core_seconds_per_step': f'{1 + 20 * pixels}',
            'peak_rss_mib': f'{1024 * (2 + 3 * pixels)}', 'steps': '5',
            'processor': 'a processor', 'cores': '2', 'tensorflow': '2.20',
            'commit': 'abc'}


def test_the_page_says_what_was_found(tmp_path):
    rows = [_row(size, batch) for size in growth.SIZES
            for batch in growth.BATCHES]
    growth_page.write(tmp_path, rows)
    page = (tmp_path / 'README.md').read_text()
    assert '| 256 x 256 | 4 | 0.262 | 6.24 | 2.79 |' in page
    assert 'seconds of a core a step: 1 + 20 for each million pixels' in page
    assert 'memory (GiB): 2 + 3 for each million pixels' in page
    assert (tmp_path / 'growth.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.skipif(not RESULTS.exists(), reason='not measured yet')
def test_the_page_is_that_of_the_table():
    rows = files.read_csv(RESULTS / 'table.csv')
    assert len(rows) == 9
    assert (RESULTS / 'README.md').read_text() == growth_page.text(rows)
