"""Paths of gs://, by TensorFlow's own client against a server on loopback."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

# All in one process: TensorFlow takes seconds to load.
_CLIENT = '''
import io, sys
import numpy as np
from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.models import npz
assert files.path(sys.argv[1], 'x') and 'tensorflow' not in sys.modules
root, read_only, denied, none = map(files.path, sys.argv[1:])


def refused(kind, said, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except OSError as error:
        assert type(error) is kind, repr(error)
        assert said in error.strerror and '\\n' not in error.strerror
        assert error.filename.startswith('gs://'), error.filename
        return
    raise AssertionError(f'{function} was not refused')


# Content, text, sizes, parts.
path = root / 'run' / 'a b.txt'
files.write_text(path, 'one\\r\\ntwo é')
assert path.read_bytes() == 'one\\r\\ntwo é'.encode()
assert path.read_text() == 'one\\ntwo é'
with path.open(newline='') as file:
    assert file.read() == 'one\\r\\ntwo é'
with path.open('rb') as file:
    assert file.seek(-3, io.SEEK_END) == 8 and file.read() == ' é'.encode()
    assert file.seek(4) == 4 and file.read(3) == b'\\ntw'
    try:
        file.seek(-99, io.SEEK_END)
        raise AssertionError
    except OSError as error:
        assert error.filename is None
files.write_bytes(root / 'empty', b'')
assert (root / 'empty').read_bytes() == b''
assert files.sizes([path, root / 'empty']) == [11, 0]
refused(FileNotFoundError, '', files.sizes, [path, root / 'none'])

# What is where.
assert path.is_file() and path.exists() and not path.is_dir()
assert path.parent.is_dir() and not path.parent.is_file() and root.is_dir()
assert not (root / 'ru').exists() and not (root / 'ru').is_dir()
assert list((root / 'run').iterdir()) == [path]
(root / 'made').mkdir(parents=True, exist_ok=True)
(root / 'made').mkdir(exist_ok=True)
refused(FileExistsError, 'exists', (root / 'made').mkdir)
assert (root / 'made').is_dir() and not list((root / 'made').iterdir())
assert sorted(p.name for p in root.iterdir()) == ['empty', 'made', 'run']
assert list(root.glob('r*/*.txt')) == list(root.glob('run/a b.txt')) == [path]
assert not list(root.glob('none/*')) and not list(root.glob('empty/*'))
refused(FileNotFoundError, 'no such folder', lambda: (root / 'x').iterdir())
assert files.path(f'{root}/made/../run/a b.txt') == path
path.unlink()
path.unlink(missing_ok=True)
refused(FileNotFoundError, 'No such object', path.unlink)

# Written whole, or not at all, by one upload.
with files.replacing(root / 'whole') as temporary:
    temporary.write_text('new')
    assert not (root / 'whole').exists()
try:
    with files.replacing(root / 'whole') as temporary:
        temporary.write_text('half')
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
assert (root / 'whole').read_text() == 'new' and not temporary.exists()
for word in ('one', 'two'):
    with files.appending(root / 'log.txt') as local, local.open('a') as file:
        file.write(word)
assert (root / 'log.txt').read_text() == 'onetwo'
files.write_json(root / 'a.json', {'a': 1})
assert files.read_json(root / 'a.json') == {'a': 1}
assert files.sha256(root / 'whole') == (
    '11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437')

# Rows are held back.
log = files.CsvLog(root / 'log.csv', ['step', 'note'], 0)
log.add({'step': 1, 'note': 'a, "b"'})
assert files.read_csv(root / 'log.csv') == []
log.flush()
log.add({'step': 2, 'note': 'lost'})
rows = [{'step': '1', 'note': 'a, "b"'}]
assert files.read_csv(root / 'log.csv') == rows
log.flush()
assert len(files.read_csv(root / 'log.csv')) == 2
files.CsvLog(root / 'log.csv', ['step', 'note'], 1)
assert files.read_csv(root / 'log.csv') == rows
assert files.read_csv(root / 'none.csv') == []

# Weights, pictures.
arrays = {f'k/{i}': np.full((100, 7), i, np.float32) for i in range(9)}
assert npz.save_npz(root / 'w.npz', arrays) == files.sha256(root / 'w.npz')
assert npz.read_keys(root / 'w.npz') == list(arrays)
for key, array in npz.read_npz(root / 'w.npz').items():
    assert np.array_equal(array, arrays[key])
assert npz.locate(root / 'made') == root / 'made' / 'weights.npz'
files.write_bytes(root / 'cut.npz', (root / 'w.npz').read_bytes()[:-100])
for name, said in (('cut.npz', 'is not an .npz'), ('none.npz', 'no such'),
                   ('made', 'is not an .npz')):
    try:
        npz.read_npz(root / name)
        raise AssertionError(name)
    except errors.UserError as error:
        assert said in str(error) and f'{root}/{name}' in str(error)
pixels = np.arange(30, dtype=np.uint8).reshape(5, 6)
image_files.write_png(root / 'p.png', pixels)
assert np.array_equal(image_files.read_mask(root / 'p.png'), pixels)

# For what reads local files alone.
with files.local_copy(root / 'p.png') as local:
    assert local.read_bytes() == (root / 'p.png').read_bytes()
    assert local.name == 'p.png' and not files.is_bucket(local)
assert not local.exists()

# What Google refuses.
for function in (files.read_csv, lambda p: p.exists(), lambda p: p.is_dir(),
                 lambda p: p.is_file(), lambda p: p.iterdir(),
                 lambda p: p.read_bytes(), npz.read_keys):
    refused(PermissionError, '403: tester@example.com does not have',
            function, denied / 'x')
for function in (lambda p: files.write_text(p, 'x'), lambda p: p.mkdir()):
    for place in (denied, read_only):
        refused(PermissionError, 'Google answers 403', function, place / 'x')
    refused(FileNotFoundError, '404: The specified bucket does not exist',
            function, none / 'x')
refused(FileNotFoundError, 'bucket does not exist', (none / 'x').read_bytes)
refused(TimeoutError, 'Google answers 503', (root / 'busy').read_bytes)
files.write_text(root / 'end', '')
'''


@pytest.fixture
def places(gcs, bucket):
    """URLs: a bucket, one that is read-only, one that denies, and none."""
    for name in ('read-only', 'denied'):
        gcs.store.objects.setdefault(name, {})
    gcs.store.read_only.add('read-only')
    gcs.store.denied.add('denied')
    yield [bucket.url, 'gs://read-only', 'gs://denied', 'gs://nowhere']
    gcs.store.read_only.clear()
    gcs.store.denied.clear()


def _run(code, folder, environment, *args):
    done = subprocess.run(
        [sys.executable, '-c', code, *args], cwd=folder, check=False,
        env={**os.environ, **environment}, capture_output=True, text=True,
        timeout=100)
    assert not list(folder.iterdir()), 'something was written locally'
    return done


def test_a_bucket_is_read_and_written_like_a_disk(tmp_path, bucket, places):
    bucket.server.fail('/busy$', 503, times=99)
    done = _run(_CLIENT, tmp_path, bucket.environment, *places)
    assert done.returncode == 0, done.stderr
    assert 'end' in bucket.names()
    # An object is uploaded at once, and what failed leaves none.
    assert bucket.server.count(r'upload \S+/whole') == 1
    assert not bucket.server.store.objects['read-only']


_ANONYMOUS = '''
import sys, time
import tensorflow
from ddep_tf.models import npz
begin = time.monotonic()
assert npz.read_keys(sys.argv[1]) == ['a']
assert time.monotonic() - begin < 5
'''


def test_a_public_bucket_is_read_without_credentials(tmp_path, bucket, gcs):
    data = io.BytesIO()
    np.savez(data, a=np.ones(3, np.float32))
    bucket.write('R50+ViT-B_16.npz', data.getvalue())
    gcs.store.public.add(bucket.name)
    environment = {key: value for key, value in bucket.environment.items()
                   if key not in ('GOOGLE_AUTH_TOKEN_FOR_TESTING',
                                  'NO_GCE_CHECK')}
    environment['CLOUDSDK_CONFIG'] = str(tmp_path)  # Where no account is.
    done = _run(_ANONYMOUS, tmp_path, environment,
                f'{bucket.url}/R50+ViT-B_16.npz')
    assert done.returncode == 0, done.stderr
