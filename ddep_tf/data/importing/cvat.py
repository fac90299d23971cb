"""CVAT: the .xml of "CVAT for images 1.1".

Polygons, boxes, ellipses and masks, painted by their z_order. Points, lines
and tags cover nothing. "Segmentation mask 1.1" is read by mask_files.py.
"""

import collections
import pathlib
from xml.etree import ElementTree

from ddep_tf import errors
from ddep_tf.data.importing import (
    contract,
    images,
    mask_files,
    rle,
    shapes,
    splits,
)

_NO_AREA = ('points', 'polyline', 'tag', 'cuboid', 'skeleton', 'attribute')


def read(request: contract.Request) -> contract.Export:
    """Reads CVAT's files of either kind. As contract.Reader."""
    if request.input.is_dir() and mask_files.has_labelmap(request.input):
        return mask_files.read_voc(request)
    files = ([request.input] if request.input.is_file() else
             list(images.walk(request.input, '.xml')))
    if not files:
        raise errors.UserError(
            f'--input {request.input} holds neither an .xml nor a '
            'labelmap.txt: export as "CVAT for images" or "Segmentation '
            'mask", and unpack it')
    items: list[contract.Item] = []
    labels: dict[str, contract.Label] = {}
    counts: collections.Counter[str] = collections.Counter()
    for path in files:
        root = _parse(path)
        for label in _labels(root, path):
            labels.setdefault(label.key, label)
        for number, image in enumerate(root.findall('image')):
            with request.faults.left_out():
                items.append(_item(image, f'{path}, image {number}', labels,
                                   path, request))
                counts.update(e.tag for e in image if e.tag in _NO_AREA)
    return contract.Export(
        items, list(labels.values()), has_background=True,
        notes=[f'shapes of the kind {tag}, which cover nothing: {count}'
               for tag, count in sorted(counts.items())])


def _parse(path: pathlib.Path) -> ElementTree.Element:
    try:
        data = path.read_bytes()
        # Entities could read files, or grow without end; CVAT writes none.
        if b'<!' in data.replace(b'<!--', b'') or b'\0' in data:
            raise errors.UserError(f'{path} declares entities or is no UTF-8, '
                                   'which CVAT does not write: export it again')
        root = ElementTree.fromstring(data)
    except (OSError, LookupError, ElementTree.ParseError) as error:
        raise errors.UserError(f'{path} cannot be read as XML ({error}): '
                               'export it again') from None
    if root.tag != 'annotations' or root.find('track') is not None:
        raise errors.UserError(f'{path} is not of "CVAT for images 1.1": '
                               'export the task in this format')
    return root


def _labels(root, path):
    """Yields the labels that the file lists."""
    seen = set()
    for number, entry in enumerate(root.findall('meta//label')):
        name = (entry.findtext('name') or '').strip()
        if not name or name in seen:
            raise errors.UserError(
                f'{path}, label {number} '
                + (f'is called {name!r} like another one: rename one of them'
                   if name else 'has no name: name it in CVAT'))
        seen.add(name)
        yield contract.Label(name, name, mask_files.hex_color(
            entry.findtext('color') or ''))


def _item(image, where, labels, path, request):
    name = image.get('name', '')
    found = request.index.find(where, name, path.parent)
    size = _whole(image, where, 'width', 'height')
    regions = []
    # Of one z_order, the later one is on top.
    ordered = sorted(
        ((number, entry) for number, entry in enumerate(image)
         if entry.tag not in _NO_AREA),
        key=lambda pair: _whole(pair[1], where, z_order=0)[0])
    for number, entry in ordered:
        place = f'{where} ({name}), {entry.tag} {number}'
        label = entry.get('label', '').strip()
        if not label:
            raise errors.UserError(f'{place} has no label: give it one')
        labels.setdefault(label, contract.Label(label, label))
        with request.faults.shape_at(place):
            regions.append(contract.Region(label, _shape(entry), place))
    split = (splits.of_word(image.get('subset', ''))
             or splits.of_folders(found.name) or splits.of_stem(path.stem))
    return contract.Item(found, where, contract.Regions(regions, size), split)


def _shape(entry):
    get = entry.get
    if entry.tag == 'polygon':
        return shapes.Polygon([pair.split(',')
                               for pair in get('points', '').split(';')
                               if pair.strip()])
    if entry.tag == 'box':
        (left, top), (right, bottom) = shapes.finite(
            [get('xtl'), get('ytl'), get('xbr'), get('ybr')]).tolist()
        return shapes.box(left, top, right - left, bottom - top,
                          get('rotation', 0))
    if entry.tag == 'ellipse':
        return shapes.Ellipse((get('cx'), get('cy')), (get('rx'), get('ry')),
                              get('rotation', 0))
    if entry.tag != 'mask':
        raise errors.UserError(f'is of the unknown kind {entry.tag!r:.40}')
    left, top, width, height = _whole(entry, 'it', 'left', 'top', 'width',
                                      'height')
    runs = [run for run in get('rle', '').split(',') if run.strip()]
    return shapes.Bitmap(rle.from_runs(runs, height, width, by_columns=False),
                         left, top)


def _whole(entry, where, *names, **defaults):
    """Returns attributes as whole numbers."""
    names = (*names, *defaults)
    try:
        return tuple(int(float(entry.get(name, defaults.get(name))))
                     for name in names)
    except (TypeError, ValueError, OverflowError):
        raise errors.UserError(f'{where} has no whole {" or ".join(names)}: '
                               'export it again') from None
