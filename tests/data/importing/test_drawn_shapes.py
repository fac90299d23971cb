"""Shapes against matplotlib's and COCO's own painting, and formulas."""

import numpy as np
from pycocotools import mask as coco_mask
import pytest

from ddep_tf import errors
from ddep_tf.data.importing import shapes

import exports

pytestmark = pytest.mark.quick


def drawn(shape, height=exports.HEIGHT, width=exports.WIDTH):
    patch = shape.draw(height, width)
    mask = np.zeros((height, width), bool)
    rows, columns = patch.pixels.shape
    mask[patch.top:patch.top + rows, patch.left:patch.left + columns] = (
        patch.pixels)
    return mask


def random_polygon(seed):
    rng = np.random.default_rng(seed)
    return rng.uniform(-20, 80, (rng.integers(3, 9), 2)).tolist()


@pytest.mark.parametrize('seed', range(20))
def test_a_polygon_covers_the_pixels_whose_centers_are_inside(seed):
    polygon = random_polygon(seed)
    np.testing.assert_array_equal(
        drawn(shapes.Polygon(polygon)), exports.inside(polygon))


@pytest.mark.parametrize('seed', range(20))
def test_a_polygon_agrees_with_cocos_own_up_to_its_border(seed):
    polygon = (np.array(random_polygon(seed)) + 20) / 100 * 44
    theirs = coco_mask.decode(coco_mask.frPyObjects(
        [polygon.ravel().tolist()], exports.HEIGHT, exports.WIDTH))[..., 0]
    y, x = np.nonzero(drawn(shapes.Polygon(polygon.tolist())) != theirs)
    for px, py in zip(x + 0.5, y + 0.5):
        assert distance((px, py), polygon) < 0.6


def distance(point, polygon):
    """The distance of a point to the border of a polygon."""
    starts, ends = polygon, np.roll(polygon, -1, 0)
    along = ends - starts
    share = ((point - starts) * along).sum(1) / (along ** 2).sum(1)
    nearest = starts + np.clip(share, 0, 1)[:, None] * along
    return np.hypot(*(point - nearest).T).min()


def test_whole_coordinates_are_the_borders_of_pixels():
    mask = drawn(shapes.Polygon(exports.BOAT))
    expected = np.zeros_like(mask)
    expected[20:25, 10:18] = True
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(drawn(shapes.box(10, 20, 8, 5)), expected)
    np.testing.assert_array_equal(drawn(shapes.box(18, 25, -8, -5)), expected)


def test_neighbors_that_share_an_edge_neither_overlap_nor_leave_a_gap():
    left, right = ([[0, 0], [23.7, 0], [31.3, 44], [0, 44]],
                   [[23.7, 0], [60, 0], [60, 44], [31.3, 44]])
    total = sum(drawn(shapes.Polygon(p)).astype(int) for p in (left, right))
    assert (total == 1).all()


def test_a_box_turns_clockwise_about_its_pivot():
    turned = drawn(shapes.box(30, 10, 20, 4, rotation=90, pivot=(0, 0)))
    expected = np.zeros_like(turned)
    expected[10:30, 26:30] = True
    np.testing.assert_array_equal(turned, expected)
    about_center = drawn(shapes.box(20, 20, 20, 4, rotation=90))
    expected[:] = False
    expected[12:32, 28:32] = True
    np.testing.assert_array_equal(about_center, expected)


@pytest.mark.parametrize('rotation', [0, 30, 90, 200])
def test_an_ellipse_agrees_with_a_fine_polygon(rotation):
    angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    x, y = 17.3 * np.cos(angles), 6.1 * np.sin(angles)
    cos, sin = np.cos(np.radians(rotation)), np.sin(np.radians(rotation))
    outline = np.stack([31.2 + cos * x - sin * y, 19.4 + sin * x + cos * y], 1)
    ellipse = shapes.Ellipse((31.2, 19.4), (17.3, 6.1), rotation)
    np.testing.assert_array_equal(drawn(ellipse),
                                  exports.inside(outline.tolist()))
    np.testing.assert_allclose(
        ellipse.bounds, (*outline.min(0), *outline.max(0)), atol=1e-3)


@pytest.mark.parametrize('left, top', [(-3, -2), (5, 7), (57, 40), (70, 50)])
def test_a_bitmap_is_cut_to_the_image(left, top):
    pixels = np.random.default_rng(0).random((9, 11)) > 0.5
    big = np.zeros((100, 120), bool)
    big[20 + top:29 + top, 30 + left:41 + left] = pixels
    mask = np.zeros((44, 60), bool)
    patch = shapes.Bitmap(pixels, left, top).draw(44, 60)
    window = mask[patch.top:, patch.left:][:patch.pixels.shape[0],
                                           :patch.pixels.shape[1]]
    window[...] = patch.pixels
    np.testing.assert_array_equal(mask, big[20:64, 30:90])


def test_coordinates_beyond_any_integer_are_cut_too():
    mask = drawn(shapes.Polygon([[-9e11, 10], [9e11, 10], [9e11, 20],
                                 [-9e11, 20]]))
    assert mask[10:20].all() and mask.sum() == 600
    assert drawn(shapes.Ellipse((0, 0), (9e11, 9e11))).all()


@pytest.mark.parametrize('points, said', [
    ([], '0 points'), ([[1, 2], [3, 4]], '2 points'),
    ([[1, 2], [3, 4], [5, float('nan')]], 'no finite'),
    ([[1, 2], [3, 4], [5, 1e300]], 'no finite'),
    ([[1, 2], [3, 4], [5]], 'no finite'), ([[1, 2], [3, 4], 'ab'], 'no finite'),
    (None, 'no finite'), ([[1, 2], [3, 4], [None, 5]], 'no finite')])
def test_what_is_no_polygon_is_refused(points, said):
    with pytest.raises(errors.UserError, match=said):
        shapes.Polygon(points)


def test_shapes_without_an_area_cover_nothing():
    for shape in (shapes.Polygon([[1, 1], [9, 9], [5, 5]]),
                  shapes.box(3, 3, 0, 9), shapes.Ellipse((5, 5), (0, 4))):
        assert not drawn(shape).any()
