import hashlib
import os
import pathlib
import stat
import subprocess
import sys

import pytest

from ddep_tf import errors, files

pytestmark = pytest.mark.quick

COLUMNS = ['step', 'loss', 'note']


def _only(folder):
    """Returns the one file of a folder: no temporary was left."""
    path, = folder.iterdir()
    return path


@pytest.mark.parametrize('parts, joined', [
    (['a'], 'a'), (['a', 'b/c'], 'a/b/c'), (['a', '/b', 'c'], '/b/c'),
    (['gs://b'], 'gs://b'), (['gs://b/', 'c', 'd'], 'gs://b/c/d'),
    (['a', 'gs://b/c'], 'gs://b/c'), (['gs://b/c', '/d'], '/d'),
    ([pathlib.Path('a'), 'b'], 'a/b')])
def test_parts_are_joined_from_the_last_absolute_one(parts, joined):
    path = files.path(*parts)
    assert str(path) == joined and files.path(path) == path
    assert files.is_bucket(path) == joined.startswith('gs://')
    assert isinstance(path, pathlib.Path) != files.is_bucket(path)


@pytest.mark.parametrize('text', [
    's3://b/x', 'ram://x', 'GS://b/x', 'file:///x', 'gs://', 'gs:///x',
    'gs:/b/x', pathlib.Path('gs://b/x')])
def test_other_schemes_are_refused_naming_what_works(text):
    with pytest.raises(errors.UserError, match='gs://BUCKET') as caught:
        files.path(text)
    assert str(text) in str(caught.value)


def test_a_path_of_a_bucket_is_taken_apart_like_a_local_one():
    path = files.path('gs://bucket/run/weights.npz')
    assert path.name == 'weights.npz' and path.stem == 'weights'
    assert path.parent == files.path('gs://bucket') / 'run'
    assert str(path.with_suffix('.json')) == 'gs://bucket/run/weights.json'
    assert str(path.relative_to('gs://bucket')) == 'run/weights.npz'


def test_paths_of_one_file_are_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'link').symlink_to(tmp_path)
    assert files.same('link/a', tmp_path / 'b' / '..' / 'a')
    assert not files.same('a', 'b')
    assert files.same('gs://b/run/', 'gs://b/x/../run')
    assert not files.same('gs://b/run', 'gs://c/run')
    assert not files.same('gs://b/run', 'b/run')


def test_a_digest_is_that_of_the_content(tmp_path):
    (tmp_path / 'a').write_bytes(b'a' * 3_000_000)
    assert files.sha256(tmp_path / 'a') == hashlib.sha256(
        b'a' * 3_000_000).hexdigest()


