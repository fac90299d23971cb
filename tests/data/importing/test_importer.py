"""Faults of exports: named in one line, or skipped and counted."""

import json

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors

import exports

pytestmark = pytest.mark.quick


def content(root, **changes):
    exports.photos(root, 2)
    return {**exports.coco_content(['a.jpg', 'b.jpg']), **changes}


def annotation(polygon=exports.LAKE, **changes):
    return {'id': 1, 'image_id': 10, 'category_id': 5,
            'segmentation': [sum(polygon, [])], **changes}


FAULTS = {  # A change of the content; what is said; what is left of it.
    'two points': (lambda c: c['annotations'].append(
        annotation([[1, 1], [2, 2]])), 'annotation 6 .*2 points', 2),
    'outside': (lambda c: c['annotations'].append(annotation(
        [[100, 1], [200, 1], [200, 9]])), 'annotation 6.*outside', 2),
    'no number': (lambda c: c['annotations'].append(annotation(
        [[1, 1], [2, float('nan')], [3, 3]])), 'no finite number', 1),
    'odd': (lambda c: c['annotations'].append(annotation(
        segmentation=[[1, 2, 3]])), 'annotation 6 is no list', 1),
    'box': (lambda c: c['annotations'].append(annotation(
        segmentation=[])), 'annotation 6 has no segmentation', 1),
    'RLE of another size': (lambda c: c['annotations'].append(annotation(
        segmentation={'size': [1, 2], 'counts': [2]})), 'not that of', 1),
    'broken RLE': (lambda c: c['annotations'].append(annotation(
        segmentation={'size': [44, 60], 'counts': 'zz'})), 'RLE', 1),
    'unknown category': (lambda c: c['annotations'].append(annotation(
        category_id=99)), 'category 99', 1),
    'unknown image': (lambda c: c['annotations'].append(annotation(
        image_id=99)), 'image 99', 2),
    'no object': (lambda c: c['annotations'].append(7), 'annotation 6', 2),
    'nameless category': (lambda c: c['categories'].append(
        {'id': 3, 'name': ' '}), r'category 3 \(id 3\) has no name', 2),
    'no image': (lambda c: c['images'].append(
        {'id': 9, 'file_name': 'z.jpg'}), "image 2 names .*'z.jpg'", 2),
    'an image twice': (lambda c: c['images'].append(
        {**c['images'][0], 'id': 9}), 'both of the image', 2),
    'another size': (lambda c: c['images'][0].update(width=61),
                     '61 x 44 pixels, its image .* 60 x 44', 1),
    'an image without a name': (lambda c: c['images'][0].pop('file_name'),
                                "image 0 has no 'file_name'", 1),
}


@pytest.mark.parametrize('fault', FAULTS)
def test_faults_are_named_or_skipped_and_counted(root, output, fault):
    change, said, left = FAULTS[fault]
    value = content(root)
    change(value)
    exports.write_json(root / 'x.json', value)
    exports.refused(root, output, said)
    lines = exports.run(root, output, skip_bad=True)
    assert len(exports.read_masks(output)) == left
    count = int(next(line for line in lines if line.startswith('left out'))
                .split()[2].rstrip(':'))
    assert count >= 1 and any('x.json' in line for line in lines[-count:])


def test_what_is_skipped_is_not_background(root, output):
    """A shape that cannot be read leaves its image out, not its pixels."""
    value = content(root)
    value['annotations'].append(annotation(segmentation=[[1, 2, 3]]))
    exports.write_json(root / 'x.json', value)
    exports.run(root, output, skip_bad=True)
    assert list(exports.read_masks(output)) == ['b']
    # The photo itself can still be denoised.
    assert 'images/unlabelled/a.jpg' in exports.written(output)


def test_two_classes_of_one_name_are_never_skipped(root, output):
    value = content(root)
    value['categories'].append({'id': 3, 'name': 'lake'})
    exports.write_json(root / 'x.json', value)
    for skip_bad in (False, True):
        exports.refused(root, output, "category 3: .*'lake' occurs twice",
                skip_bad=skip_bad)


