"""COCO: instances*.json, and what CVAT, Roboflow or Label Studio write as it.

Polygons, uncompressed and compressed RLE. A crowd is painted as its class.
Annotations are painted in their order in the file.
"""

import collections
import pathlib
from typing import Any

from ddep_tf import errors
from ddep_tf.data.importing import contract, json_files, rle, shapes, splits


def read(request: contract.Request) -> contract.Export:
    """Reads COCO files. As contract.Reader."""
    items: list[contract.Item] = []
    labels: dict[str, contract.Label] = {}
    files = [(path, content) for path in json_files.below(request.input)
             if _is_coco(content := json_files.read(path))]
    if not files:
        raise errors.UserError(
            f'--input {request.input}: no .json of it has "images", '
            '"annotations" and "categories", as COCO has')
    for path, content in files:
        reader = _File(path, content, request)
        for label in reader.labels:
            labels.setdefault(label.key, label)
        items += reader.items()
    return contract.Export(items, list(labels.values()), has_background=True)


def _is_coco(content):
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list)
        for key in ('images', 'annotations', 'categories'))


class _File:
    """One COCO file."""

    def __init__(self, path: pathlib.Path, content: dict[str, Any],
                 request: contract.Request):
        self._path, self._content, self._request = path, content, request
        self._split = splits.of_stem(path.stem)
        self._names = self._read_categories()
        self.labels = [contract.Label(name, name)
                       for name in self._names.values()]

    def items(self) -> list[contract.Item]:
        """Returns the images of the file, with their annotations."""
        annotations = self._annotations()
        items = []
        for number, entry in enumerate(self._content['images']):
            with self._request.faults.left_out():
                where = f'{self._path}, image {number}'
                image_id = json_files.field(entry, 'id', (int, str), where)
                name = json_files.field(entry, 'file_name', str, where)
                image = self._request.index.find(where, name,
                                                 self._path.parent)
                size = json_files.size(entry, 'width', 'height')
                items.append(contract.Item(
                    image, where, contract.Regions(
                        self._regions(annotations.pop(image_id, ()), size),
                        size),
                    splits.of_folders(image.name) or self._split))
        return items

    def _read_categories(self):
        """Returns {id: name}; a category without a name is a fault."""
        names: dict[Any, str] = {}
        for number, entry in enumerate(self._content['categories']):
            where = f'{self._path}, category {number}'
            key = json_files.field(entry, 'id', (int, str), where)
            name = str(entry.get('name') or '').strip()
            if self._is_heading(entry, name):
                continue
            if key in names or name in names.values():
                raise errors.UserError(
                    f'{where}: the id {key} or the name {name!r} occurs twice: '
                    'rename one of them')
            if name:
                names[key] = name
            else:
                with self._request.faults.left_out():
                    raise errors.UserError(f'{where} (id {key}) has no name: '
                                           'name it in the tool')
        return names

    def _is_heading(self, entry, name):
        """Whether a category only names the kind of others, of which nothing is
        drawn: Roboflow writes the name of the project as one."""
        others = [other.get('supercategory')
                  for other in self._content['categories']
                  if isinstance(other, dict) and other is not entry]
        return bool(name) and name in others and not any(
            isinstance(one, dict) and one.get('category_id') == entry['id']
            for one in self._content['annotations'])

    def _annotations(self):
        """Returns {id of an image: its annotations}, in their order."""
        known = {entry.get('id') for entry in self._content['images']
                 if isinstance(entry, dict)
                 and isinstance(entry.get('id'), int | str)}
        found = collections.defaultdict(list)
        for number, entry in enumerate(self._content['annotations']):
            where = f'{self._path}, annotation {number}'
            with self._request.faults.left_out():
                key = json_files.field(entry, 'image_id', (int, str), where)
                if key not in known:
                    raise errors.UserError(f'{where} is of the image {key}, '
                                           'which the file does not list')
                found[key].append((where, entry))
        return found

    def _regions(self, annotations, size):
        regions = []
        for where, entry in annotations:
            key = entry.get('category_id')
            if not isinstance(key, int | str) or key not in self._names:
                raise errors.UserError(
                    f'{where} is of the category {key!r}, which has no name: '
                    'name it, or give --skip_bad')
            for part in _parts(entry, where):
                with self._request.faults.shape_at(where):
                    regions.append(contract.Region(
                        self._names[key], _shape(part, size), where))
        return regions


def _parts(entry, where):
    """Returns the polygons of an annotation, or its one RLE."""
    found = entry.get('segmentation')
    if isinstance(found, dict):
        return [found]
    if not isinstance(found, list) or not found:
        raise errors.UserError(f'{where} has no segmentation, a box at most: '
                               'draw masks, or give --skip_bad')
    return found


def _shape(part, size):
    if not isinstance(part, dict):
        if not isinstance(part, list) or len(part) % 2:
            raise errors.UserError('is no list of x, y, x, y, ...')
        return shapes.Polygon(list(zip(part[::2], part[1::2])))
    sides = part.get('size')
    if not isinstance(sides, list) or size is None or (
            sides != [size[1], size[0]]):
        raise errors.UserError(f'has an RLE of the size {sides!r:.40}, which '
                               'is not that of its image')
    runs = part.get('counts')
    if isinstance(runs, str):
        runs = rle.coco_runs(runs)
    return shapes.Bitmap(rle.from_runs(
        runs if isinstance(runs, list) else [None], *sides, by_columns=True))
