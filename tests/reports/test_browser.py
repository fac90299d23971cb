"""The report's page in a browser: Chromium without a window, if it is here."""

import functools
import io
import pathlib
import shutil
import subprocess
import tarfile

import numpy as np
from PIL import Image
import pytest

from ddep_tf.reports import write

import report_cases

playwright = pytest.importorskip('playwright.sync_api')

EVIL = '<img src=x onerror=alert(1)>'
PHONE, DESK = {'width': 360, 'height': 740}, {'width': 1280, 'height': 900}
# What the pages are made of; the last two strain the layout.
EXPERIMENTS = {
    'arms': {'seeds': (0, 1)},
    'one arm': {'arms': ('scratch',), 'counts': (10,), 'seeds': (0,),
                'classes': (EVIL, '</script><script>alert(1)</script>')},
    'classes': {'arms': ('supervised', 'ddep'), 'seeds': (0,), 'classes': [
        f'class {i} with a long name' for i in range(149)] + ['x' * 80]},
}


@pytest.fixture(scope='module')
def browser():
    names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
    path = next(filter(None, map(shutil.which, names)), None)
    if not path:
        pytest.skip('needs Chromium')
    with playwright.sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=path)


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """Returns a function: name of an experiment -> address of its page."""
    @functools.cache
    def build(name):
        folder = tmp_path_factory.mktemp('exp') / 'exp'
        report_cases.make_experiment(folder, **EXPERIMENTS[name])
        return pathlib.Path(write.write_report(folder)).as_uri()
    return build


@pytest.fixture
def visit(browser, address):
    """Returns a function that opens a page, and whose `problems` is what the
    browser complained of."""
    problems, contexts = [], []

    def to(name, size=DESK, **options):
        context = browser.new_context(viewport=size, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: problems.append(message.text))
        page.on('pageerror', lambda error: problems.append(str(error)))
        page.on('dialog', lambda dialog: problems.append(dialog.message))
        page.on('request', lambda request: problems.append(request.url)
                if not request.url.startswith(('file:', 'data:')) else None)
        page.goto(address(name))
        return page
    to.problems = problems
    yield to
    for context in contexts:
        context.close()


def _pixels(page):
    """Returns what the stage shows, without its edges: [H, W, 3]."""
    with Image.open(io.BytesIO(page.locator('.stage').screenshot())) as image:
        return np.asarray(image.convert('RGB'), int)[6:-6, 6:-6]


def _side(page, name):
    return page.get_by_role('combobox', name=name, exact=True)


def _shown(page):
    """Returns what is compared, (left, right)."""
    return tuple(_side(page, name).evaluate(
        'one => one.selectedOptions[0].text') for name in ('Left', 'Right'))


def _open_all(page):
    page.eval_on_selector_all('details', 'all => all.forEach('
                              'one => { one.open = true; })')


@pytest.mark.parametrize('size', [PHONE, DESK], ids=['phone', 'desk'])
@pytest.mark.parametrize('name', EXPERIMENTS)
def test_nothing_is_loaded_nor_wider_than_the_window(visit, name, size):
    page = visit(name, size)
    _open_all(page)
    wide, width = page.evaluate(
        '[document.documentElement.scrollWidth, innerWidth]')
    assert wide == width == size['width']
    assert page.locator('.stage img').count() == 2
    assert not visit.problems


def test_the_slider_moves_by_keyboard(visit):
    page = visit('arms')
    slider = page.get_by_label('Divider')
    assert _shown(page) == ('scratch', 'dep')  # The first and the last arm.
    middle = _pixels(page)
    slider.focus()
    page.keyboard.press('Home')
    whole_right = _pixels(page)
    page.keyboard.press('End')
    whole_left = _pixels(page)
    page.keyboard.press('ArrowLeft')
    assert slider.input_value() == '99'
    assert slider.get_attribute('aria-valuetext') == (
        '99 %: left of it scratch, right of it dep')
    half, edge = middle.shape[1] // 2, 6  # Of the divider.
    assert (whole_left != whole_right).any()
    np.testing.assert_array_equal(middle[:, :half - edge],
                                  whole_left[:, :half - edge])
    np.testing.assert_array_equal(middle[:, half + edge:],
                                  whole_right[:, half + edge:])


