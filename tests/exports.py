"""Exports of annotation tools, as each of them writes its files, and the
masks that were drawn, painted by matplotlib."""

import base64
import io
import json
import pathlib

from matplotlib import path as mpl_path
import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors
from ddep_tf.data.importing import importer

WIDTH, HEIGHT = 60, 44
# The drawing of every tool: label and polygon, later ones on top.
LAKE = [[3.2, 4.1], [40.7, 2.3], [52.4, 30.9], [20.1, 39.6]]
HOUSE = [[30.3, 10.2], [57.6, 12.8], [44.9, 35.5]]
BOAT = [[10.0, 20.0], [18.0, 20.0], [18.0, 25.0], [10.0, 25.0]]
DRAWING = [('lake', LAKE), ('house', HOUSE), ('boat', BOAT)]
IDS = {'background': 0, 'lake': 1, 'house': 2, 'boat': 3}


def inside(polygon, width=WIDTH, height=HEIGHT):
    """Returns which pixels have their center in a polygon, [H, W] bool."""
    y, x = np.mgrid[:height, :width] + 0.5
    closed = mpl_path.Path([*polygon, polygon[0]], closed=True)
    return closed.contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(
        height, width)


def truth(ids=None, drawing=DRAWING):
    """Returns the mask of a drawing, [H, W] uint8."""
    mask = np.full((HEIGHT, WIDTH), 0, np.uint8)
    for label, polygon in drawing:
        mask[inside(polygon)] = (ids or IDS)[label]
    return mask


def photo(path, seed=0, size=(WIDTH, HEIGHT), **options):
    """Saves an image; returns its path."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(
        0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(
        path, **options)
    return path


def photos(root, count=6, folder='images'):
    """Saves a.jpg, b.jpg, ...; returns their names."""
    names = [f'{letter}.jpg' for letter in 'abcdefghij'[:count]]
    for seed, name in enumerate(names):
        photo(root / folder / name, seed)
    return names


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def read_masks(output):
    """Returns {id of an image: its mask} of an output."""
    return {path.stem: np.asarray(Image.open(path))
            for path in sorted((output / 'masks').rglob('*.png'))}


def run(root, output, kind='coco', **options):
    """Imports an export, without val and test splits; returns the lines."""
    options = {'val': 0, 'test': 0, 'input': root, **options}
    return importer.import_labels(importer.Options(kind, output=output,
                                                   **options))


def refused(root, output, said, **options):
    """The import ends with one line, and leaves nothing behind."""
    with pytest.raises(errors.UserError, match=said) as caught:
        run(root, output, **options)
    assert '\n' not in str(caught.value)
    assert not output.exists() and not list(
        output.parent.glob(f'.{output.name}*'))


def written(output):
    """Returns the files of an output."""
    return sorted(path.relative_to(output).as_posix()
                  for path in output.rglob('*') if path.is_file())


def coco_content(names, segment=None, **changes):
    """Returns a COCO file's content: every image has the drawing."""
    def flat(polygon):
        return [[value for point in polygon for value in point]]
    images = [{'id': 10 + i, 'file_name': name, 'width': WIDTH,
               'height': HEIGHT} for i, name in enumerate(names)]
    annotations = [
        {'id': 100 * i + j, 'image_id': 10 + i, 'category_id': 5 * IDS[label],
         'iscrowd': 0, 'bbox': [0, 0, 1, 1],
         'segmentation': (segment or flat)(polygon)}
        for i in range(len(names))
        for j, (label, polygon) in enumerate(DRAWING)]
    categories = [{'id': 5 * number, 'name': name, 'supercategory': ''}
                  for name, number in IDS.items() if number]
    return {'info': {}, 'licenses': [], 'images': images,
            'annotations': annotations, 'categories': categories, **changes}


def coco(root, names, **options):
    write_json(root / 'annotations/instances_default.json',
               coco_content(names, **options))


