"""labelme: one .json beside each image.

Polygons, rectangles (two corners, or four points when turned), circles
(center and a point of the rim) and masks. Points and lines cover nothing.
"""

import base64
import pathlib
from typing import Any

import numpy as np

from ddep_tf import errors
from ddep_tf.data import image_files
from ddep_tf.data.importing import contract, json_files, shapes, splits

# labelme's own names of what is no class.
IGNORED, BACKGROUND = '__ignore__', '_background_'
_NO_AREA = ('point', 'points', 'line', 'linestrip')


def read(request: contract.Request) -> contract.Export:
    """Reads labelme's files. As contract.Reader."""
    items: list[contract.Item] = []
    without_area = others = 0
    for path in json_files.below(request.input):
        with request.faults.left_out():
            content = json_files.read(path)
            if not isinstance(content, dict) or 'shapes' not in content:
                others += 1
                continue
            item, count = _item(path, content, request)
            items.append(item)
            without_area += count
    if not items and not request.faults.lines:
        raise errors.UserError(f'--input {request.input}: none of its .json '
                               'has "shapes", as labelme writes them')
    notes = []
    if without_area:
        notes.append(f'points and lines, which cover nothing: '
                     f'{without_area}')
    if others:
        notes.append(f'.json files that are not of labelme: {others}')
    return contract.Export(
        items, [label(name) for name in contract.keys_of(items)],
        has_background=True, notes=notes)


def label(name: str) -> contract.Label:
    """Returns the Label of a name; labelme has names of its own for two."""
    return contract.Label(
        name, contract.BACKGROUND if name == BACKGROUND else name,
        is_ignored=name == IGNORED)


def _item(path: pathlib.Path, content: dict[str, Any],
          request: contract.Request) -> tuple[contract.Item, int]:
    """Returns the image of a file, and how many shapes have no area."""
    where = str(path)
    image = request.index.find(
        where, json_files.field(content, 'imagePath', str, where), path.parent)
    regions, without_area = [], 0
    found = json_files.field(content, 'shapes', list, where)
    for number, entry in enumerate(found):
        place = f'{path}, shape {number}'
        name = json_files.field(entry, 'label', str, place).strip()
        if not name:
            raise errors.UserError(f'{place} has no label: give it one')
        kind = entry.get('shape_type') or 'polygon'
        if kind in _NO_AREA:
            without_area += 1
            continue
        points = json_files.field(entry, 'points', list, place)
        with request.faults.shape_at(place):
            regions.append(contract.Region(
                name, _shape(kind, points, entry), place))
    size = json_files.size(content, 'imageWidth', 'imageHeight')
    return contract.Item(image, where, contract.Regions(regions, size),
                         splits.of_folders(image.name)), without_area


def _shape(kind, points, entry):
    if kind in ('polygon', 'oriented_rectangle'):
        return shapes.Polygon(points)
    if kind not in ('rectangle', 'circle', 'mask'):
        raise errors.UserError(f'is of the unknown type {kind!r:.40}')
    if len(points) != 2:
        raise errors.UserError(f'is a {kind} of {len(points)} points, not two')
    (x0, y0), (x1, y1) = shapes.finite(points).tolist()
    if kind == 'rectangle':
        return shapes.box(x0, y0, x1 - x0, y1 - y0)
    if kind == 'circle':
        radius = float(np.hypot(x1 - x0, y1 - y0))
        return shapes.Ellipse((x0, y0), (radius, radius))
    return shapes.Bitmap(_decode(entry.get('mask')), round(x0), round(y0))


def _decode(text):
    """Returns the pixels of a PNG in base64, [h, w] bool."""
    try:
        data = base64.b64decode(text, validate=True)
        with image_files.opened_bytes(data) as image:
            return np.asarray(image.convert('L')) > 0
    except (TypeError, *image_files.BROKEN) as error:
        raise errors.UserError('has a mask that cannot be read '
                               f'({error})') from None