def test_the_slider_compares_what_is_chosen(visit):
    page = visit('arms')
    page.get_by_label('Divider').fill('0')
    before = _pixels(page)
    _side(page, 'Left').select_option('truth')
    np.testing.assert_array_equal(_pixels(page), before)  # It is covered.
    _side(page, 'Right').select_option('truth')
    truth = _pixels(page)
    assert (truth != before).any()
    pictures = _side(page, 'Picture')
    assert 'image a_image_1, 10 labelled images, seed 0' in (
        pictures.text_content())
    assert 'image clear, best, ddep, 10 labelled' in pictures.text_content()
    pictures.select_option('1')
    assert (_pixels(page) != truth).any()
    assert not visit.problems


def test_the_slider_follows_the_mouse(visit):
    page = visit('arms')
    page.locator('.stage').scroll_into_view_if_needed()
    box = page.locator('.stage').bounding_box()
    page.mouse.move(box['x'] + 0.8 * box['width'], box['y'] + 20)
    assert page.get_by_label('Divider').input_value() == '50'
    page.mouse.down()
    page.mouse.move(box['x'] + 0.25 * box['width'], box['y'] + 20)
    page.mouse.up()
    assert page.get_by_label('Divider').input_value() == '25'


def test_one_arm_is_compared_with_the_truth(visit):
    page = visit('one arm')
    assert _shown(page) == ('truth', 'scratch')


def test_without_scripts_the_tiles_are_there_alone(visit):
    page = visit('arms', java_script_enabled=False)
    assert not page.locator('.compare').is_visible()
    assert page.locator('.row img').first.is_visible()


def test_tables_scroll_by_keyboard_on_a_phone(visit):
    page = visit('classes', PHONE)
    box = page.locator('.scroll').first
    assert box.evaluate('one => one.scrollWidth > one.clientWidth')
    box.focus()
    page.keyboard.press('ArrowRight')
    page.wait_for_timeout(500)  # It scrolls smoothly.
    assert box.evaluate('one => one.scrollLeft > 0')


def test_dark_is_dark(visit):
    def brightness(scheme, thing):
        color = visit('arms', color_scheme=scheme).evaluate(
            f'getComputedStyle(document.body).{thing}')
        return sum(map(int, color.strip('rgb()').split(',')))
    assert brightness('light', 'backgroundColor') > 700
    assert brightness('light', 'color') < 150
    assert brightness('dark', 'backgroundColor') < 150
    assert brightness('dark', 'color') > 600


@pytest.fixture(scope='module')
def axe(tmp_path_factory):
    """Returns the script of axe-core, which is on npm."""
    if not shutil.which('npm'):
        pytest.skip('needs npm, for axe-core')
    folder = tmp_path_factory.mktemp('axe')
    done = subprocess.run(
        ['npm', 'pack', '--silent', 'axe-core@4'], cwd=folder,
        capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip('npm does not give axe-core: ' + done.stderr[-200:])
    packed, = folder.glob('*.tgz')
    with tarfile.open(packed) as archive:
        return archive.extractfile('package/axe.min.js').read().decode()


@pytest.mark.network
@pytest.mark.parametrize('name, size, scheme', [
    ('arms', PHONE, 'light'), ('arms', DESK, 'dark'),
    ('classes', PHONE, 'dark'), ('one arm', DESK, 'light')])
def test_axe_finds_nothing_serious(visit, axe, name, size, scheme):
    page = visit(name, size, color_scheme=scheme)
    _open_all(page)
    page.evaluate(axe)
    found = page.evaluate('axe.run()')
    assert len(found['passes']) > 10
    assert [(one['id'], one['nodes'][0]['html'])
            for one in found['violations']
            if one['impact'] in ('serious', 'critical')] == []
