"""A legend shows each color once, in order, and any name."""

import numpy as np
import pytest

from ddep_tf.data import labels, legend

pytestmark = pytest.mark.quick


def swatches(picture, palette):
    """Returns the (top, left) pixel of each color, which fills a swatch."""
    places = []
    for color in palette:
        y, x = np.nonzero((picture == color).all(-1))
        assert y.size > 300, f'{color} is missing'
        places.append((y.min(), x.min()))
    return places


@pytest.mark.parametrize('columns, count', [(1, 3), (1, 40), (4, 150)])
def test_colors_stand_below_each_other_in_order(columns, count):
    palette = labels.voc_palette(count + 1)[1:]
    picture = legend.draw([f'class {i}' for i in range(count)], palette)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    places = swatches(picture, palette)
    assert places == sorted(places, key=lambda place: place[::-1])
    assert len({left for _, left in places}) == columns


@pytest.mark.parametrize('name', [
    'x' * 5000, 'two\nlines', ' ', '$\\alpha$', '道路', 'Straße'])
def test_any_name_is_drawn_beside_its_color(name):
    picture = legend.draw([name, 'b'], np.array([[9, 99, 9], [200, 9, 9]]))
    assert picture.shape[0] < 100 and picture.shape[1] < 1000
    (top, left), _ = swatches(picture, [[9, 99, 9], [200, 9, 9]])
    text = picture[top:top + 20, left + 30:].min(-1)
    assert (text < 128).any() == bool(name.strip())
