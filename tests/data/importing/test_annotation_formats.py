"""An export of each tool, read again, gives the masks that were drawn."""

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
import pytest

from ddep_tf.data import class_files
from ddep_tf.data.importing import importer

import exports
from exports import HEIGHT, WIDTH

pytestmark = pytest.mark.quick


def run(kind, root, **options):
    """Returns the masks of an import, its classes, and the lines it prints."""
    output = root.parent / f'out {len(list(root.parent.iterdir()))}'
    options.setdefault('input', root)
    lines = importer.import_labels(importer.Options(
        kind, output=output, **{'val': 0.4, 'test': 0, **options}))
    names = [c.name for c in class_files.read(output / 'classes.json')]
    return exports.read_masks(output), names, lines


def check(masks, names, expected=None, count=6):
    """The masks hold the drawing, under the ids of the names."""
    ids = {name: number for number, name in enumerate(names)}
    assert len(masks) == count
    for name, mask in masks.items():
        want = expected if expected is not None else exports.truth(ids)
        np.testing.assert_array_equal(mask, want, err_msg=name)


def polygon_rle(polygon):
    runs = coco_mask.encode(np.asfortranarray(
        exports.inside(polygon), np.uint8))
    return {'size': [HEIGHT, WIDTH], 'counts': runs['counts'].decode()}


def polygon_counts(polygon):
    flat = exports.inside(polygon).ravel('F')
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return {'size': [HEIGHT, WIDTH],
            'counts': np.diff([0, *edges, flat.size]).tolist()}


@pytest.mark.parametrize('segment', [None, polygon_rle, polygon_counts])
def test_coco(root, segment):
    exports.coco(root, exports.photos(root), segment=segment)
    masks, names, lines = run('coco', root)
    assert names == ['background', 'lake', 'house', 'boat']
    check(masks, names)
    overlap = exports.inside(exports.LAKE) & exports.inside(exports.HOUSE)
    overlap |= exports.inside(exports.BOAT) & exports.inside(exports.LAKE)
    assert ('pixels under shapes of several classes, of which the later '
            f'counts: {6 * overlap.sum():,}, images with such pixels: 6'
            ) in lines


def test_coco_of_several_polygons_and_a_crowd(root):
    names = exports.photos(root, 1)
    content = exports.coco_content(names)
    content['annotations'] = [
        {'id': 1, 'image_id': 10, 'category_id': 5, 'iscrowd': 0,
         'segmentation': [sum(p, []) for p in (exports.BOAT, exports.HOUSE)]},
        {'id': 2, 'image_id': 10, 'category_id': 10, 'iscrowd': 1,
         'segmentation': polygon_counts(exports.LAKE)}]
    exports.write_json(root / 'x.json', content)
    masks, names, _ = run('coco', root, val=0)
    check(masks, names, exports.truth(drawing=[
        ('lake', exports.BOAT), ('lake', exports.HOUSE),
        ('house', exports.LAKE)]), 1)


def test_coco_as_roboflow_exports_it(root):
    """A folder a split, with the images and the file beside them."""
    for split, count in (('train', 3), ('valid', 2), ('test', 1)):
        names = exports.photos(root, count, split)
        content = exports.coco_content(names)
        # The first category is the project, maybe of the name of a class.
        for category in content['categories']:
            category['supercategory'] = 'lake'
        content['categories'].insert(
            0, {'id': 0, 'name': 'lake', 'supercategory': 'none'})
        exports.write_json(root / split / '_annotations.coco.json', content)
    masks, names, lines = run('coco', root)
    check(masks, names)
    assert sorted(masks) == ['test_a', 'train_a', 'train_b', 'train_c',
                             'valid_a', 'valid_b']
    assert {'train: 3 images', 'val: 2 images', 'test: 1 image',
            "the splits are the export's own"} <= set(lines)