@pytest.mark.parametrize('text, said', [
    ('', 'cannot be read as JSON'), ('{"images": [', 'cannot be read'),
    ('[]', 'no .json of it has "images"'), ('{}', 'no .json of it'),
    ('[' * 100000, 'cannot be read'), ('\udcff', 'cannot be read')])
def test_broken_files_are_named(root, output, text, said):
    exports.photos(root, 1)
    (root / 'x.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    exports.refused(root, output, said)


@pytest.mark.parametrize('kind, name, text, said', [
    ('labelme', 'a.json', '{"shapes": [], "imagePath": 7}', 'imagePath'),
    ('labelme', 'a.json', '{}', 'none of its .json has "shapes"'),
    ('labelme', 'a.json', json.dumps(exports.labelme_content('a.jpg', [
        exports.labelme_shape('x', [[1, 1]], 'circle')])),
     'shape 0 is a circle of 1 points'),
    ('labelme', 'a.json', json.dumps(exports.labelme_content('a.jpg', [
        exports.labelme_shape('x', [[1, 1], [2, 2]], 'mask', '!')])),
     'a mask that cannot be read'),
    ('labelme', 'a.json', json.dumps(exports.labelme_content('a.jpg', [
        exports.labelme_shape(' ', exports.LAKE)])), 'shape 0 has no label'),
    ('labelme', 'a.json', json.dumps(exports.labelme_content('a.jpg', [
        exports.labelme_shape('x', exports.LAKE, 'star')])), "type 'star'"),
    ('cvat', 'a.xml', '<annotations>', 'cannot be read as XML'),
    ('cvat', 'a.xml', '<other/>', 'not of "CVAT for images'),
    ('cvat', 'a.xml', '<annotations><track/></annotations>', 'not of "CVAT'),
    ('cvat', 'a.xml', '<!DOCTYPE a [<!ENTITY b "c">]><annotations/>',
     'declares entities'),
    ('cvat', 'a.xml', exports.CVAT.format(labels='<label></label>', images=''),
     'label 0 has no name'),
    ('cvat', 'a.xml', exports.CVAT.format(
        labels=2 * exports.cvat_label('x'), images=''), "called 'x' like"),
    ('cvat', 'a.xml', exports.CVAT.format(labels='', images=exports.cvat_image(
        0, 'a.jpg', ['<polygon label="x" points="1,2;3,4"/>'])),
     r'image 0 \(a.jpg\), polygon 0 is a polygon of 2 points'),
    ('cvat', 'a.xml', exports.CVAT.format(labels='', images=exports.cvat_image(
        0, 'a.jpg', ['<box label="x" xtl="1"/>'])), 'no finite number'),
    ('cvat', 'a.xml', exports.CVAT.format(labels='', images=exports.cvat_image(
        0, 'a.jpg', ['<mask label="x" rle="1" left="0" top="0" '
                     'width="99999999" height="99999999"/>'])), 'pixels'),
    ('cvat', 'a.xml', exports.CVAT.format(labels='', images=exports.cvat_image(
        0, 'a.jpg', ['<blob label="x"/>'])), "kind 'blob'"),
    ('cvat', 'labelmap.txt', 'x:1,2:a', 'holds no folder SegmentationClass'),
    ('label_studio', 'a.json', '{}', 'no export of Label Studio'),
    ('label_studio', 'a.json', '[{"id": 1, "data": {"i": "http://[a.jpg"}}]',
     'task 0 names no image'),
    ('label_studio', 'a.json', '[{"image": "a.jpg"}]', 'JSON-MIN'),
    ('label_studio', 'a.json', json.dumps([exports.studio_task(1, 'a.jpg', [
        exports.studio_result('brushlabels', {'rle': [1, 2],
                                              'brushlabels': ['x']})])]),
     'result 0 has a brush that is cut off'),
    ('label_studio', 'a.json', json.dumps([exports.studio_task(1, 'a.jpg', [
        exports.studio_result('polygonlabels', {'points': exports.LAKE})])]),
     'labels None, not one'),
    ('label_studio', 'a.json', json.dumps([exports.studio_task(1, 'a.jpg', [
        exports.studio_result('rectanglelabels', {
            'x': 'a', 'y': 0, 'width': 1, 'height': 1,
            'rectanglelabels': ['x']})])]), 'no finite number'),
    ('label_studio', 'a.json', json.dumps([exports.studio_task(1, 'a.jpg', [
        exports.studio_result('videorectangle', {'labels': ['x']})])]),
     "type 'videorectangle'"),
    ('label_studio', 'a.json', json.dumps([exports.studio_task(1, 'a.jpg', [
        {**exports.studio_polygon('x', exports.LAKE),
         'image_rotation': 90}])]), 'turned in Label Studio'),
    ('voc', 'a.txt', '', 'no folder SegmentationClass'),
    ('masks', 'masks/a.jpg', '', 'holds no mask'),
    ('masks', 'masks/a.png', '', 'cannot read the image .*a.png'),
])
def test_faults_of_each_tool(root, output, kind, name, text, said):
    exports.photos(root, 1)
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    exports.refused(root, output, said, kind=kind)


def test_a_mask_without_an_image_or_of_another_size(root, output):
    exports.photos(root, 2)
    exports.voc_mask(root / 'masks/a.png', exports.truth())
    exports.voc_mask(root / 'masks/z.png', exports.truth())
    exports.refused(root, output, "z.png names the image 'z'", kind='masks')
    (root / 'masks/z.png').unlink()
    exports.voc_mask(root / 'masks/b.png', exports.truth()[1:])
    exports.refused(root, output, 'b.png is of 60 x 43 pixels', kind='masks')
    assert exports.run(root, output, kind='masks', skip_bad=True)[-2:][0] == (
        'left out, 1:')
    assert list(exports.read_masks(output)) == ['a']


def test_damaged_images_are_refused(root, output, monkeypatch):
    exports.photos(root, 2)
    exports.coco(root, ['a.jpg', 'b.jpg'])
    path = root / 'images/b.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    exports.refused(root, output, 'cannot read the image .*b.jpg')
    Image.fromarray(np.zeros((exports.HEIGHT, exports.WIDTH), np.uint16)).save(
        root / 'images/b.jpg', format='PNG')
    exports.refused(root, output, '16 bits')
    exports.photo(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    exports.refused(root, output, 'more than 200 pixels')


def test_an_output_is_never_replaced(root, output):
    exports.coco(root, exports.photos(root))
    output.mkdir(parents=True)
    (output / 'mine.txt').write_text('x')
    with pytest.raises(errors.UserError, match='is not empty'):
        exports.run(root, output)
    assert exports.written(output) == ['mine.txt']
    (output / 'mine.txt').unlink()
    exports.run(root, output)
    assert 'classes.json' in exports.written(output)
    assert [p.name for p in output.parent.iterdir()] == ['data']


def test_an_output_is_not_among_the_images(root, output):
    exports.coco(root, exports.photos(root))
    exports.refused(root, root / 'data', 'name a folder beside it')


def test_what_is_not_there_is_said(root, output):
    exports.refused(root, output, 'no such file')
    root.mkdir(parents=True)
    exports.refused(root, output, 'holds no .json')
    exports.refused(root, output, 'give --images', kind='masks')
    (root / 'x.zip').write_text('')
    exports.refused(root / 'x.zip', output, 'unpack it')
    exports.write_json(root / 'x.json', exports.coco_content([]))
    exports.refused(root, output, 'holds no image')
    exports.photos(root, 1)
    exports.refused(root, output, 'no image has labels')


def test_images_of_one_name_are_refused(root, output):
    exports.coco(root, exports.photos(root, 2))
    for name in ('caf\u00e9.jpg', 'cafe\u0301.jpg'):
        exports.photo(root / 'images' / name)
    exports.refused(root, output, 'one name as UTF-8')
