"""Opens a data set: from its spec to a source of examples."""

import os
import pathlib

from ddep_tf import errors, files, specs
from ddep_tf.data.sources import (
    base,
    folder_source,
    shapes_source,
    tfds_source,
    tfrecord_source,
)

Source = base.Source
# Data sets small and free enough to be shipped with the library.
PACKAGED = pathlib.Path(__file__).resolve().parent.parent / 'packaged'


def open_source(spec: specs.DatasetSpec, split: str,
                data_dir: str | os.PathLike, decodes: str,
                strict: bool = True) -> Source:
    """Opens one split of a data set, without decoding its examples.

    Args:
      spec: DatasetSpec.
      split: name of the split, such as `spec.train_split`.
      data_dir: folder below which `spec.path` lies. 'shapes' and 'packaged'
        need none.
      decodes: 'nothing', 'class' or 'mask': the labels that are read beside
        the images.
      strict: False leaves out of a folder the images that cannot be used, so
        that `problems` can name them all.

    Returns:
      A Source. Its `check()` reads every example.

    Raises:
      UserError: the split is '', the data is missing or empty, it does not
        fit the spec, or (in a folder) an image has no mask, or a mask of
        another size.
    """
    if not split:
        raise errors.UserError(
            f'data set {spec.name or spec.path!r}: no split is given: set '
            'train_split, val_split or test_split of its DatasetSpec')
    if spec.source == 'shapes':
        return shapes_source.ShapesSource(spec, split, decodes)
    if spec.source == 'packaged':
        return folder_source.FolderSource(spec, split, decodes, PACKAGED,
                                          strict)
    if not files.path(data_dir).is_dir():
        raise errors.UserError(f'there is no folder {data_dir}: set '
                               '--data_dir to the folder of the data')
    if spec.source == 'folder':
        return folder_source.FolderSource(spec, split, decodes, data_dir,
                                          strict)
    kinds = {'tfds': tfds_source.TfdsSource,
             'tfrecord': tfrecord_source.TfrecordSource}
    return kinds[spec.source](spec, split, decodes, data_dir)
