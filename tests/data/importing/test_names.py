"""Names of data become names of files that are safe everywhere."""

import os

import pytest

from ddep_tf import files
from ddep_tf.data.importing import names

import exports

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('name, expected', [
    ('a.jpg', 'a'), ('images/a.jpg', 'a'), ('JPEGImages/x/a.b.jpg', 'x_a.b'),
    ('day 1/a b.png', 'day_1_a_b'), ('con.jpg', '_con'), ('x/NUL.jpg', 'x_NUL'),
    ('nul.x.jpg', '_nul.x'), ('com5.png', '_com5'), ('.hidden.jpg', 'hidden'),
    ('a\0b\n.jpg', 'a_b_'), ('<b>&"\'.jpg', '_b____'), ('é.jpg', 'é'),
    ('e\u0301.jpg', 'é'), ('図.jpg', '図'), ('...jpg', '_'),
    ('a..jpg', 'a'), ('../../x.jpg', '_.._x'), ('C:\\x.jpg', 'C__x'),
    ('\ufffd.jpg', '_')])
def test_names_are_safe_on_every_system(name, expected):
    assert names.file_id(name) == expected


def test_long_names_are_cut_and_stay_apart():
    one, other = (names.file_id('図' * 200 + x + '.jpg') for x in 'ab')
    assert one != other and len(one.encode()) < 200


def test_names_that_a_file_system_confuses_are_refused(root, output):
    exports.photos(root, 2)
    exports.photo(root / 'images/A.jpg')
    exports.coco(root, ['a.jpg'])
    exports.refused(root, output, r'a.jpg and .*A.jpg would both be called')
    lines = exports.run(root, output, skip_bad=True)
    assert lines[-2] == 'left out, 1:'


@pytest.mark.parametrize('name', [
    '../outside.jpg', '../../outside.jpg', '{}/outside.jpg', 'a\0.jpg', '',
    '/', 'CON.jpg', 'x' * 5000, '..\\outside.jpg'])
def test_a_name_never_leads_out_of_the_images(root, output, name):
    exports.photo(root.parent / 'outside.jpg')
    exports.photos(root, 1)
    exports.coco(root, [name.format(root.parent)])
    exports.refused(root, output, 'names the image')


def test_no_output_lies_outside(root, output):
    evil = 'x\n<script>.jpg'
    exports.photo(root / 'images' / evil)
    exports.coco(root, [evil])
    exports.run(root, output)
    assert exports.written(output) == [
        'classes.json', 'images/train/x__script_.jpg',
        'masks/train/x__script_.png', 'sources.csv']
    # Which file it was, is on record.
    row, = files.read_csv(output / 'sources.csv')
    assert row == {'split': 'train', 'id': 'x__script_',
                   'source': f'images/{evil}'}


@pytest.mark.skipif(os.name != 'posix', reason='names are Unicode elsewhere')
def test_names_that_are_no_utf8(root, output):
    exports.coco(root, exports.photos(root, 1))
    os.rename(root / 'images/a.jpg', os.fsencode(root) + b'/images/\xff.jpg')
    exports.photos(root, 1)
    exports.run(root, output)
    assert 'images/unlabelled/_.jpg' in exports.written(output)
