"""The README.md of an experiment in results/ is what its files generate."""

import pathlib

import pytest

from ddep_tf.reports import write

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).resolve().parents[2] / 'results'


@pytest.mark.parametrize('name', sorted(
    path.parent.name for path in RESULTS.glob('*/experiment.json')))
def test_readme_is_generated_from_what_stands_beside_it(name):
    folder = RESULTS / name
    assert (folder / 'README.md').read_text(
        encoding='utf-8') == write.results_readme(str(folder))
