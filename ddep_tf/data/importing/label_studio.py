"""Label Studio: the JSON export, and brushes as PNG beside it.

Polygons, rectangles, ellipses and brushes. Of several annotations of one
task the last one that was not skipped is taken.
"""

import collections
import pathlib
import re
from typing import Any
import urllib.parse

import numpy as np

from ddep_tf import errors
from ddep_tf.data import image_files
from ddep_tf.data.importing import (
    contract,
    images,
    json_files,
    rle,
    shapes,
    splits,
)

# Results that say something of the image, not of its pixels.
_NO_AREA = ('choices', 'textarea', 'rating', 'number', 'relation', 'taxonomy',
            'keypointlabels', 'keypoint', 'datetime', 'pairwise', 'ranker')
# As the converter names the files of "Brush labels to PNG".
_BRUSH = re.compile(r'task-(?P<task>\d+)-annotation-(?P<annotation>\d+)-by-'
                    r'(?P<by>.+)-\d+\.png')
_BY = re.compile('[^-]*-[^-]+-(.+)')  # The annotator, the tag, the label.


def is_photo(path: pathlib.PurePath) -> bool:
    """Whether a file is an image and no brush."""
    return not _BRUSH.fullmatch(path.name)


def read(request: contract.Request) -> contract.Export:
    """Reads Label Studio's files. As contract.Reader."""
    brushes = _brushes(request.input)
    if brushes and not any(images.walk(request.input, '.json')):
        raise errors.UserError(
            f'--input {request.input} holds brushes, but no .json that says of '
            'which images they are: export as JSON too, into the same folder')
    items: list[contract.Item] = []
    counts: collections.Counter[str] = collections.Counter()
    for path in json_files.below(request.input):
        for number, task in enumerate(_tasks(path)):
            with request.faults.left_out():
                where = f'{path}, task {number}'
                items.append(_item(task, where, brushes, request, counts))
    notes = [f'{what}: {count}' for what, count in sorted(counts.items())]
    return contract.Export(
        items,
        [contract.Label(name, name) for name in contract.keys_of(items)],
        has_background=True, notes=notes)


def _tasks(path):
    content = json_files.read(path)
    if not isinstance(content, list) or not all(
            isinstance(task, dict) and isinstance(task.get('data'), dict)
            for task in content):
        raise errors.UserError(f'{path} is no export of Label Studio in the '
                               'format "JSON" (not JSON-MIN): export it so')
    return content


def _item(task, where, brushes, request, counts):
    image = _image(task, where, request.index)
    split = splits.of_folders(image.name)
    found = [entry for entry in json_files.field(
        {'annotations': [], **task}, 'annotations', list, where)
             if isinstance(entry, dict) and not entry.get('was_cancelled')]
    if not found:
        return contract.Item(image, where, None, split)
    if len(found) > 1:
        counts['tasks of several annotations, of which the last is taken'] += 1
    annotation = found[-1]
    painted = brushes.get(
        (str(task.get('id')), str(annotation.get('id'))), ())
    size, regions = None, []
    results = json_files.field(annotation, 'result', list, where)
    for number, result in enumerate(results):
        place = f'{where}, result {number}'
        kind = json_files.field(result, 'type', str, place)
        if kind in _NO_AREA:
            counts[f'results of the type {kind}, which cover nothing'] += 1
            continue
        value = json_files.field(result, 'value', dict, place)
        size = json_files.size(result, 'original_width', 'original_height')
        if painted and 'rle' in value:
            continue  # The same brush is a PNG.
        label = _label(value, kind, place)
        with request.faults.shape_at(place):
            regions.append(contract.Region(
                label, _shape(value, result, size), place))
    for path, by in painted:
        regions.append(contract.Region(
            _brush_label(by, results), _brush(path), str(path)))
    return contract.Item(image, where, contract.Regions(regions, size), split)


def _image(task, where, index):
    """Returns the image of a task: the first of its data that is a name of
    one."""
    names = [text for text in (task.get('file_upload'), *task['data'].values())
             if isinstance(text, str) and _name(text)]
    if not names:
        raise errors.UserError(f'{where} names no image in its data: export '
                               'the project again')
    for text in names:
        name = _name(text)
        # Label Studio puts eight digits before the name of an upload.
        for tried in (name, re.sub('(^|/)[0-9a-f]{8}-', r'\1', name)):
            try:
                return index.find(where, tried)
            except errors.UserError as error:
                fault = error
    raise fault


def _name(text):
    """Returns the path in an address, '' if it is none of an image."""
    try:
        address = urllib.parse.urlsplit(text.replace('\\', '/'))
    except ValueError:
        return ''
    query = urllib.parse.parse_qs(address.query)
    path = (query.get('d') or [urllib.parse.unquote(address.path)])[0]
    return path if path.lower().endswith(images.SUFFIXES) else ''


def _label(value, kind, where):
    found = value.get(kind) or value.get('labels')
    if not isinstance(found, list) or len(found) != 1 or not (
            isinstance(found[0], str) and found[0].strip()):
        raise errors.UserError(f'{where} has the labels {found!r:.60}, not '
                               'one: give each region one')
    return found[0].strip()


def _shape(value: dict[str, Any], result: dict[str, Any],
           size: tuple[int, int] | None) -> shapes.Shape:
    if size is None:
        raise errors.UserError('has no original_width and original_height')
    if result.get('image_rotation'):
        raise errors.UserError('is drawn on an image that was turned in Label '
                               'Studio')
    width, height = size
    if 'rle' in value:
        return shapes.Bitmap(rle.label_studio(value['rle'], height, width))
    rotation = value.get('rotation') or 0
    if 'points' in value:
        points = shapes.finite(value['points'])
        return shapes.Polygon(list(points * (width / 100, height / 100)))
    if 'radiusX' in value:
        (x, y), (rx, ry) = shapes.finite([value.get(name) for name in (
            'x', 'y', 'radiusX', 'radiusY')]) * (width / 100, height / 100)
        return shapes.Ellipse((x, y), (rx, ry), rotation)
    if 'width' in value:
        (x, y), (w, h) = shapes.finite([value.get(name) for name in (
            'x', 'y', 'width', 'height')]) * (width / 100, height / 100)
        return shapes.box(x, y, w, h, rotation, pivot=(0, 0))
    raise errors.UserError(f'is of the unknown type {result["type"]!r:.40}')


def _brushes(folder):
    """Returns {(task, annotation): [(file, what its name says of it)]} of the
    PNG files."""
    found = collections.defaultdict(list)
    for path in images.walk(folder, '.png') if folder.is_dir() else ():
        match = _BRUSH.fullmatch(path.name)
        if match:
            found[match['task'], match['annotation']].append(
                (path, match['by']))
    return found


def _brush_label(by: str, results: list) -> str:
    """Returns the label in the name of a PNG: each of its parts may have
    hyphens, but the results say which tags and labels there are."""
    for result in results:
        value = result.get('value')
        found = value.get(result.get('type')) if isinstance(
            value, dict) else None
        for label in found if isinstance(found, list) else ():
            if by.endswith(f'-{result.get("from_name")}-{label}'):
                return str(label)
    match = _BY.fullmatch(by)
    return match[1] if match else by


def _brush(path):
    try:
        with image_files.opened(path) as image:
            return shapes.Bitmap(np.asarray(image.convert('L')) > 0)
    except image_files.BROKEN as error:
        raise image_files.unreadable(path, error) from None
