"""Masks as files: Pascal VOC, CVAT's "Segmentation mask 1.1", plain masks.

A mask holds ids, as gray values or palette indices, or colors. What they mean
says labelmap.txt (colors), class_names.txt (ids, one name a line), or --map.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import pathlib
import re

import numpy as np

from ddep_tf import errors, specs
from ddep_tf.data import image_files
from ddep_tf.data.importing import contract, images, labelme, splits

_MOST_VALUES = 256
_FOLDER = 'SegmentationClass'
_ID_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16B')


def hex_color(text: str) -> str:
    """Returns '#rrggbb' of '#RRGGBB' or 'r,g,b', '' of anything else."""
    if re.fullmatch('#[0-9a-fA-F]{6}', text):
        return text.lower()
    parts = [part.strip() for part in text.split(',')]
    if len(parts) == 3 and all(p.isdecimal() and int(p) < 256 for p in parts):
        return '#' + bytes(map(int, parts)).hex()
    return ''


def has_labelmap(folder: pathlib.Path) -> bool:
    """Whether a folder is an export of CVAT's masks."""
    return (folder / 'labelmap.txt').is_file()


def is_photo(path: pathlib.PurePath) -> bool:
    """Whether a file below VOC's folder is an image and no mask."""
    return not any(part.startswith('Segmentation') for part in path.parts)


def read_voc(request: contract.Request) -> contract.Export:
    """Reads VOC's layout: SegmentationClass and ImageSets/Segmentation."""
    base, folder = _voc_folder(request.input)
    split_of = _image_sets(base / 'ImageSets' / 'Segmentation')
    in_colors = has_labelmap(base)
    listed = (_labelmap(base / 'labelmap.txt') if in_colors
              else _class_names(base / 'class_names.txt'))
    items = []
    for path in images.walk(folder, '.png'):
        stem = path.relative_to(folder).with_suffix('').as_posix()
        with request.faults.left_out():
            image = request.index.find_stem(f'the mask {path}', stem)
            items.append(contract.Item(
                image, f'the mask {path}',
                MaskFile(path, {label.color: label.key for label in listed}
                         if in_colors else None), split_of.get(stem, '')))
    return _export(items, listed, request, 'labelmap.txt' if in_colors else '')


def plain_folder(root: pathlib.Path) -> pathlib.Path:
    """Returns the folder of plain masks: the folder masks, or the root."""
    folder = root / 'masks'
    return folder if folder.is_dir() else root


def read_plain(request: contract.Request) -> contract.Export:
    """Reads masks that lie in a folder as the images do in theirs."""
    folder = plain_folder(request.input)
    items = []
    for path in images.walk(folder, request.mask_suffix.lower()):
        name = path.relative_to(folder).as_posix()
        with request.faults.left_out():
            image = request.index.find_stem(
                f'the mask {path}', name[:-len(request.mask_suffix)])
            items.append(contract.Item(image, f'the mask {path}',
                                       MaskFile(path, None),
                                       splits.of_folders(image.name)))
    if not items and not request.faults.lines:
        raise errors.UserError(
            f'--input {folder} holds no mask *{request.mask_suffix}: name the '
            'folder of the masks, and give --mask_suffix if they end otherwise '
            '(a JPEG is no mask: it changes the values)')
    return _export(items, (), request, '')


@dataclasses.dataclass(frozen=True)
class MaskFile:
    """An Annotation: a mask whose every pixel has a value.

    Attributes:
      path: of the file.
      names: {color: key of its Label}; None if the value itself is the key.
    """
    path: pathlib.Path
    names: Mapping[str, str] | None

    @property
    def size(self):
        try:
            with image_files.opened(self.path) as image:
                return image.size
        except image_files.BROKEN as error:
            raise image_files.unreadable(self.path, error) from None

    @property
    def is_empty(self) -> bool:
        return False

    def label_keys(self) -> set[str]:
        """As of Annotation. UserError also for too many values of a mask."""
        return {self._key(value) for _, value in self._values(*self._read())}

    def paint(self, ids, background, size, tally, faults):
        array, is_color = self._read()
        canvas = np.zeros(array.shape, np.uint8)
        for value, name in self._values(array, is_color):
            canvas[array == value] = ids[self._key(name)]
        return canvas

    def _key(self, value):
        """Returns the key of what a value is called."""
        if self.names is None:
            return value
        if value not in self.names:
            raise errors.UserError(f'the mask {self.path} holds the color '
                                   f'{value}, which labelmap.txt does not '
                                   'name: add it there')
        return self.names[value]

    def _read(self):
        """Returns ([H, W] uint32, whether these are colors 0xrrggbb)."""
        try:
            with image_files.opened(self.path) as image:
                if image.mode == 'LA':
                    image = image.convert('L')
                if self.names is None and image.mode in _ID_MODES:
                    ids = np.asarray(image)
                    return ids.astype(np.int64).astype(np.uint32), False
                rgb = np.asarray(image.convert('RGB')).astype(np.uint32)
        except image_files.BROKEN as error:
            raise image_files.unreadable(self.path, error) from None
        return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], True

    def _values(self, array, is_color):
        """Returns pairs of a pixel's value and what messages call it."""
        values = np.unique(array)
        if len(values) > _MOST_VALUES:
            raise errors.UserError(
                f'the mask {self.path} holds {len(values):,} values: it is a '
                'photo, or was smoothed or saved as JPEG: save masks as PNG')
        return [(value, f'#{value:06x}' if is_color else str(value))
                for value in values]


