"""The page of a checked folder: what it shows, and that it stays text."""

import html.parser
import re

import pytest

from ddep_tf import configure
from ddep_tf.data.checking import check_folder
from ddep_tf.reports import data_page

import exports

pytestmark = pytest.mark.quick
EVIL = '<script>alert(1)</script>'


@pytest.fixture
def folder(tmp_path):
    names = exports.photos(tmp_path / 'in', 6)
    content = exports.coco_content(names[:5])
    content['categories'][0]['name'] = EVIL
    exports.write_json(tmp_path / 'in/x.json', content)
    exports.run(tmp_path / 'in', tmp_path / 'data', val=0.3, seed=1)
    return tmp_path / 'data'


def page_of(folder, samples=2):
    run, _ = configure.load_run('segment', ['data/folder.gin'], (), folder)
    found = check_folder.check(run.data[0], folder)
    return data_page.build_page(found, folder, samples)


class Parser(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.sources, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs
                         if name in ('src', 'href')]
        if tag not in ('img', 'link', 'meta', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_shows_masks_over_images_and_loads_nothing(folder):
    text = page_of(folder)
    parsed = Parser(text)
    assert not parsed.open and 'script' not in parsed.tags
    # Of each split 2 images, of those with masks twice.
    assert parsed.tags.count('img') == 2 * 2 + 2 * 2 + 1
    assert all(source.startswith('data:') for source in parsed.sources)
    assert 'ready to train on' in text and 'Worth a look' not in text
    assert '&lt;script&gt;' in text and 'background, ' in text


def test_names_of_files_are_no_markup(folder):
    (folder / 'images/train/<b onload=x>&"y.jpg').write_bytes(b'x')
    text = page_of(folder)
    assert '1 problem to solve' in text
    assert '<b ' not in text and '&lt;b onload=x&gt;&amp;' in text


def test_ids_outside_the_classes_are_shown_all_the_same(folder):
    first = next((folder / 'masks/train').iterdir())
    exports.voc_mask(first, exports.truth() + 9)
    text = page_of(folder, samples=9)
    assert 'no class' in text and 'holds the id 9' in text


def test_many_lines_are_folded(folder):
    for number in range(60):
        (folder / f'images/unlabelled/x{number}.jpg').write_bytes(b'x')
    text = page_of(folder, samples=0)
    assert '20 more' in text and len(re.findall('cannot read', text)) == 60
    assert '<img' not in text


def test_images_of_rare_classes_come_first(tmp_path):
    names = exports.photos(tmp_path / 'in', 5)
    content = exports.coco_content(names)
    boat = content['categories'][2]['id']
    content['annotations'] = [
        a for a in content['annotations']
        if a['category_id'] != boat or a['image_id'] == 14]
    exports.write_json(tmp_path / 'in/x.json', content)
    exports.run(tmp_path / 'in', tmp_path / 'data')
    run, _ = configure.load_run(
        'segment', ['data/folder.gin'], ["folder/DatasetSpec.val_split=''"],
        tmp_path / 'data')
    text = data_page.build_page(check_folder.check(
        run.data[0], tmp_path / 'data'), 'data', 1)
    assert 'train/e<' in text and 'lake, house, boat' in text
