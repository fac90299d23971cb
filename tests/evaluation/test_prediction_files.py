"""What prediction writes holds what its name says, and replaces nothing."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors, files
from ddep_tf.data import labels, photos
from ddep_tf.evaluation import prediction_files

pytestmark = pytest.mark.quick

CITY = labels.label_set('cityscapes')


def predicted(ids, image):
    odds = np.full((*ids.shape, 19), 0.01, np.float32)
    np.put_along_axis(odds, ids[..., None].astype(int), 0.82, -1)
    return prediction_files.Prediction(image, ids, odds)


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """A folder with all kinds of files of two images, and their ids."""
    folder = tmp_path_factory.mktemp('files') / 'out'
    output = prediction_files.PredictionFiles(folder, prediction_files.KINDS,
                                              CITY)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 19, (5, 7), np.uint8)
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    output.write(pathlib.PurePath('sub/a'), predicted(ids, image))
    output.write(pathlib.PurePath('b'), predicted(ids[:1] * 0 + 2, image[:1]))
    output.finish()
    assert output.count == 2
    return folder, ids, image


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


def test_each_kind_is_what_it_says(written):
    folder, ids, image = written
    colors = CITY.palette[ids]
    for end, mode, pixels in (
            ('', 'L', ids), ('_colour', 'RGB', colors), ('_palette', 'P', ids),
            ('_label_ids', 'L', CITY.source_ids[ids]),
            ('_overlay', 'RGB', (image.astype(int) + colors) // 2)):
        found = read(folder / 'sub' / f'a{end}.png')
        assert found[0] == mode
        np.testing.assert_array_equal(found[1], pixels, end)
    with Image.open(folder / 'sub/a_palette.png') as palette:
        np.testing.assert_array_equal(palette.convert('RGB'), colors)
    with np.load(folder / 'sub/a_probabilities.npz') as arrays:
        odds = arrays['probabilities']
        assert odds.shape == (5, 7, 19) and odds.dtype == np.float16
        np.testing.assert_array_equal(odds.argmax(-1), ids)
        np.testing.assert_allclose(odds.max(-1), 0.82, atol=1e-3)
        assert tuple(arrays['class_names']) == CITY.class_names
    assert read(folder / 'legend.png')[0] == 'RGB'


def test_the_summary_counts_the_pixels_of_each_class(written):
    folder, ids, _ = written
    one, other = files.read_csv(folder / 'summary.csv')
    assert (one['image'], one['width'], one['height']) == ('sub/a', '7', '5')
    for index, name in enumerate(CITY.class_names):
        assert int(one[f'{name} pixels']) == (ids == index).sum()
        assert int(other[f'{name} pixels']) == (7 if index == 2 else 0)


def test_nothing_but_what_is_asked_for_is_written(tmp_path):
    output = prediction_files.PredictionFiles(
        tmp_path, ['overlay', 'overlay'], CITY)
    output.write(pathlib.PurePath('a'), predicted(
        np.zeros((1, 2), np.uint8), np.zeros((1, 2, 3), np.uint8)))
    output.finish()
    assert [path.name for path in tmp_path.iterdir()] == ['a_overlay.png']


@pytest.mark.parametrize('kinds', [[], ['masks'], ['ids', '']])
def test_other_kinds_are_refused_with_the_list(kinds):
    with pytest.raises(errors.UserError, match='--write.*ids, colour'):
        prediction_files.PredictionFiles('out', kinds, CITY)


@pytest.mark.parametrize('names, output, named', [
    (['a.png'], '.', 'a.png'), (['a.jpg', 'a_colour.png'], '.', 'a_colour'),
    (['a.jpg', 'a.png'], 'out', 'a.png'),
    (['a.jpg', 'a_colour.jpg'], 'out', 'a_colour'),
    (['legend.jpg'], 'out', '--write=legend'),
    (['legend.png'], '.', '--write=legend'),
    (['a.mp4', 'a.avi'], 'out', 'a.avi'), (['a.mp4', 'a/1.jpg'], '.', 'a.mp4'),
    (['a.mp4', 'b/a/1.jpg', 'b/a/2.jpg', 'b/a.mp4'], 'b', 'b/a')])
def test_no_file_replaces_an_input_or_another(tmp_path, names, output, named):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text('kept')
    target = tmp_path / output
    output = prediction_files.PredictionFiles(
        target, ['ids', 'colour', 'legend'], CITY)
    found = photos.find([tmp_path / name for name in names], target)
    with pytest.raises(errors.UserError, match=named):
        output.check(found)
    for path in tmp_path.rglob('*.*'):
        assert path.read_text() == 'kept'


def test_a_video_and_an_image_of_one_name_fit_beside_each_other(tmp_path):
    for name in ('a.mp4', 'a.jpg', 'x/a.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    for inputs in (['a.mp4', 'a.jpg'], ['a.jpg', 'x/a.jpg']):
        prediction_files.PredictionFiles(
            tmp_path / 'out', prediction_files.DEFAULT, CITY).check(
                photos.find([tmp_path / name for name in inputs], 'out'))
