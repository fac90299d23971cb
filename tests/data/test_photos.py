"""What --input names is found once, and named by where it lies."""

import os

from PIL import Image
import pytest

from ddep_tf import errors
from ddep_tf.data import photos

pytestmark = pytest.mark.quick


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(('.txt', '.mp4')):
            (root / name).write_text('none')
        else:
            Image.new('RGB', (4, 4)).save(root / name)


def found(inputs, output_dir='out'):
    """Returns {name: path} of what is found."""
    listed = photos.find(inputs, output_dir)
    assert len({str(photo.path) for photo in listed}) == len(listed)
    return {photo.name.as_posix(): str(photo.path) for photo in listed}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, 'in/b.jpg', 'in/a.PNG', 'in/c.tif', 'in/notes.txt',
          'in/deep/er/b.jpg', 'in/clip.mp4', 'other/b.jpg', 'other/x[1].jpg')
    return tmp_path


def test_a_folder_gives_its_jpeg_and_png_and_says_what_it_leaves(capsys):
    assert found(['in']) == {'a': 'in/a.PNG', 'b': 'in/b.jpg'}
    assert capsys.readouterr().out == (
        'in: leaves out 1 .mp4, 1 .tif, 1 .txt, which a glob or their names '
        'would take\n'
        'in: leaves out what is in its folders (1, such as deep), which '
        "--input='in/**/*.PNG' would take\n")
    assert found(['other']) and not capsys.readouterr().out


def test_files_are_taken_whatever_their_kind():
    assert found(['in/c.tif', 'in/clip.mp4', 'other/x[1].jpg']) == {
        'c': 'in/c.tif', 'clip': 'in/clip.mp4', 'x[1]': 'other/x[1].jpg'}
    listed = photos.find(['in/c.tif', 'in/clip.mp4'], 'out')
    assert [photo.is_video for photo in listed] == [False, True]


@pytest.mark.parametrize('pattern, names', [
    ('in/*.jpg', ['b']), ('in/[ac].*', ['a', 'c']),
    ('*/b.jpg', ['in/b', 'other/b']), ('i?/**/*.jpg', ['in/b', 'in/deep/er/b']),
    ('in/**/*', ['a', 'b', 'c', 'clip', 'notes', 'deep/er/b'])])
@pytest.mark.parametrize('absolute', [False, True])
def test_globs_keep_the_folders_below_them(folder, pattern, names, absolute):
    pattern = f'{folder}/{pattern}' if absolute else pattern
    assert sorted(found([pattern])) == sorted(names)


def test_a_file_that_two_inputs_name_is_taken_once(folder):
    assert found(['in/b.jpg', 'in/*.jpg', 'in/../in/b.jpg', 'in',
                  folder / 'in']) == {'b': 'in/b.jpg', 'a': 'in/a.PNG'}


def test_images_of_one_name_keep_the_folders_that_tell_them_apart():
    assert found(['in', 'other/b.jpg', 'in/deep/er']) == {
        'in/a': 'in/a.PNG', 'in/b': 'in/b.jpg', 'other/b': 'other/b.jpg',
        'in/deep/er/b': 'in/deep/er/b.jpg'}


def test_a_link_has_its_own_name(folder):
    os.symlink(folder / 'other/b.jpg', folder / 'in/link.jpg')
    assert found(['in/link.jpg', 'other/b.jpg']) == {
        'link': 'in/link.jpg', 'b': 'other/b.jpg'}


def test_masks_of_an_earlier_start_are_no_input(folder):
    write(folder, 'in/out/b.png')
    assert sorted(found(['in/**/*.[jp]*'], 'in/out')) == [
        'b', 'deep/er/b']
    # The glob names the output's own folder: its images are meant.
    assert sorted(found(['in/out/*.png'], 'in/out')) == ['b']


@pytest.mark.parametrize('name, said', [
    ('missing', 'no such file'), ('in/*.bmp', 'matches no file'),
    ('in/deep', "holds no image .*--input='in/deep/"),
    ('in/*/../b.jpg', 'outside of --output_dir'),
    ('in/**x/*.jpg', r'in/\*\*x')])
def test_what_is_not_there_is_named(name, said):
    with pytest.raises(errors.UserError, match=said):
        found([name])