def labelme_content(name, shapes=None):
    """Returns a labelme file's content."""
    shapes = shapes if shapes is not None else [
        labelme_shape(label, polygon) for label, polygon in DRAWING]
    return {'version': '5.5.0', 'flags': {}, 'shapes': shapes,
            'imagePath': name, 'imageData': None, 'imageHeight': HEIGHT,
            'imageWidth': WIDTH}


def labelme_shape(label, points, kind='polygon', mask=None):
    return {'label': label, 'points': points, 'group_id': None,
            'description': '', 'shape_type': kind, 'flags': {}, 'mask': mask}


def png_base64(pixels):
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, 'PNG')
    return base64.b64encode(data.getvalue()).decode()


CVAT = '''<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>7</id>
      <name>task</name>
      <mode>annotation</mode>
      <labels>
        {labels}
      </labels>
    </task>
    <dumped>2024-05-01 10:00:00.000000+00:00</dumped>
  </meta>
  {images}
</annotations>
'''
CVAT_COLORS = {'lake': '#3d3df5', 'house': '#fa3253', 'boat': '#33ddff'}


def cvat_label(name):
    color = CVAT_COLORS.get(name, '#000000')
    return (f'<label><name>{name}</name><color>{color}</color>'
            '<type>any</type><attributes></attributes></label>')


def cvat_polygon(label, polygon, z_order=0):
    points = ';'.join(f'{x:.2f},{y:.2f}' for x, y in polygon)
    return (f'<polygon label="{label}" source="manual" occluded="0" '
            f'points="{points}" z_order="{z_order}"></polygon>')


def cvat_image(number, name, shapes, extra=''):
    return (f'<image id="{number}" name="{name}" {extra} width="{WIDTH}" '
            f'height="{HEIGHT}">{"".join(shapes)}</image>')


def cvat(path, images, labels=('lake', 'house', 'boat')):
    """Writes an .xml of "CVAT for images 1.1"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CVAT.format(labels=''.join(map(cvat_label, labels)),
                                images='\n'.join(images)))
    return path


def voc_mask(path, mask):
    """Saves a palette mask as VOC's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask, 'P')
    image.putpalette([value for i in range(256) for value in (i, 255 - i, 7)])
    image.save(path)


def brush_bytes(mask):
    """Returns a mask as Label Studio's brush: its RLE of RGBA values.

    Runs of up to 8, 16, 256 or 65536 equal values; single values also as
    literals, as the browser writes them.
    """
    values = np.repeat(mask.astype(np.uint8).ravel() * 255, 4)
    starts = np.flatnonzero(np.diff(values, prepend=values[0] ^ 1))
    ends = np.append(starts[1:], len(values))
    sizes = (3, 4, 8, 16)
    bits = f'{len(values):032b}{7:05b}' + ''.join(f'{s - 1:04b}' for s in sizes)
    for start, end in zip(starts, ends):
        value = f'{values[start]:08b}'
        while start < end:
            length = min(end - start, 2 ** 16)
            index = next(i for i, s in enumerate(sizes) if length <= 2 ** s)
            count = f'{length - 1:0{sizes[index]}b}'
            if length <= 8 and start % 3 == 0:  # A literal of equal values.
                bits += f'0{index:02b}{count}' + value * int(length)
            else:
                bits += f'1{index:02b}{count}{value}'
            start += length
    bits += '0' * (-len(bits) % 8)
    return [int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)]


def studio_result(kind, value, **changes):
    return {'id': 'x', 'type': kind, 'value': value, 'origin': 'manual',
            'to_name': 'image', 'from_name': 'label', 'image_rotation': 0,
            'original_width': WIDTH, 'original_height': HEIGHT, **changes}


def studio_polygon(label, polygon):
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in polygon]
    return studio_result('polygonlabels', {
        'points': points, 'closed': True, 'polygonlabels': [label]})


def studio_task(number, name, results, **changes):
    return {'id': number, 'data': {'image': f'/data/upload/1/{name}'},
            'file_upload': name, 'annotations': [
                {'id': 100 + number, 'completed_by': 1, 'result': results,
                 'was_cancelled': False, 'ground_truth': False, **changes}],
            'predictions': []}