def test_coco_as_coco_itself_lies(root):
    for split, numbers in (('train', '1234'), ('val', '567')):
        names = [f'00000000000{number}.jpg' for number in numbers]
        for name in names:
            exports.photo(root / f'{split}2017/{name}')
        exports.write_json(root / f'annotations/instances_{split}2017.json',
                           exports.coco_content(names))
    masks, names, lines = run('coco', root)
    check(masks, names, count=7)
    assert {'train: 4 images', 'val: 3 images'} <= set(lines)
    masks, names, lines = run(
        'coco', root, input=root / 'annotations/instances_val2017.json',
        val=0.5)
    check(masks, names, count=3)
    # The other images serve the denoising.
    assert 'unlabelled: 4 images' in lines


@pytest.mark.parametrize('path', ['{}', '..\\images\\{}', '../images/{}',
                                  'C:\\photos\\{}'])
def test_labelme(root, path):
    for name in exports.photos(root):
        exports.write_json(root / f'labels/{name[0]}.json',
                           exports.labelme_content(path.format(name)))
    masks, names, _ = run('labelme', root)
    assert names == ['background', 'boat', 'house', 'lake']
    check(masks, names)


def test_labelme_shapes(root):
    exports.photos(root, 1, '.')
    shape, patch = exports.labelme_shape, np.zeros((9, 7), bool)
    patch[2:5, 1:6] = True
    exports.write_json(root / 'a.json', exports.labelme_content('a.jpg', [
        shape('disc', [[20, 20], [20, 30]], 'circle'),
        shape('box', [[50, 12], [40, 2]], 'rectangle'),
        shape('turned', [[40, 20], [50, 20], [50, 30], [40, 30]],
              'oriented_rectangle'),
        shape('patch', [[3, 4], [9, 12]], 'mask',
              exports.png_base64(patch)),
        shape('old', exports.BOAT, None),
        shape('_background_', [[20, 20], [20, 25]], 'circle'),
        shape('__ignore__', [[0, 40], [60, 44]], 'rectangle'),
        shape('line', [[1, 1], [9, 9]], 'line'), shape('dot', [[1, 1]],
                                                       'point')]))
    masks, names, lines = run('labelme', root, val=0)
    assert names == ['background', 'box', 'disc', 'old', 'patch', 'turned']
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    want = np.zeros((HEIGHT, WIDTH), np.uint8)
    radius = np.hypot(x - 20, y - 20)
    want[radius < 10] = 2
    want[2:12, 40:50] = 1
    want[20:30, 40:50] = 5
    want[6:9, 4:9] = 4
    want[20:25, 10:18] = 3
    want[radius < 5] = 0
    want[40:] = 255
    check(masks, names, want, 1)
    assert 'points and lines, which cover nothing: 2' in lines


def test_cvat_polygons_are_painted_by_z_order(root):
    polygons = [exports.cvat_polygon(label, polygon, z_order)
                for z_order, (label, polygon) in enumerate(exports.DRAWING)]
    exports.cvat(root / 'annotations.xml', [
        exports.cvat_image(i, name, polygons[::-1])
        for i, name in enumerate(exports.photos(root))])
    masks, names, _ = run('cvat', root)
    assert names == ['background', 'lake', 'house', 'boat']
    # The coordinates have two digits.
    check(masks, names)
    output = next(root.parent.glob('out*'))
    assert [c.color for c in class_files.read(output / 'classes.json')] == [
        '#000000', *exports.CVAT_COLORS.values()]


