"""results/nuclei_model gives the digits of its table."""

import pathlib

import pytest

from ddep_tf import files

import commands

MODEL = (pathlib.Path(__file__).resolve().parent.parent
         / 'results' / 'nuclei_model')


@pytest.fixture(name='page', scope='module')
def _page():
    return (MODEL / 'README.md').read_text(encoding='utf-8')


def test_the_weights_are_those_of_the_page(page):
    digest = files.sha256(MODEL / 'weights.npz')
    assert f'`{digest}`' in page
    assert files.read_json(MODEL / 'weights.json')['sha256'] == digest
    assert (MODEL / 'weights.npz').stat().st_size < 5e6


@pytest.mark.parametrize('split', ['val', 'test'])
def test_it_gives_the_digits_of_the_page(page, split, tmp_path):
    output = tmp_path / 'measured.json'
    code, _, err = commands.run('evaluate', f'--run_dir={MODEL}',
                                f'--split={split}', f'--output={output}')
    assert code == 0, err
    found = files.read_json(output)
    values = [*found['iou'], found['mean_iou'], found['pixel_accuracy']]
    row = [f'{100 * value:.2f}' for value in values]
    assert f'| {split} | {found["images"]} | {" | ".join(row)} |' in page
    # As its own run measured it.
    assert found['mean_iou'] == pytest.approx(
        files.read_json(MODEL / 'result.json')[split], abs=1e-6)
