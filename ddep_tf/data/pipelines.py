"""tf.data pipelines whose order and randomness are pure functions.

The order of an epoch depends on (seed, epoch), and on the number of virtual
readers, but not on that of the hosts; and what is drawn for an example on
(seed, step * batch + place in the batch). So a pipeline that starts at a later
step continues exactly as one from the first step would.
"""

from collections.abc import Callable, Sequence
import functools
import itertools

import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import parallel, readers, service, transforms
from ddep_tf.data.sources import base, decoded_source

# A function (example, seed) of [2] int32, different for each example.
ExampleFn = Callable[[base.Tensors, tf.Tensor], base.Tensors]

# Undecoded records are shuffled in a buffer of at most this size.
SHUFFLE_BYTES = 2 ** 30
_PLAIN = specs.AugmentSpec()
# The uses of an example's seed.
_CROP, _FLIP, _SCALE, _EXAMPLE_FN, _FLIP_VERTICAL, _TURN, _LIGHT = range(7)


def train_dataset(sources: Sequence[base.Source], *,
                  crop_size: tuple[int, int], global_batch_size: int,
                  seed: int, start_step: int = 0, flip: bool = True,
                  augment: specs.AugmentSpec = _PLAIN,
                  example_fn: ExampleFn | None = None,
                  shuffle_buffer: int | None = None,
                  image_dtype: str = 'float32', max_readers: int = 1,
                  host: int = 0, hosts: int = 1, batch_size: int = 0,
                  data_service: str = '') -> tf.data.Dataset:
    """Makes endless batches; a batch may hold the end and start of epochs.

    Args:
      sources: at least one, whose examples an epoch mixes. All decode the same.
      crop_size: (height, width) of the random crops.
      global_batch_size: B, examples per step over all replicas.
      seed: of the order and the augmentation.
      start_step: begin with the batch of this step; skips undecoded records.
      flip: mirror half of the examples.
      augment: AugmentSpec.
      example_fn: mapped last; the shapes it returns must be static.
      shuffle_buffer: in records; None takes all, or as many as fit into 1 GiB.
      image_dtype: 'float32' for images in [-1, 1], 'uint8' for [0, 255].
      max_readers: virtual readers at most, see `readers.count`; the order is
        that of one stream where they are 1.
      host: index of the host whose part is made.
      hosts: their number, which divides B.
      batch_size: of the batches that are returned; 0 is B / hosts.
      data_service: HOST:PORT of the dispatcher of a tf.data service that makes
        the batches, in no order, from the start of the step's epoch on.

    Returns:
      An infinite tf.data.Dataset of {'image': [B, h, w, 3] of that dtype,
      'label': [B, h, w] int32 train ids with 255 ignored, or [B] int32
      classes, or absent, 'position': [B] int64, index into
      `global_ids(sources)`}, and what `example_fn` adds.

    Raises:
      UserError: there is no source, or they decode different labels.
    """
    sources = list(sources)
    _check_sources(sources)
    start = start_step * global_batch_size
    count = readers.count(sources, max_readers, global_batch_size)
    if data_service:
        seed += host  # Each host has epochs of its own.
        dataset = _epochs(sources, count, shuffle_buffer, seed, start // hosts)
    elif count > 1 and not count % hosts:
        dataset = readers.records(sources, count, seed, start, host, hosts)
    else:
        dataset = (_one_stream(sources, shuffle_buffer, seed, start)
                   if count == 1 else
                   readers.records(sources, count, seed, start))
        dataset = dataset.shard(hosts, host)  # Skips undecoded records.

    def prepare(number, numbered):
        position, record = numbered
        seeds = _example_seed(seed, number)

        def prepare_of(source, offset):
            example = _augment(
                source, _parsed(source, record, position - offset), crop_size,
                seeds, flip, augment, image_dtype)
            example['position'] = position
            if example_fn is None:
                return example
            return example_fn(example, _fold(seeds, _EXAMPLE_FN))
        return _choose_source(sources, position, prepare_of)

    # Two for each core: while one that is ready waits to be batched, its core
    # goes on with the other.
    dataset = dataset.map(
        prepare, deterministic=not data_service,
        num_parallel_calls=(tf.data.AUTOTUNE if data_service
                            else 2 * parallel.cores()))
    dataset = dataset.batch(batch_size or global_batch_size // hosts,
                            drop_remainder=True)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    if data_service:
        # Without the options, which name the cores of this machine.
        dataset = service.distributed(dataset, data_service).prefetch(2)
    return _with_options(dataset)


def decoded_once(sources: Sequence[base.Source], max_readers: int,
                 global_batch_size: int) -> list[base.Source]:
    """Returns sources that give `train_dataset` the same batches, sooner: all
    examples are decoded and resized here, where memory holds them.

    Args:
      sources, max_readers, global_batch_size: as of `train_dataset`.
    """
    sources = list(sources)
    if readers.count(sources, max_readers, global_batch_size) > 1:
        return sources  # Large sets, in an order of their own.
    return decoded_source.held(sources, lambda source, record: _resized(
        source, source.decode(record))) or sources


def eval_dataset(source: base.Source, batch_size: int,
                 crop_size: tuple[int, int] | None = None,
                 example_fn: ExampleFn | None = None,
                 image_dtype: str = 'float32') -> tf.data.Dataset:
    """Gives every example once, in order.

    Args:
      source: data source.
      batch_size: of the batches; the last one may be smaller.
      crop_size: (height, width) of a central crop, after the resizing of the
        spec; None gives whole images, unbatched.
      example_fn: mapped last; its seed depends on the position alone.
      image_dtype: of crops, as for `train_dataset`; whole images are float32.

    Returns:
      A tf.data.Dataset of dicts: with a crop size those of `train_dataset`;
      without one 'image' [H, W, 3] float32 in [-1, 1], resized as the spec
      says, 'label' [h, w] int32 of the mask file's size, or a class, or
      absent, and 'position' int64, index into `source.ids`.
    """
    def prepare(record):
        decoded = source.decode(record)
        if crop_size is None:
            example = _resized(source, {'image': decoded['image']})
            if 'label' in decoded:
                example['label'] = decoded['label']
        else:
            example = transforms.center_crop(
                _resized(source, decoded), crop_size)
        example = _finished(
            example, 'float32' if crop_size is None else image_dtype)
        example['position'] = record['position']
        if example_fn is None:
            return example
        return example_fn(
            example, _fold(_example_seed(0, record['position']), _EXAMPLE_FN))

    dataset = source.records().map(
        prepare, num_parallel_calls=parallel.cores(), deterministic=True)
    if crop_size is not None:
        dataset = dataset.batch(batch_size)
    return _with_options(dataset.prefetch(tf.data.AUTOTUNE))


def mask_dataset(source: base.Source) -> tf.data.Dataset:
    """Gives the mask of every example once, [H, W] uint8 train ids with 255
    ignored, of the file's size, in order."""
    return _with_options(source.records().map(
        lambda record: source.decode(record)['label'],
        num_parallel_calls=parallel.cores(), deterministic=True))


def global_ids(sources: Sequence[base.Source]) -> list[str]:
    """Returns the ids of all sources, indexed by a batch's `position`."""
    return [example_id for source in sources for example_id in source.ids]


def _check_sources(sources):
    if not sources:
        raise errors.UserError('train_dataset: no data set is given')
    decoded = sorted({source.decodes for source in sources})
    if len(decoded) > 1:
        raise errors.UserError('train_dataset: the sources decode different '
                               f'labels: {", ".join(decoded)}')


def _default_buffer(sources, count):
    record_bytes = max(source.record_bytes for source in sources)
    return max(1, min(count, SHUFFLE_BYTES // record_bytes))


def _one_stream(sources, shuffle_buffer, seed, start):
    """Numbered records of all sources, shuffled as one stream."""
    count = sum(source.num_examples for source in sources)
    return _epochs(sources, 1, shuffle_buffer, seed, start).skip(start % count)


def _epochs(sources, count, shuffle_buffer, seed, start):
    """Numbered records of all sources, from the epoch of number `start` on.

    Args:
      count: of readers; of one the records are shuffled as one stream.
    """
    examples = sum(source.num_examples for source in sources)
    if count > 1:
        records = readers.epoch_records(sources, count, seed)
    else:
        buffer = min(examples, shuffle_buffer or _default_buffer(
            sources, examples))
        # A buffer that holds less than an epoch would mix neighbors alone.
        order = _concatenated if buffer == examples else _mixed
        records = _shuffled(order(sources), buffer, seed)
    return tf.data.Dataset.range(start // examples, 2 ** 31 - 2).flat_map(
        lambda epoch: records(epoch).enumerate(epoch * examples))


def _parsed(source, record, position):
    return record if isinstance(record, dict) else source.parse(
        record, position)


def _concatenated(sources):
    """Records of all sources, behind their position among all of them."""
    records = functools.reduce(
        tf.data.Dataset.concatenate, [s.records() for s in sources])
    return records.enumerate()


def _mixed(sources):
    """As `_concatenated`, but with the sources spread evenly, in order."""
    mixed = sources[0].records().enumerate()
    starts = _starts(sources)
    for source, start, end in zip(sources[1:], starts[1:], starts[2:]):
        mixed = _spread(mixed, source.records().enumerate(start),
                        end - start, end)
    return mixed


def _spread(records, others, count, total):
    """Puts `count` others evenly between records, `total` of both."""
    return tf.data.Dataset.choose_from_datasets(
        [records, others], tf.data.Dataset.range(total).map(lambda n: tf.cast(
            (n + 1) * count // total > n * count // total, tf.int64)))


def _starts(sources):
    """Returns where each source begins among the examples of all, and their
    end."""
    return list(itertools.accumulate(
        (source.num_examples for source in sources), initial=0))


def _shuffled(records, buffer, seed):
    """Returns a function of an epoch that gives the records in its order."""
    def epoch_records(epoch):
        # Dataset.shuffle holds its seed in a resource. Inside of a function,
        # determinism then allows no parallel calls and no prefetching after
        # it. This operation is the same shuffle without one.
        variant = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(records),
            buffer_size=buffer, seed=1 + int(seed) % (2 ** 31 - 2),
            seed2=epoch, reshuffle_each_iteration=False,
            output_types=tf.nest.flatten(
                tf.compat.v1.data.get_output_types(records)),
            output_shapes=tf.nest.flatten(
                tf.compat.v1.data.get_output_shapes(records)))
        return tf.data.experimental.from_variant(variant,
                                                 records.element_spec)

    return epoch_records


def _example_seed(seed, index):
    return tf.stack([tf.constant(int(seed) % 2 ** 63, tf.int64),
                     tf.cast(index, tf.int64)])


def _fold(seed, purpose):
    """Returns a seed for one purpose: [2] int64 -> [2] int32."""
    # The bits of tf.random.stateless_uniform, by fewer operations.
    return tf.raw_ops.StatelessRandomUniformFullInt(
        shape=(2,), dtype=tf.int32,
        seed=seed + tf.constant([0, purpose << 56], tf.int64))


def _resized(source, example):
    return transforms.resize(example, source.spec.scale,
                             source.spec.short_side)


def _finished(example, image_dtype):
    if image_dtype == 'uint8':
        return transforms.to_uint8(example)
    return transforms.to_float(example)


def _augment(source, record, crop_size, seeds, flip, augment, image_dtype):
    example = _resized(source, source.decode(record))
    low, high = source.spec.random_scale
    example = transforms.random_scale(example, low, high,
                                      _fold(seeds, _SCALE))
    example = transforms.random_crop(example, crop_size, _fold(seeds, _CROP))
    if flip:
        example = transforms.random_flip(example, _fold(seeds, _FLIP))
    if augment.flip_vertical:
        example = transforms.random_flip(
            example, _fold(seeds, _FLIP_VERTICAL), vertical=True)
    if augment.rotate:
        example = transforms.random_turn(example, _fold(seeds, _TURN))
    example = transforms.random_light(example, augment, _fold(seeds, _LIGHT))
    return _finished(example, image_dtype)


def _choose_source(sources, position, prepare):
    """Calls `prepare` with the source of a record, by its position among those
    of all, and the position at which that source begins.

    Not by tf.switch_case: to have determinism, tf.data would then prepare one
    record at a time.
    """
    starts = _starts(sources)

    def choose(first, end):
        if end - first == 1:
            return prepare(sources[first], starts[first])
        middle = (first + end) // 2
        return tf.cond(position < starts[middle],
                       lambda: choose(first, middle),
                       lambda: choose(middle, end))
    return choose(0, len(sources))


def _with_options(dataset):
    options = tf.data.Options()
    options.deterministic = True
    # Or examples would wait for the operations of a step.
    options.threading.private_threadpool_size = parallel.cores()
    # Sharding by file would give workers other examples than a single one.
    options.experimental_distribute.auto_shard_policy = (
        tf.data.experimental.AutoShardPolicy.DATA)
    return base.untuned(dataset.with_options(options))