def test_cvat_shapes(root):
    exports.photos(root, 1)
    exports.cvat(root / 'annotations.xml', [exports.cvat_image(0, 'a.jpg', [
        '<box label="lake" xtl="40.00" ytl="2.00" xbr="50.00" ybr="12.00" '
        'z_order="0"></box>',
        '<box label="lake" xtl="4.00" ytl="30.00" xbr="24.00" ybr="34.00" '
        'rotation="90.00" z_order="0"></box>',
        '<ellipse label="house" cx="20.00" cy="20.00" rx="10.00" ry="5.00" '
        'rotation="90.00" z_order="0"></ellipse>',
        '<mask label="boat" rle="3, 2, 4, 1" left="55" top="38" width="5" '
        'height="2" z_order="1"></mask>',
        '<points label="boat" points="1.00,1.00" z_order="0"></points>',
        '<polyline label="boat" points="1.0,1.0;9.0,9.0"></polyline>',
        '<tag label="boat" source="manual"></tag>'])])
    masks, names, lines = run('cvat', root, val=0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    want = np.zeros((HEIGHT, WIDTH), np.uint8)
    want[2:12, 40:50] = 1
    want[22:42, 12:16] = 1
    want[((x - 20) / 5) ** 2 + ((y - 20) / 10) ** 2 < 1] = 2
    want[38, 58:60] = 3
    want[39, 59] = 3
    check(masks, names, want, 1)
    assert 'shapes of the kind polyline, which cover nothing: 1' in lines


def test_cvat_of_a_project_with_subsets(root):
    shapes = [exports.cvat_polygon(*drawn) for drawn in exports.DRAWING]
    images = [exports.cvat_image(
        i, name, shapes, f'subset="{subset}" task_id="3"')
        for subset in ('Train', 'Validation')
        for i, name in enumerate(exports.photos(
            root, 2, f'images/{subset}'))]
    # Both subsets hold a.jpg and b.jpg.
    exports.cvat(root / 'annotations.xml', [
        image.replace('name="', f'name="{subset}/')
        for image, subset in zip(images, ['Train'] * 2 + ['Validation'] * 2)])
    masks, names, lines = run('cvat', root)
    check(masks, names, count=4)
    assert {'train: 2 images', 'val: 2 images'} <= set(lines)


@pytest.mark.parametrize('as_palette', [False, True])
def test_cvat_masks_of_colors(root, as_palette):
    colors = {'background': (0, 0, 0), 'boat': (51, 221, 255),
              'house': (250, 50, 83), 'lake': (61, 61, 245)}
    (root / 'ImageSets/Segmentation').mkdir(parents=True)
    (root / 'labelmap.txt').write_text('# label:color_rgb:parts:actions\n' + (
        ''.join(f'{name}:{",".join(map(str, color))}::\n'
                for name, color in colors.items())))
    (root / 'ImageSets/Segmentation/default.txt').write_text('a\nb\n')
    mask = exports.truth()
    table = np.array([colors[name] for name in exports.IDS], np.uint8)
    (root / 'SegmentationClass').mkdir()
    (root / 'SegmentationObject').mkdir()
    for name in exports.photos(root, folder='JPEGImages'):
        image = Image.fromarray(table[mask])
        if as_palette:
            image = image.quantize(16, dither=Image.Dither.NONE)
        image.save(root / f'SegmentationClass/{name[0]}.png')
        image.save(root / f'SegmentationObject/{name[0]}.png')
    masks, names, _ = run('cvat', root)
    assert names == ['background', 'boat', 'house', 'lake']
    check(masks, names)
    masks, names, _ = run('voc', root, renamed={'boat': 'ignore'})
    check(masks, names, exports.truth(
        {'lake': 2, 'house': 1, 'boat': 255}))


def voc(root, mask):
    for name in exports.photos(root, folder='VOC2012/JPEGImages'):
        if name != 'f.jpg':
            exports.voc_mask(
                root / f'VOC2012/SegmentationClass/{name[0]}.png', mask)
    sets = root / 'VOC2012/ImageSets/Segmentation'
    sets.mkdir(parents=True)
    (sets / 'train.txt').write_text('a\nb\nc\n')
    (sets / 'val.txt').write_text('d\ne\n')
    (sets / 'trainval.txt').write_text('a\nb\nc\nd\ne\n')


def test_voc_palettes_and_image_sets(root):
    root = root.parent / 'Segmentation of lakes'  # No folder of masks.
    mask = exports.truth()
    mask[:2] = 255
    voc(root, mask)
    masks, names, lines = run('voc', root)
    assert names == ['class 0', 'class 1', 'class 2', 'class 3']
    check(masks, names, mask, 5)
    assert {'train: 3 images', 'val: 2 images',
            'unlabelled: 1 image'} <= set(lines)
    renamed = {'0': 'background', '1': 'water', '2': 'house', '3': 'water'}
    masks, names, _ = run('voc', root, renamed=renamed)
    assert names == ['background', 'water', 'house']
    check(masks, names, np.array([0, 1, 2, 1, *[255] * 252], np.uint8)[mask], 5)


def test_voc_as_labelme2voc_names_its_classes(root):
    """class_names.txt also names what no image holds."""
    mask = exports.truth({'lake': 1, 'house': 2, 'boat': 4})
    voc(root, mask)
    (root / 'VOC2012/class_names.txt').write_text(
        '_background_\nlake\nhouse\ntree\nboat\n')
    masks, names, _ = run('voc', root)
    assert names == ['background', 'lake', 'house', 'tree', 'boat']
    check(masks, names, mask, 5)


def test_label_studio(root):
    results = [exports.studio_polygon(*drawn) for drawn in exports.DRAWING]
    names = exports.photos(root)
    exports.write_json(root / 'project.json', [
        exports.studio_task(i, f'3f2b1c0{i}-{name}', results)
        for i, name in enumerate(names)])
    masks, names, _ = run('label_studio', root)
    assert names == ['background', 'boat', 'house', 'lake']
    check(masks, names)


def test_label_studio_shapes(root):
    result = exports.studio_result
    lake = exports.inside(exports.LAKE)
    exports.photos(root, 3)
    task = exports.studio_task(1, 'a.jpg', [
        result('brushlabels', {'format': 'rle', 'brushlabels': ['lake'],
                               'rle': exports.brush_bytes(lake)}),
        result('rectanglelabels', {
            'x': 50, 'y': 25, 'width': 20, 'height': 50, 'rotation': 0,
            'rectanglelabels': ['house']}),
        result('rectanglelabels', {
            'x': 100 * 4 / 60, 'y': 0, 'width': 50, 'height': 100 * 4 / 44,
            'rotation': 90, 'rectanglelabels': ['house']}),
        result('ellipselabels', {
            'x': 50, 'y': 50, 'radiusX': 10, 'radiusY': 25, 'rotation': 0,
            'ellipselabels': ['boat']}),
        result('labels', {'points': [[0, 0], [10, 0], [10, 10], [0, 10]],
                          'labels': ['boat']}),
        result('choices', {'choices': ['sharp']})])
    task['data'] = {'id': 5, 'url': '/data/local-files/?d=images%5Ca.jpg'}
    del task['file_upload']
    older = {'id': 90, 'result': [], 'was_cancelled': False}
    task['annotations'].insert(0, older)
    skipped = exports.studio_task(2, 'b.jpg', [], was_cancelled=True)
    empty = exports.studio_task(3, 'c.jpg', [])
    exports.write_json(root / 'p.json', [task, skipped, empty])
    masks, names, lines = run('label_studio', root, val=0)
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    want = np.zeros((HEIGHT, WIDTH), np.uint8)
    want[lake] = 3
    want[11:33, 30:42] = 2
    want[0:30, 0:4] = 2
    want[((x - 30) / 6) ** 2 + ((y - 22) / 11) ** 2 < 1] = 1
    want[:4, :6] = 1
    check(masks, names, want, 1)
    assert {'unlabelled: 2 images',
            'tasks of several annotations, of which the last is taken: 1',
            'results of the type choices, which cover nothing: 1'} <= set(lines)
    masks, *_ = run('label_studio', root, val=0, empty='background')
    assert not masks.pop('c').any() and list(masks) == ['a']


def test_label_studio_brushes_as_png(root):
    exports.photos(root, 2)
    for number, label, polygon in ((1, 'lake', exports.LAKE),
                                   (2, 'my house', exports.HOUSE)):
        Image.fromarray(exports.inside(polygon).astype(np.uint8) * 255).save(
            root / f'task-{number}-annotation-{100 + number}-by-me@x.org-tag-'
            f'{label}-0.png')
    brush = exports.studio_result('brushlabels', {
        'format': 'rle', 'brushlabels': ['lake'], 'rle': [1]})
    exports.write_json(root / 'p.json', [
        exports.studio_task(1, 'a.jpg', [brush]),
        exports.studio_task(2, 'b.jpg', [])])
    masks, names, _ = run('label_studio', root, val=0)
    assert names == ['background', 'lake', 'my house']
    np.testing.assert_array_equal(masks['a'], exports.inside(exports.LAKE))
    np.testing.assert_array_equal(masks['b'],
                                  2 * exports.inside(exports.HOUSE))


def test_label_studio_names_of_brushes_may_have_hyphens(root):
    exports.photos(root, 1)
    Image.fromarray(exports.inside(exports.LAKE).astype(np.uint8) * 255).save(
        root / 'task-1-annotation-101-by-a-b@x.org-brush-labels-my-lake-0.png')
    brush = exports.studio_result('brushlabels', {
        'format': 'rle', 'brushlabels': ['my-lake'], 'rle': [1]},
        from_name='brush-labels')
    exports.write_json(root / 'p.json', [
        exports.studio_task(1, 'a.jpg', [
            exports.studio_result('rating', {'rating': 4}), brush])])
    assert run('label_studio', root, val=0)[1] == ['background', 'my-lake']


def plain(root, mask, suffix='.png'):
    for name in exports.photos(root):
        path = root / f'masks/{name[0]}{suffix}'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(mask).save(path)


def test_plain_masks_of_ids(root):
    mask = exports.truth()
    mask[5:9, 5:9] = 255
    plain(root, mask, '_mask.png')
    masks, names, _ = run('masks', root, mask_suffix='_mask.png')
    assert names == ['class 0', 'class 1', 'class 2', 'class 3']
    check(masks, names, mask)


def test_plain_masks_beside_their_images(root):
    mask = exports.truth()
    for name in exports.photos(root, folder='.'):
        exports.voc_mask(root / f'{name[0]}_mask.png', mask)
    exports.photo(root / 'z.jpg')
    masks, names, lines = run('masks', root, images=root,
                              mask_suffix='_mask.png')
    check(masks, names, mask)
    assert 'unlabelled: 1 image' in lines


def test_plain_masks_below_their_images_are_no_images(root):
    mask = exports.truth()
    for name in exports.photos(root, folder='.'):
        exports.voc_mask(root / f'masks/{name[0]}.png', mask)
    masks, names, lines = run('masks', root, input=root / 'masks', images=root)
    check(masks, names, mask)
    assert not any('unlabelled' in line for line in lines)


def test_plain_masks_in_folders_of_splits(root):
    mask = exports.truth()
    for split in ('train', 'val'):
        for name in exports.photos(root, 2, f'images/{split}'):
            exports.voc_mask(root / f'masks/{split}/{name[0]}.png', mask)
    masks, names, lines = run('masks', root)
    check(masks, names, mask, 4)
    assert {'train: 2 images', 'val: 2 images'} <= set(lines)


@pytest.mark.parametrize('bits', [False, True])
def test_plain_masks_of_0_and_255(root, bits):
    inside = exports.inside(exports.LAKE)
    plain(root, inside if bits else inside.astype(np.uint8) * 255)
    renamed = {'0': 'background', '1' if bits else '255': 'lake'}
    masks, names, _ = run('masks', root, renamed=renamed)
    assert names == ['background', 'lake']
    check(masks, names, inside)


def test_plain_masks_of_colors_and_of_wide_ids(root):
    mask = exports.truth()
    table = np.array([[0, 0, 0], [0, 0, 255], [255, 0, 0], [9, 8, 7]], np.uint8)
    plain(root, table[mask])
    masks, names, _ = run('masks', root, renamed={
        '#ff0000': 'house', '#000000': 'background', '#0000ff': 'lake',
        '#090807': 'ignore'})
    assert names == ['background', 'house', 'lake']
    check(masks, names, np.array([0, 2, 1, 255], np.uint8)[mask])
    wide = np.array([0, 300, 1000, 7], np.uint16)[mask]
    plain(root.parent / 'wide', wide)
    masks, names, _ = run('masks', root.parent / 'wide', renamed={
        '0': 'a', '300': 'b', '1000': 'c', '7': 'd'})
    assert names == ['a', 'b', 'c', 'd']
    check(masks, names, mask)


def test_images_beside_the_export(root):
    """A folder of photos, a few of them labelled."""
    names = exports.photos(root.parent / 'photos', 10, 'trip/day 1')
    exports.coco(root, names[:4])
    masks, names, lines = run('coco', root, images=root.parent / 'photos',
                              val=0.5, seed=1)
    check(masks, names, count=4)
    assert sorted(masks) == [f'trip_day_1_{n}' for n in 'abcd']
    assert 'unlabelled: 6 images' in lines
