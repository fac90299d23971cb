"""Figures over the variants of an experiment."""

import numpy as np
import pytest

from ddep_tf.reports import figures, read

import result_cases

pytestmark = pytest.mark.quick

SCORES = {(variant, arm): {5: [mean - 1, mean + 1]}
          for arm, means in (('supervised', (30, 40, 35)),
                             ('ddep', (32, 41, 39)))
          for variant, mean in zip(('base', 'image', 'wide'), means)}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Returns the axes of the figure over the variants of an experiment."""
    def draw(**info):
        found = {}
        monkeypatch.setattr(figures, 'save', lambda drawn, path: found.update(
            {path.name: drawn}))
        figures.draw_figures(read.read_experiment(
            result_cases.write(tmp_path / 'exp', SCORES, **info)), tmp_path)
        return found[figures.OVER_VARIANTS].axes[0]
    return draw


def _means(axes):
    """Returns (x, y, style of the line) of the means of each arm."""
    return [(*line.get_data(orig=False), line.get_linestyle())
            for line in (container.lines[0] for container in axes.containers)]


def test_a_line_joins_the_variants_of_an_axis_alone(draw):
    values = {'base': 0.1, 'image': 0.2, 'wide': 0.4}
    means = _means(draw(axis='NoiseSpec.stddev', variants=[
        {'name': name, 'value': value} for name, value in values.items()]))
    assert len(means) == 2
    for x, _, style in means:
        assert style != 'None'
        np.testing.assert_allclose(x, list(values.values()))


def test_variants_without_an_axis_stand_by_themselves(draw):
    axes = draw()
    (x, y, style), (other_x, other_y, other_style) = _means(axes)
    assert style == other_style == 'None'
    np.testing.assert_allclose(y, [30, 40, 35])
    np.testing.assert_allclose(other_y, [32, 41, 39])
    apart = other_x - x  # No bar hides another.
    assert (apart > 0.05).all() and (apart < 0.5).all()
    dots = [line for line in axes.lines if line.get_marker() == '.']
    np.testing.assert_allclose(sorted(dots[1].get_ydata()),
                               [31, 33, 38, 40, 40, 42])