def _export(items: list[contract.Item], listed: Iterable[contract.Label],
            request: contract.Request, named_by: str) -> contract.Export:
    """Returns the Export of masks, after a look at what they hold.

    Args:
      items: with MaskFiles.
      listed: the Labels that a file names.
      request: contract.Request.
      named_by: that file, if it names all of them.
    """
    usable: list[contract.Item] = []
    found: set[str] = set()
    for item in items:
        with request.faults.left_out():
            found.update(contract.keys_of([item]))
            usable.append(item)
    labels = {label.key: label for label in listed}
    if not named_by:
        for key in sorted(found, key=lambda key: (len(key), key)):
            labels.setdefault(key, contract.Label(
                key, color=key if key.startswith('#') else '',
                is_ignored=key == str(specs.IGNORE_LABEL)))
    return contract.Export(usable, list(labels.values()), has_background=False)


def _voc_folder(root):
    """Returns VOC's base folder and that of its masks."""
    found = sorted(path for path in [root, *root.rglob('*')]
                   for path in [path / _FOLDER, path / f'{_FOLDER}PNG']
                   if path.is_dir() and any(images.walk(path, '.png')))
    if len(found) != 1:
        what = (f'both {found[0]} and {found[1]}' if found
                else f'no folder {_FOLDER} with .png')
        raise errors.UserError(f'--input {root} holds {what}: name the folder '
                               'of one export')
    return found[0].parent, found[0]


def _image_sets(folder):
    """Returns {id: split} of lists such as train.txt."""
    split_of: dict[str, str] = {}
    for path in sorted(folder.glob('*.txt')):
        split = splits.of_word(path.stem)
        if not split:
            continue  # Such as trainval.txt, or CVAT's default.txt.
        for line in _lines(path):
            if split_of.setdefault(line, split) != split:
                raise errors.UserError(f'{path} lists {line!r}, which another '
                                       'list has too: remove it from one')
    return split_of


def _labelmap(path):
    """Returns the Labels of lines NAME:R,G,B:PARTS:ACTIONS."""
    labels: dict[str, contract.Label] = {}
    for number, line in enumerate(_lines(path), 1):
        if line.startswith('#'):
            continue
        name, *rest = line.rsplit(':', 3)
        color = hex_color(rest[0]) if len(rest) == 3 else ''
        if not name or not color:
            raise errors.UserError(f'{path}, line {number}: {line!r:.60} is '
                                   'not NAME:R,G,B:PARTS:ACTIONS')
        if name in labels or color in {x.color for x in labels.values()}:
            raise errors.UserError(f'{path}, line {number}: the name {name!r} '
                                   f'or the color {color} occurs twice: '
                                   'change one of them')
        labels[name] = contract.Label(name, name, color)
    return list(labels.values())


def _class_names(path):
    """Returns the Labels of labelme's list, a name a line; [] without it."""
    if not path.is_file():
        return []
    names = [name for name in _lines(path) if name != labelme.IGNORED]
    for name in names:
        if names.count(name) > 1:
            raise errors.UserError(f'{path} lists {name!r} twice: rename one')
    return [dataclasses.replace(labelme.label(name), key=str(number))
            for number, name in enumerate(names)]


def _lines(path):
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, ValueError) as error:
        raise errors.UserError(f'{path} cannot be read ({error}): export it '
                               'again') from None
    return [line.strip() for line in text.splitlines() if line.strip()]
