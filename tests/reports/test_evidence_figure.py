"""The figure of the README: its error bars, ticks and texts."""

import pathlib
import subprocess
import sys

from matplotlib.backends import backend_agg
import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors
from ddep_tf.reports import evidence_figure, figures

import result_cases

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNTS = (5, 12, 367)
SCORES = {('', arm): {labels: [30 + shift, 31.5 + shift, 35 + shift]
                      for labels in COUNTS}
          for shift, arm in enumerate(('scratch', 'supervised', 'ddep'))}


@pytest.fixture
def results(tmp_path):
    folder = result_cases.write(
        tmp_path / 'one', SCORES, title='A title of so many words that '
        'they do not fit in a line above a single panel, but in two or three')
    result_cases.write(tmp_path / 'two', {
        (variant, arm): {5: [40, 41]} for variant in ('wide', 'narrow')
        for arm in ('dep', 'scratch')}, title='Nuclei')
    return folder


@pytest.fixture(name='draw')
def _draw(monkeypatch):
    """Draws, and returns the Figure."""
    def draw(*panels):
        found = []
        monkeypatch.setattr(figures, 'save', lambda figure, _: found.append(
            figure))
        evidence_figure.draw(panels, '')
        return found[0]
    return draw


@pytest.fixture
def drawn(results, draw):
    """The Figure of both experiments."""
    return draw(str(results), f'{results.parent / "two"},wide')


def _renderer(drawn):
    """What draws the figure, all of which lies inside."""
    canvas = backend_agg.FigureCanvasAgg(drawn)
    canvas.draw()
    renderer = canvas.get_renderer()
    inches = drawn.get_tightbbox(renderer)
    width, height = drawn.get_size_inches()
    assert min(inches.x0, inches.y0) >= 0
    assert inches.x1 <= width and inches.y1 <= height
    return renderer


def test_bars_are_the_intervals_of_the_means(drawn):
    axes = drawn.axes[0]
    assert axes.get_xscale() == 'log'
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        '5', '12', '367']
    assert [container.get_label() for container in axes.containers] == [
        'scratch', 'supervised', 'ddep']
    for container, tests in zip(axes.containers, SCORES.values()):
        line, _, (bars,) = container
        assert line.get_ydata() == pytest.approx(
            [np.mean(values) for values in tests.values()])
        assert line.get_xdata() == pytest.approx(COUNTS, rel=0.1)
        # Of the 27 draws of three, the lowest mean has a share of 1/27, which
        # is more than 2.5 %; so has the highest.
        assert np.array(bars.get_segments())[:, :, 1] == pytest.approx(
            np.array([[min(values), max(values)]
                      for values in tests.values()]))


def test_every_text_is_inside_and_large_enough(drawn):
    renderer = _renderer(drawn)
    width, _ = drawn.get_size_inches()
    one, other = (axes.title.get_window_extent(renderer)
                  for axes in drawn.axes)
    assert one.x1 < other.x0
    texts = drawn.findobj(lambda item: hasattr(item, 'get_fontsize')
                          and item.get_text())
    assert len(texts) > 15
    for text in texts:
        # Pixels, where a page shows it 800 wide.
        assert text.get_fontsize() / 72 * 800 / width > 10.5, text.get_text()
    assert drawn.axes[1].get_title() == 'Nuclei, wide'


def test_every_text_of_a_single_panel_is_inside(results, draw):
    _renderer(draw(str(results)))


def test_the_command_draws_it(results):
    path = results.parent / 'images' / 'evidence.png'
    subprocess.run([sys.executable, ROOT / 'launch' / 'report.py',
                    f'--figure={path}', f'--panel={results}'], check=True)
    with Image.open(path) as image:
        assert min(image.size) > 400


def test_a_panel_needs_its_variant(results):
    with pytest.raises(errors.UserError, match="one of 'wide', 'narrow'"):
        evidence_figure.draw([str(results.parent / 'two')], '')
