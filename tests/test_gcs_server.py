"""The Google Cloud Storage of tests, by TensorFlow's client and by urllib."""

import os
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

# All in one process: TensorFlow takes seconds to load.
_CLIENT = '''
import sys
import numpy as np
import tensorflow as tf
from etils import epath

url, gfile = sys.argv[1], tf.io.gfile


def write(name, data):
    with gfile.GFile(f'{url}/{name}', 'wb') as file:
        file.write(data)


def read(name):
    with gfile.GFile(f'{url}/{name}', 'rb') as file:
        return file.read()


# Content, sizes, names that must be escaped.
for name, data in {'a/empty': b'', 'a/with space & ü?#%2F.txt': b'text',
                   'a/b/big': bytes(range(256)) * 12_000}.items():
    write(name, data)
    assert read(name) == data and gfile.stat(
        f'{url}/{name}').length == len(data), name
with gfile.GFile(f'{url}/a/b/big', 'rb') as file:
    file.seek(256 * 5000 + 7)
    assert file.read(3) == bytes([7, 8, 9])
with gfile.GFile(f'{url}/a/empty', 'ab') as file:
    file.write(b'more')
with gfile.GFile(f'{url}/a/empty', 'ab') as file:
    file.write(b' and more')
assert read('a/empty') == b'more and more'

# Lists of several pages, folders, patterns.
for i in range(5):
    write(f'list/{i}.txt', b'x')
    write(f'list/sub{i}/x', b'x')
assert sorted(gfile.listdir(f'{url}/list')) == sorted(
    [f'{i}.txt' for i in range(5)] + [f'sub{i}/' for i in range(5)])
assert sorted(gfile.glob(f'{url}/list/[13]*')) == [
    f'{url}/list/1.txt', f'{url}/list/3.txt']
assert gfile.isdir(f'{url}/list') and not gfile.exists(f'{url}/lis')
assert sum(len(files) for _, _, files in gfile.walk(f'{url}/list')) == 10
path = epath.Path(url) / 'list'
assert path.is_dir() and len(list(path.glob('*.txt'))) == 5

# Renaming, removing, folders.
gfile.rename(f'{url}/list/0.txt', f'{url}/moved.txt')
gfile.rename(f'{url}/list/sub0', f'{url}/moved')
assert read('moved.txt') == read('moved/x') == b'x'
gfile.remove(f'{url}/moved.txt')
assert not gfile.exists(f'{url}/moved.txt')
assert not gfile.exists(f'{url}/list/0.txt')
gfile.makedirs(f'{url}/new/folder')
assert gfile.isdir(f'{url}/new/folder')
gfile.rmtree(f'{url}/list')  # The client takes the folder for there 5 s.
assert not gfile.glob(f'{url}/list/*')
try:
    read('nowhere')
    raise AssertionError
except tf.errors.NotFoundError as error:
    assert 'nowhere was not found' in str(error), error

# What training writes and reads.
value = tf.Variable(np.random.default_rng(0).normal(size=300_000))
manager = tf.train.CheckpointManager(
    tf.train.Checkpoint(value=value), f'{url}/state', max_to_keep=2)
for step in range(1, 4):
    value.assign_add(tf.ones_like(value))
    manager.save(checkpoint_number=step)
expected = value.numpy()
value.assign(tf.zeros_like(value))
tf.train.Checkpoint(value=value).restore(
    tf.train.latest_checkpoint(f'{url}/state')).assert_consumed()
np.testing.assert_array_equal(value, expected)
with tf.io.TFRecordWriter(f'{url}/records') as writer:
    for i in range(100):
        writer.write(bytes([i]) * 1000)
records = list(tf.data.TFRecordDataset(f'{url}/records'))
assert len(records) == 100 and records[7].numpy() == bytes([7]) * 1000
with tf.summary.create_file_writer(f'{url}/events').as_default():
    tf.summary.scalar('loss', 0.5, step=1)
event, = gfile.glob(f'{url}/events/*')
assert any(value.tag == 'loss'
           for one in tf.compat.v1.train.summary_iterator(event)
           for value in one.summary.value)
'''


def test_tensorflow_reads_and_writes_through_faults(bucket):
    gcs = bucket.server
    gcs.answers.page_size = 3
    gcs.fail('start .*/a/b/big', 503, times=2)
    gcs.fail('read .*/a/b/big', 429)
    gcs.cut('read .*/a/b/big', after=100_000, skip=1)
    gcs.fail('delete .*/moved.txt', 503)
    gcs.cut('upload .*/a/b/big', after=1_000_000)
    gcs.cut('upload .*/state/ckpt-2_temp/part.*data', after=2_000_000)
    process = subprocess.run(
        [sys.executable, '-c', _CLIENT, bucket.url], text=True,
        capture_output=True, timeout=300, check=False,
        env={**os.environ, **bucket.environment})
    assert process.returncode == 0, process.stderr
    assert bucket.read('a/empty') == b'more and more'
    assert {'state/checkpoint', 'state/ckpt-2.index',
            'state/ckpt-3.index'} < set(bucket.names())
    assert 'state/ckpt-1.index' not in bucket.names()
    # The rest of a cut upload was sent, not the whole again.
    sizes = [len(one.body) for one in gcs.log
             if str(one) == f'upload {bucket.name}/a/b/big']
    assert sizes == [12_000 * 256 - 3 * 2 ** 18]
    assert gcs.count('status .*/state/ckpt-2_temp/part.*data') == 1
    assert gcs.count(f'list {bucket.name}/list/') > 4


@pytest.fixture
def opened(bucket, monkeypatch):
    """Returns a function that downloads an object as Python does."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)

    def opened(name, **headers):
        # Not by urlopen, which keeps the proxies of its first call.
        return urllib.request.build_opener().open(urllib.request.Request(
            f'https://storage.googleapis.com/{name}', headers=headers))
    return opened


def test_a_public_object_is_downloaded_in_parts(bucket, opened):
    bucket.server.store.public.add(bucket.name)
    bucket.write('folder/R50+B.npz', b'0123456789')
    name = f'{bucket.name}/folder/R50%2BB.npz'
    with opened(name) as answer:
        assert answer.read() == b'0123456789'
        assert answer.headers['x-goog-hash'] == 'md5=eB5eJF1ptWaXm4bijSPyxw=='
    with opened(name, Range='bytes=4-') as answer:
        assert answer.status == 206 and answer.read() == b'456789'
        assert answer.headers['Content-Range'] == 'bytes 4-9/10'


@pytest.mark.parametrize('name, status, said', [
    ('nowhere/x', 404, 'bucket does not exist'),
    ('{bucket}/x', 401, 'Anonymous caller does not have storage.objects.get')])
def test_what_is_refused_is_said_as_google_says_it(bucket, opened, name,
                                                   status, said):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(name.format(bucket=bucket.name))
    with caught.value as answer:
        assert answer.code == status and said in answer.read().decode()
