"""The notebook runs from its first cell to its last."""

import pathlib

import pytest

nbformat = pytest.importorskip('nbformat')
nbclient = pytest.importorskip('nbclient')

NOTEBOOK = (pathlib.Path(__file__).resolve().parent.parent / 'notebooks' /
            'quickstart.ipynb')
SHORT = '''PARAMS = ['ExperimentSpec.seeds=(0,)', 'denoise/RunSpec.steps=2',
          'segment/RunSpec.steps=2', 'segment/RunSpec.eval_every=1',
          'RunSpec.crop_size=(32, 32)', 'RunSpec.eager=True',
          'nuclei/DatasetSpec.limit=6']'''


def test_it_runs_on_the_images_of_the_package(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cell, = (cell for cell in notebook.cells
             if 'PARAMS = ' in cell.source)
    cell.source = SHORT + cell.source[cell.source.index('\nlaunch('):]
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name='python3',
        resources={'metadata': {'path': str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells
             for output in cell.get('outputs', ())]
    assert any('image/png' in output.get('data', ()) for output in shown)
    assert any('| dep |' in output.get('text', '') for output in shown)
    assert (tmp_path / 'runs' / 'nuclei' / 'report.html').exists()