def test_a_file_is_replaced_when_its_block_ends(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with files.replacing(path) as temporary:
        temporary.write_text('new')
        assert path.read_text() == 'old'
        assert temporary.parent == tmp_path  # A rename keeps to one disk.
    assert path.read_text() == 'new' and _only(tmp_path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def _write_half(path, error):
    with files.replacing(path) as temporary:
        temporary.write_text('half')
        raise error


@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize('exists', [True, False])
def test_a_block_that_raises_leaves_what_was_there(tmp_path, exists, error):
    path = tmp_path / 'a.txt'
    if exists:
        path.write_text('old')
    with pytest.raises(error):
        _write_half(path, error)
    assert [p.read_text() for p in tmp_path.iterdir()] == ['old'] * exists


def test_what_cannot_be_written_is_named(tmp_path):
    missing, folder = tmp_path / 'none' / 'a.txt', tmp_path / 'folder'
    folder.mkdir()
    for path in (missing, folder):
        with pytest.raises(OSError, match=path.name) as caught:
            files.write_text(path, 'x')
        assert caught.value.filename == str(path)
    assert _only(tmp_path) == folder and not list(folder.iterdir())


def test_an_error_of_the_written_file_names_the_file_itself(tmp_path):
    path = tmp_path / 'a.txt'
    with pytest.raises(OSError, match='No space') as caught, \
            files.replacing(path) as temporary:
        raise OSError(28, 'No space left on device', str(temporary))
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, files.replacing(path):
        (tmp_path / 'another').read_text()
    assert caught.value.filename == str(tmp_path / 'another')


_WRITER = '''
import sys
from ddep_tf import files
for _ in range(300):
    files.write_text(sys.argv[1], sys.argv[2] * 10_000)
'''


def test_two_writers_at_once_never_mix(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('b' * 10_000)
    writers = [subprocess.Popen([sys.executable, '-c', _WRITER, path, letter])
               for letter in 'ab']
    seen = {path.read_text()}
    while any(writer.poll() is None for writer in writers):
        seen.add(path.read_text())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {'a' * 10_000, 'b' * 10_000}
    assert _only(tmp_path) == path


def test_json_comes_back(tmp_path):
    path = tmp_path / 'a.json'
    value = {'name': 'é "quoted"', 'list': [1, 0.1, None]}
    files.write_json(path, value)
    assert files.read_json(path) == value


@pytest.mark.parametrize('text', ['{"a": 1', '[1]', '', None])
def test_what_is_no_json_object_is_named(tmp_path, text):
    path = tmp_path / 'a.json'
    if text is not None:
        path.write_text(text)
    with pytest.raises(errors.UserError, match=r'a\.json'):
        files.read_json(path)


ROWS = [{'step': '1', 'loss': '0.5', 'note': 'a, b'},
        {'step': '2', 'loss': 'nan', 'note': 'said "c"'},
        {'step': '3', 'loss': '-1e-07', 'note': 'two\nlines'},
        {'step': '4', 'loss': '', 'note': 'é'}]


def test_rows_come_back_with_commas_quotes_and_line_breaks(tmp_path):
    path = tmp_path / 'a.csv'
    files.write_text(path, files.csv_text(COLUMNS, ROWS))
    assert files.read_csv(path) == ROWS
    log = files.CsvLog(tmp_path / 'b.csv', COLUMNS, 0)
    for row in ROWS:
        log.add(row)
    assert (tmp_path / 'b.csv').read_bytes() == path.read_bytes()


def test_columns_that_are_not_asked_for_are_left_out_and_none_is_blank():
    assert files.csv_text(['step', 'loss'], [
        {'step': 1, 'loss': None, 'note': 'x'}]) == 'step,loss\n1,\n'


def test_a_missing_file_has_no_rows(tmp_path):
    assert files.read_csv(tmp_path / 'none.csv') == []


def test_a_log_cut_back_equals_one_that_was_never_cut_off(tmp_path):
    whole, cut = tmp_path / 'whole.csv', tmp_path / 'cut.csv'
    log = files.CsvLog(whole, COLUMNS, 0)
    for row in ROWS:
        log.add(row)
    first = files.CsvLog(cut, COLUMNS, 0)
    for row in ROWS[:3]:
        first.add({**row, 'note': row['note'] * (row['step'] != '3')})
    assert cut.read_bytes() != whole.read_bytes()[:cut.stat().st_size]
    again = files.CsvLog(cut, COLUMNS, 2)  # The state is that of step 2.
    for row in ROWS[2:]:
        again.add(row)
    assert cut.read_bytes() == whole.read_bytes()
    files.CsvLog(cut, COLUMNS, 0)
    assert cut.read_text() == 'step,loss,note\n'


@pytest.mark.parametrize('tail', ['2', '2,', '2,0.5'])
def test_a_last_row_that_was_cut_off_is_dropped(tmp_path, tail):
    path = tmp_path / 'a.csv'
    path.write_text('step,loss,note\n1,0.5,x\n' + tail)
    assert [row['step'] for row in files.read_csv(path)] == ['1']
    log = files.CsvLog(path, COLUMNS, 2)
    log.add({'step': 2, 'loss': 0.25, 'note': 'y'})
    assert path.read_text() == 'step,loss,note\n1,0.5,x\n2,0.25,y\n'


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def full(descriptor):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space') as caught:
        files.write_text(path, 'new')
    assert caught.value.filename == str(path)
    assert path.read_text() == 'old' and _only(tmp_path) == path


def test_a_new_folder_is_whole_or_absent(tmp_path):
    target = tmp_path / 'a' / 'b'
    with pytest.raises(IsADirectoryError), files.new_folder(target) as folder:
        folder.write_text('1')
    assert not list(target.parent.iterdir())
    target.mkdir()  # An empty one is as good as none.
    with files.new_folder(target) as folder:
        (folder / 'x').write_text('2')
        assert not list(target.iterdir())
    assert (target / 'x').read_text() == '2'
    with (pytest.raises(errors.UserError, match='is not empty'),
          files.new_folder(target)):
        pass
    link = tmp_path / 'link'
    link.symlink_to(tmp_path / 'nowhere')
    with (pytest.raises(errors.UserError, match='is not empty'),
          files.new_folder(link)):
        pass
    assert [p.name for p in target.parent.iterdir()] == ['b']


def test_the_working_folder_can_be_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, target in enumerate(('.', str(tmp_path))):
        with files.new_folder(target) as folder:
            (folder / f'{number}').touch()
            assert pathlib.Path().resolve() == tmp_path  # As the block may ask.
        assert (tmp_path / f'{number}').exists()
        (tmp_path / f'{number}').unlink()
        monkeypatch.chdir(tmp_path)


def test_a_folder_that_cannot_give_way_is_named_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, 'ismount', lambda _: True)
    with (pytest.raises(errors.UserError, match='mounted.*a new folder in it'),
          files.new_folder(tmp_path)):
        pytest.fail('the work was begun')
