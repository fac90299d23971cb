"""What every source of examples has in common."""

import abc
import copy
import io
import os

import numpy as np
import PIL.Image
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.data import decoding, image_files, labels

# What a source decodes beside the image.
NOTHING, CLASS, MASK = DECODES = ('nothing', 'class', 'mask')
_IMAGE_ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.gif')


def stem(file_name):
    """Returns the id of a file: its name without folder and image ending."""
    name = os.path.basename(file_name)
    root, ending = os.path.splitext(name)
    return root if ending.lower() in _IMAGE_ENDINGS else name


class Source(abc.ABC):
    """Examples of one split, as records that are cheap to shuffle and skip.

    A record holds nothing decoded and looks the same for every source:
    `position` int64 (index in `ids`), `class_or_index` int64 (class of the
    image, or index), `image` and `label` string (paths or encoded bytes; may
    be '').

    Attributes:
      spec: the DatasetSpec.
      split: its name.
      decodes: what labels it reads: 'nothing', the 'class' of an image, or
        its 'mask'.
      record_bytes: about how much memory one record takes.
    """

    record_bytes = 200

    def __init__(self, spec, split, decodes):
        if decodes not in DECODES:
            raise errors.UserError(f'decodes must be one of '
                                   f'{", ".join(DECODES)}, got {decodes!r}')
        self.spec = spec
        self.split = split
        self.decodes = decodes
        self._ids = None
        self._kept = None  # [n] int64, of the whole split; None is all of it.
        self._table = (labels.for_spec(spec).table if decodes == MASK
                       else None)
        if decodes == CLASS and spec.num_classes < 1:
            raise errors.UserError(f'{self.title}: DatasetSpec.num_classes is '
                                   'not set: set it to the number of classes')

    @property
    def title(self):
        """The data set and split, for messages."""
        return f'data set {self.spec.name or self.spec.path!r}, ' \
               f'split {self.split!r}'

    @property
    def ids(self):
        """The examples' ids, list of str, in the order of the records."""
        if self._ids is None:
            self._ids = self._list_ids()
        if self._kept is None:
            return list(self._ids)
        return [self._ids[i] for i in self._kept]

    @property
    def num_examples(self):
        """Number of examples."""
        return self._count() if self._kept is None else len(self._kept)

    @property
    def identity(self):
        """What tells this source from others below one data_dir: hashable."""
        kept = None if self._kept is None else self._kept.tobytes()
        return self.spec, self.split, self.decodes, kept

    def subset(self, ids):
        """Returns a Source of these examples only, in this source's order.

        Args:
          ids: distinct str, all of them in `self.ids`.

        Raises:
          UserError: there are none, or one is not in this source.
        """
        wanted = set(ids)
        own = self.ids
        unknown = sorted(wanted.difference(own))
        if unknown or not wanted:
            what = f'no example {unknown[0]!r}' if unknown else 'no id given'
            raise errors.UserError(f'{self.title}: subset: {what}')
        base = range(len(own)) if self._kept is None else self._kept
        result = copy.copy(self)
        result._kept = np.array(
            [b for b, i in zip(base, own) if i in wanted], np.int64)
        result._forget()
        return result

    @abc.abstractmethod
    def records(self):
        """Returns the tf.data.Dataset of records, in order, once."""

    @abc.abstractmethod
    def decode(self, record):
        """Decodes one record, by TensorFlow ops, for use in a map.

        Returns:
          {'image': [H, W, 3] uint8} and, but for 'nothing', 'label': [H, W]
          uint8 train ids with 255 ignored, or a scalar int32 class.
        """

    def check(self, progress=iter):
        """Reads and decodes every example once.

        Args:
          progress: wraps an iterable over the examples, to show a bar.

        Raises:
          UserError: naming the first one that cannot be used.
        """
        for problem in self.problems(progress):
            raise errors.UserError(problem)

    def problems(self, progress=iter, inspect=None):
        """Reads and decodes every example once.

        Args:
          progress: as in `check`.
          inspect: None or a function of a decoded example, which returns
            what is wrong with it, '' for nothing.

        Yields:
          A line for every example that cannot be used.
        """
        records = iter(self.records())
        for position in progress(range(self.num_examples)):
            try:
                record = next(records)
            except (tf.errors.OpError, StopIteration) as error:
                yield self._unusable(None, position, error)
                return  # What follows cannot be reached.
            try:
                self._check_record(record)
                example = self.decode(record)
                self._check_upright(record, position)
                found = inspect(example) if inspect else ''
                if found:
                    yield f'{self._example_title(record, position)}{found}'
            except tf.errors.OpError as error:
                yield self._unusable(record, position, error)
            except errors.UserError as error:
                yield str(error)

    def first_ids(self, count):
        """Returns the first few of `ids`, without a pass over the rest."""
        return self.ids[:count]

    def _check_record(self, record):
        """UserError for what `decode` would say less well."""

    def _check_upright(self, record, position):
        """UserError where a mask may not fit its image's stored pixels."""
        if self.decodes != MASK:
            return
        # The name is looked up for what is refused alone: `ids` is a pass
        # over the records, and a copy each time.
        try:
            with PIL.Image.open(io.BytesIO(record['image'].numpy())) as image:
                turn = image_files.orientation(image)
        except image_files.BROKEN as error:
            raise image_files.unreadable(
                f'{self._name(position)}({self.title})', error) from None
        if turn != 1:
            raise image_files.turned(
                f'{self._name(position)}({self.title})', turn)

    def _example_title(self, record, position):
        """What a message on an example begins with."""
        del record
        return f'{self.title}: example {position} {self._name(position)}'

    def _unusable(self, record, position, error):
        """The message of a record that cannot be decoded; None: or read."""
        del record
        return (f'{self.title}: cannot use example {position} '
                f'{self._name(position)}({_first_line(error)}): replace or '
                'remove it')

    def _name(self, position):
        """The id for a message, '' where the damage hides the ids too."""
        try:
            return f'{self.ids[position]!r} '
        except (tf.errors.OpError, IndexError):
            return ''

    @abc.abstractmethod
    def _count(self):
        """Number of examples of the split, after `spec.limit`."""

    @abc.abstractmethod
    def _list_ids(self):
        """Ids of all these, list of str."""

    def _forget(self):
        """Drops what does not hold for a subset."""

    def _decode_bytes(self, record):
        """Decodes a record that holds an image's and a PNG mask's bytes."""
        name = tf.strings.join(['number ', tf.as_string(record['position'])])
        example = {'image': decoding.decode_image(record['image'], name)}
        if self.decodes == CLASS:
            example['label'] = self._check_class(
                record['class_or_index'], name)
        elif self.decodes == MASK:
            example['label'] = self._map_mask(
                decoding.decode_grey(record['label'], name), name)
            decoding.check_same_size(example, name)
        return example

    def _map_mask(self, mask, name):
        """Source ids -> train ids.

        Args:
          mask: [H, W] uint8.
          name: scalar string, for the message.

        Returns:
          [H, W] uint8, 255 ignored. An id without a class fails the op.
        """
        mapped = tf.gather(tf.constant(self._table), tf.cast(mask, tf.int32))
        mapped = decoding.checked(tf.reduce_all(mapped >= 0), mapped,
                                  'mask with an id outside the classes:', name)
        return tf.cast(mapped, tf.uint8)

    def _check_class(self, label, name):
        """Returns `label` as int32; fails the op if it is no class."""
        label = tf.cast(label, tf.int32)
        within = (label >= 0) & (label < self.spec.num_classes)
        return decoding.checked(within, label, 'label outside the classes:',
                                name, label)


def make_records(image, label, class_or_index):
    """Returns records held in memory.

    Args:
      image: n str or bytes.
      label: n str or bytes.
      class_or_index: [n] int64.
    """
    count = len(class_or_index)
    return tf.data.Dataset.from_tensor_slices({
        'position': np.arange(count, dtype=np.int64),
        'class_or_index': np.asarray(class_or_index, np.int64),
        'image': tf.constant(list(image), tf.string, (count,)),
        'label': tf.constant(list(label), tf.string, (count,)),
    })


def _first_line(error):
    text = getattr(error, 'message', '') or 'the records end before it'
    return str(text).strip().splitlines()[0]
