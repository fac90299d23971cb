"""Classes: renamed, merged, ignored, never guessed."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors
from ddep_tf.data import class_files
from ddep_tf.data.importing import classes

import exports

pytestmark = pytest.mark.quick


def test_maps_rename_merge_and_ignore(root, output):
    exports.coco(root, exports.photos(root, 1))
    exports.run(root, output, renamed={'lake': 'thing', 'house': 'thing',
                               'boat': 'ignore'}, background='rest')
    assert [c.name for c in class_files.read(output / 'classes.json')] == [
        'rest', 'thing']
    np.testing.assert_array_equal(
        exports.read_masks(output)['a'],
        exports.truth({'lake': 1, 'house': 1, 'boat': 255}))


def test_a_background_can_be_ignored(root, output):
    exports.coco(root, exports.photos(root, 1))
    exports.run(root, output, background='ignore')
    mask = exports.truth() - 1  # 0 becomes 255.
    np.testing.assert_array_equal(exports.read_masks(output)['a'], mask)
    assert [c.name for c in class_files.read(output / 'classes.json')] == [
        'lake', 'house', 'boat']


def test_a_class_called_ignore_is_a_class(root, output):
    content = exports.coco_content(exports.photos(root, 1))
    content['categories'][0]['name'] = 'ignore'
    exports.write_json(root / 'x.json', content)
    exports.run(root, output)
    assert class_files.read(output / 'classes.json')[1].name == 'ignore'


@pytest.mark.parametrize('values, renamed, said', [
    ([0, 255], {}, r'0, 255 alone.*--map=0=background --map=255=NAME'),
    ([0, 255], {'0': 'a'}, '1 classes'),
    ([0, 3, 7], {}, 'ids 0, 3, 7, which are not'),
    ([1, 2], {}, 'ids 1, 2, which are not'),
    ([0, 3, 7], {'0': 'a', '3': 'b'}, 'does not say what 7'),
    ([0, 1], {'5': 'a'}, "no label '5', but 0, 1"),
    ([0, 0], {}, 'alone'),
])
def test_values_of_masks_are_never_guessed(root, output, values, renamed, said):
    exports.photos(root, 1)
    (root / 'masks').mkdir()
    mask = np.resize(np.array(values, np.uint8),
                     (exports.HEIGHT, exports.WIDTH))
    Image.fromarray(mask).save(root / 'masks/a.png')
    exports.refused(root, output, said, kind='masks', renamed=renamed)


def test_colors_and_photos_are_no_ids(root, output):
    exports.photos(root, 1)
    (root / 'masks').mkdir()
    mask = np.zeros((exports.HEIGHT, exports.WIDTH, 3), np.uint8)
    mask[:9] = 255, 0, 16
    Image.fromarray(mask).save(root / 'masks/a.png')
    exports.refused(root, output, '#000000, #ff0010.*--map=#000000=NAME',
                    kind='masks')
    exports.photo(root / 'masks/a.png')
    exports.refused(root, output, 'smoothed or saved as JPEG', kind='masks')


@pytest.mark.parametrize('texts, said', [
    (['a'], 'LABEL=NAME'), (['=a'], 'LABEL=NAME'), (['a='], 'LABEL=NAME'),
    (['a=b', 'a=c'], 'two names')])
def test_maps_are_checked(texts, said):
    with pytest.raises(errors.UserError, match=said):
        classes.parse_map(texts)
