"""Damaged exports are imported or refused in one line, never anything else."""

import copy
import random
import re
import shutil

import pytest

from ddep_tf import errors

import exports

pytestmark = pytest.mark.quick

WEIRD = [
    None, True, -1, 0, 1e308, float('nan'), float('inf'), 10 ** 30, 2 ** 31,
    '', 'x', '[', '1', '../../etc/passwd', '\0', 'a.jpg', 'é' * 300, [], {},
    [[]], [None], [1, 2, 3], {'a': 1}, [[1, 2], [3, 4], [5, 6]]]
WEIRD_TEXT = ['', 'x', '-1', '1e400', 'nan', 'inf', '9' * 20, '../x', 'a.jpg',
              '1,2;3', '0,0', '&lt;b&gt;', '1,2,3;4']
ROUNDS = 60


def places(value, path=()):
    """Yields the path of each value inside a JSON value."""
    yield path
    items = (value.items() if isinstance(value, dict) else
             enumerate(value[:6]) if isinstance(value, list) else ())
    for key, inner in items:
        yield from places(inner, (*path, key))


def mutated(value, rng):
    """Returns a JSON value of which something is removed or replaced."""
    value = copy.deepcopy(value)
    *outer, last = rng.choice([path for path in places(value) if path])
    target = value
    for key in outer:
        target = target[key]
    if rng.random() < 0.25:
        del target[last]
    else:
        target[last] = copy.deepcopy(rng.choice(WEIRD))
    return value


def mutated_xml(text, rng):
    """Returns XML of which an attribute or a text is replaced."""
    match = rng.choice(list(re.finditer(r'"([^"]*)"|>([^<>\n]+)<', text)))
    group = 1 if match.group(1) is not None else 2
    return (text[:match.start(group)] + rng.choice(WEIRD_TEXT)
            + text[match.end(group):])


def coco():
    return exports.coco_content(['a.jpg', 'b.jpg'])


def labelme():
    patch = exports.png_base64(exports.inside(exports.LAKE))
    return exports.labelme_content('a.jpg', [
        exports.labelme_shape('disc', [[20, 20], [20, 30]], 'circle'),
        exports.labelme_shape('box', [[50, 12], [40, 2]], 'rectangle'),
        exports.labelme_shape('patch', [[3, 4], [9, 12]], 'mask', patch),
        exports.labelme_shape('lake', exports.LAKE)])


def label_studio():
    brush = exports.brush_bytes(exports.inside(exports.LAKE))
    box = {'x': 50, 'y': 25, 'width': 20, 'height': 50, 'rotation': 0}
    disc = {'x': 50, 'y': 50, 'radiusX': 10, 'radiusY': 25, 'rotation': 0}
    return [exports.studio_task(1, 'a.jpg', [
        exports.studio_polygon('lake', exports.LAKE),
        exports.studio_result('brushlabels', {
            'format': 'rle', 'brushlabels': ['brush'], 'rle': brush}),
        exports.studio_result('rectanglelabels', {
            **box, 'rectanglelabels': ['box']}),
        exports.studio_result('ellipselabels', {
            **disc, 'ellipselabels': ['disc']})]),
        exports.studio_task(2, 'b.jpg', [])]


def cvat():
    shapes = [exports.cvat_polygon(*drawn) for drawn in exports.DRAWING]
    shapes += ['<box label="lake" xtl="40.0" ytl="2.0" xbr="50.0" ybr="12.0" '
               'rotation="9.0" z_order="0"/>',
               '<mask label="boat" rle="3, 2, 4, 1" left="55" top="38" '
               'width="5" height="2" z_order="1"/>',
               '<ellipse label="house" cx="20.0" cy="20.0" rx="9.0" ry="5.0" '
               'z_order="0"/>']
    return exports.CVAT.format(
        labels=''.join(map(exports.cvat_label, exports.CVAT_COLORS)),
        images=exports.cvat_image(0, 'a.jpg', shapes))


@pytest.mark.parametrize('make', [coco, labelme, label_studio, cvat])
def test_a_mutated_export_is_imported_or_refused(root, output, make):
    exports.photos(root, 2)
    whole, rng = make(), random.Random(0)
    outcomes = set()
    for number in range(ROUNDS):
        if make is cvat:
            (root / 'x.xml').write_text(mutated_xml(whole, rng))
        else:
            exports.write_json(root / 'x.json', mutated(whole, rng))
        shutil.rmtree(output, ignore_errors=True)
        try:
            exports.run(root, output, make.__name__,
                        skip_bad=bool(number % 2))
            outcome = 'imported'
        except errors.UserError as error:
            outcome = f'refused in {len(str(error).splitlines())} lines'
        outcomes.add(outcome)
        assert output.exists() == (outcome == 'imported')
        assert not list(output.parent.glob('.*'))
    assert outcomes == {'refused in 1 lines', 'imported'}
