"""Examples held decoded: the same batches, as long as memory holds them."""

import itertools

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.data import pipelines
from ddep_tf.data.sources import decoded_source, factory

import source_cases

pytestmark = pytest.mark.quick


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
    """300 images of classes 0 and 1, of many sizes, with masks."""
    root = tmp_path_factory.mktemp('data')
    rng = np.random.default_rng(0)
    for i in range(300):
        size = rng.integers(20, 40, 2)
        for kind, pixels in (
                ('images', rng.integers(0, 256, (*size, 3), np.uint8)),
                ('masks', rng.integers(0, 3, size, np.uint8))):
            path = root / f'{kind}/{"ab"[i % 2]}/{i:03}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return root


def opened(root, decodes='mask', **changes):
    spec = specs.DatasetSpec(**{
        'name': 'own', 'image_dir': 'images', 'label_dir': 'masks',
        'num_classes': 3, **changes})
    return factory.open_source(spec, 'train', root, decodes)


def decoded(sources, batch_size=8):
    found = pipelines.decoded_once(sources, 1, batch_size)
    assert all(isinstance(source, decoded_source.DecodedSource)
               for source in found)
    return found


def batches(sources, count=80, **changes):
    values = dict(crop_size=(24, 32), global_batch_size=8, seed=3)
    dataset = pipelines.train_dataset(sources, **(values | changes))
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def assert_same_batches(first, second, **changes):
    for one, other in zip(batches(first, **changes),
                          batches(second, **changes), strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize('decodes', ['nothing', 'class', 'mask'])
@pytest.mark.parametrize('resized', [
    {}, {'scale': 0.7}, {'short_side': 25, 'random_scale': (0.5, 2.0)}])
def test_the_batches_are_the_same(data_dir, decodes, resized):
    sources = [opened(data_dir, decodes, **resized)]
    assert_same_batches(sources, decoded(sources))


def test_also_of_several_sets_and_subsets_from_a_later_step(data_dir):
    whole = opened(data_dir, scale=0.8)
    sources = [whole.subset(['004', '101', '277']),
               opened(data_dir, limit=20)]
    found = decoded(sources)
    assert pipelines.global_ids(found) == pipelines.global_ids(sources)
    changes = dict(count=10, start_step=7, host=1, hosts=2,
                   image_dtype='uint8')
    assert_same_batches(sources, found, **changes)
    ids = sources[1].ids[4:9]
    assert_same_batches([sources[1].subset(ids)], [found[1].subset(ids)])


def counted(calls):
    """A function that decodes, and appends the record's position to them."""
    def decode(source, record):
        tf.py_function(lambda position: calls.append(int(position)),
                       [record['position']], [])
        return source.decode(record)
    return decode


def test_an_image_is_decoded_once(data_dir):
    calls = []
    batches(decoded_source.held([opened(data_dir, limit=20)], counted(calls)))
    assert sorted(calls) == list(range(20))


def test_what_memory_does_not_hold_is_left(data_dir, monkeypatch):
    sources = [opened(data_dir, limit=10), opened(data_dir, limit=30)]
    taken = sum(example['image'].nbytes + example['label'].nbytes
                for source in sources
                for example in source_cases.examples(source))
    for limit, fits in ((taken, True), (taken - 1, False)):
        monkeypatch.setattr(decoded_source, 'HOLD_BYTES', limit)
        found = pipelines.decoded_once(sources, 1, 8)
        assert (found != sources) == fits


def test_a_large_set_is_not_decoded_to_the_end(data_dir, monkeypatch):
    monkeypatch.setattr(decoded_source, 'HOLD_BYTES', 100 * 30 * 30 * 4)
    calls = []
    assert decoded_source.held([opened(data_dir)], counted(calls)) is None
    assert len(calls) < 50  # 16, and those under way.


def test_a_damaged_image_is_left_to_who_reads_it(tmp_path):
    (tmp_path / 'images').mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for i in range(3):
        path = tmp_path / f'images/{i}.jpg'
        Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    sources = [opened(tmp_path, 'nothing')]
    assert pipelines.decoded_once(sources, 1, 8) == sources
    with pytest.raises(tf.errors.InvalidArgumentError):
        batches(sources)


def test_records_that_end_too_soon_are_left_to_who_reads_them(
        data_dir, monkeypatch):
    source = opened(data_dir, limit=20)
    records = source.records().take(19)
    monkeypatch.setattr(source, 'records', lambda: records)
    assert pipelines.decoded_once([source], 1, 8) == [source]
