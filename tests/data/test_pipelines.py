"""Pipelines: order and randomness are pure functions; nothing is lost."""

import itertools
import threading

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import parallel, pipelines
from ddep_tf.data.sources import factory

pytestmark = pytest.mark.quick

SHAPES = specs.DatasetSpec(name='shapes', source='shapes', num_classes=6,
                           limit=10, random_scale=(0.8, 1.2))


def shapes(decodes='mask', split='train', **changes):
    values = {f: getattr(SHAPES, f) for f in SHAPES.__dataclass_fields__}
    spec = specs.DatasetSpec(**(values | changes))
    return factory.open_source(spec, split, '', decodes)


def batches(count, opened=None, **changes):
    values = dict(crop_size=(48, 64), global_batch_size=4, seed=1)
    dataset = pipelines.train_dataset(opened or [shapes()],
                                      **(values | changes))
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


def positions(found):
    return np.concatenate([batch['position'] for batch in found]).tolist()


def assert_equal(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        assert one.keys() == other.keys()
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_a_batch():
    dataset = pipelines.train_dataset(
        [shapes()], crop_size=(48, 64), global_batch_size=4, seed=0)
    assert dataset.element_spec == {
        'image': tf.TensorSpec((4, 48, 64, 3), tf.float32),
        'label': tf.TensorSpec((4, 48, 64), tf.int32),
        'position': tf.TensorSpec((4,), tf.int64)}
    batch = next(dataset.as_numpy_iterator())
    assert -1 <= batch['image'].min() < -0.5 < 0.5 < batch['image'].max() <= 1
    assert set(np.unique(batch['label'])) <= {*range(6), 255}


@pytest.mark.parametrize('batch_size', [4, 32])
def test_every_epoch_is_another_permutation(batch_size):
    order = positions(batches(120 // batch_size + 1, seed=5,
                              global_batch_size=batch_size))
    epochs = [order[i:i + 10] for i in range(0, 120, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 12


def test_the_order_depends_on_nothing_but_the_seed():
    first = batches(6)
    tf.random.set_seed(99)
    try:
        assert_equal(first, batches(6))
    finally:
        tf.random.set_seed(0)
    assert positions(first) != positions(batches(6, seed=2))
    # The batch size changes how examples are grouped, not their order.
    assert positions(first) == positions(batches(3, global_batch_size=8))


def test_the_order_is_that_of_earlier_versions():
    """Or a run of theirs would not resume."""
    opened = [shapes(), shapes(split='val')]
    assert positions(batches(5, opened, seed=5)) == [
        7, 6, 10, 16, 14, 13, 12, 2, 18, 9, 17, 19, 0, 1, 5, 3, 15, 4, 8, 11]
    assert positions(batches(2, seed=2 ** 40, shuffle_buffer=3)) == [
        2, 0, 4, 1, 6, 5, 3, 7]


@pytest.mark.parametrize('start', [1, 2, 5, 7])
def test_a_later_start_gives_the_same(start):
    assert_equal(batches(9)[start:], batches(9 - start, start_step=start))


def test_examples_are_drawn_anew_each_epoch():
    found = batches(10, global_batch_size=10, flip=False)
    images = [b['image'][b['position'].tolist().index(3)] for b in found]
    assert len({image.tobytes() for image in images}) == 10


AUGMENT = specs.AugmentSpec(flip_vertical=True, rotate=True, brightness=0.2,
                            contrast=0.2, saturation=0.2, hue=0.1)


def test_augmentation_is_a_function_of_the_step():
    found = batches(6, augment=AUGMENT, crop_size=(48, 48))
    assert_equal(found[3:], batches(3, augment=AUGMENT, crop_size=(48, 48),
                                    start_step=3))
    plain = batches(6, crop_size=(48, 48))
    assert positions(found) == positions(plain)
    for field in ('image', 'label'):
        assert any((one[field] != other[field]).any()
                   for one, other in zip(found, plain))


def test_each_augmentation_is_drawn_by_itself():
    """With light alone the masks stay; with geometry alone the colors do."""
    plain, light, moved = (batches(2, crop_size=(48, 48), augment=augment)
                           for augment in (
        specs.AugmentSpec(), specs.AugmentSpec(brightness=0.2),
        specs.AugmentSpec(flip_vertical=True, rotate=True)))
    for one, lit, turned in zip(plain, light, moved):
        np.testing.assert_array_equal(one['label'], lit['label'])
        shift = lit['image'] - one['image']
        inside = np.abs(lit['image']) < 1
        for image, within in zip(shift, inside):
            assert np.ptp(image[within]) < 1e-5
        for field in ('image', 'label'):
            np.testing.assert_array_equal(
                np.sort(one[field].reshape(4, -1)),
                np.sort(turned[field].reshape(4, -1)))


def test_several_sources(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((70, 80, 3), 50 * i, np.uint8)).save(
            tmp_path / f'gray{i}.png')
    folder = factory.open_source(
        specs.DatasetSpec(name='gray', image_dir='.'), 'train', tmp_path,
        'nothing')
    opened = [shapes('nothing'), folder]
    ids = pipelines.global_ids(opened)
    assert len(ids) == 13 and ids[10:] == ['gray0', 'gray1', 'gray2']
    found = batches(13, opened)
    assert sorted(positions(found)) == sorted(4 * list(range(13)))
    assert set(found[0]) == {'image', 'position'}
    for batch in found:
        for image, position in zip(batch['image'], batch['position']):
            if position >= 10:
                np.testing.assert_allclose(
                    image, 50 * (position - 10) / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize('once', [False, True])
@pytest.mark.parametrize('splits', [['train'], ['train', 'val', 'test']])
def test_examples_are_prepared_side_by_side(monkeypatch, splits, once):
    """Also with determinism, which launchers switch on."""
    tf.config.experimental.enable_op_determinism()
    monkeypatch.setattr(parallel, 'cores', lambda: 2)
    meeting = threading.Barrier(2)

    def meet(position):
        meeting.wait(timeout=20)  # Raises where one comes after the other.
        return position

    def example_fn(example, seed):
        met = tf.numpy_function(meet, [example['position']], tf.int64,
                                stateful=False)
        return {**example, 'position': tf.ensure_shape(met, ())}

    options = tf.data.Options()
    options.threading.private_threadpool_size = 4
    opened = [shapes(split=split) for split in splits]
    if once:
        opened = pipelines.decoded_once(opened, 1, 2)
    dataset = pipelines.train_dataset(
        opened, crop_size=(16, 16), global_batch_size=2, seed=1,
        example_fn=example_fn)
    iterator = iter(dataset.with_options(options))
    next(iterator)
    meeting.abort()  # Or one that was read ahead would wait for another.
    del iterator


def test_example_fn_adds_tensors_of_its_own_seed():
    def example_fn(example, seed):
        return {**example, 'noise': tf.random.stateless_normal((2,), seed)}

    found = batches(6, example_fn=example_fn)
    noise = np.concatenate([b['noise'] for b in found])
    assert noise.shape == (24, 2) and len(np.unique(noise)) == 48
    assert_equal(found[3:], batches(3, example_fn=example_fn, start_step=3))


def test_the_classes_of_images():
    batch = batches(1, [shapes('class')])[0]
    assert batch['label'].shape == (4,) and batch['label'].dtype == np.int32


def test_a_small_buffer_still_gives_each_example_once():
    order = positions(batches(5, shuffle_buffer=3))
    assert sorted(order[:10]) == sorted(order[10:]) == list(range(10))


def test_evaluation_covers_each_example_once():
    source = shapes('mask', split='val', scale=0.5)
    found = list(pipelines.eval_dataset(source, 4).as_numpy_iterator())
    assert [int(e['position']) for e in found] == list(range(10))
    assert found[0]['image'].shape == (32, 32, 3)
    assert found[0]['label'].shape == (64, 64)  # As large as the file.
    cut = list(pipelines.eval_dataset(
        source, 4, (16, 48)).as_numpy_iterator())
    assert [len(b['image']) for b in cut] == [4, 4, 2]
    assert positions(cut) == list(range(10))
    assert cut[0]['image'].shape == (4, 16, 48, 3)
    assert cut[0]['label'].shape == (4, 16, 48)


def test_evaluation_noise_is_fixed():
    def example_fn(example, seed):
        return {**example, 'noise': tf.random.stateless_normal((2,), seed)}

    first, second = (
        np.concatenate([b['noise'] for b in pipelines.eval_dataset(
            shapes('nothing'), size, (16, 16),
            example_fn).as_numpy_iterator()])
        for size in (4, 5))
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first)) == 20


def test_refusals():
    with pytest.raises(errors.UserError, match='no data set'):
        pipelines.train_dataset([], crop_size=(16, 16), global_batch_size=1,
                                seed=0)
    with pytest.raises(errors.UserError, match='mask, nothing'):
        batches(1, [shapes(), shapes('nothing')])


def test_real_photographs_and_streets_together(real_data):
    camvid = specs.DatasetSpec(name='camvid', path='camvid', scale=0.5,
                               limit=20)
    imagenet = specs.DatasetSpec(
        name='imagenet2012', source='tfds', path='imagenet2012',
        short_side=96, limit=12)
    opened = [factory.open_source(spec, 'train', real_data, 'nothing')
              for spec in (camvid, imagenet)]
    found = batches(8, opened, crop_size=(96, 96))
    assert sorted(positions(found)) == list(range(32))
    assert_equal(found[5:], batches(3, opened, crop_size=(96, 96),
                                    start_step=5))


@pytest.mark.parametrize('limits', [(100, 20), (20, 100), (60, 20, 40)])
def test_sets_are_mixed_where_the_buffer_holds_less_than_an_epoch(limits):
    opened = [shapes(limit=limit) for limit in limits]
    order = positions(batches(60, opened, shuffle_buffer=12))
    ends = np.cumsum(limits)
    for epoch in (order[:120], order[120:]):
        assert sorted(epoch) == list(range(120))
        sets = np.searchsorted(ends, epoch, side='right')
        for quarter in np.split(sets, 4):
            seen = np.bincount(quarter, minlength=len(limits))
            assert (abs(seen - np.array(limits) / 4) <= 12 / 2).all()
            assert seen.min() > 0
    assert order[:120] != order[120:]
    resumed = positions(batches(40, opened, shuffle_buffer=12, start_step=20))
    assert resumed == order[80:]
