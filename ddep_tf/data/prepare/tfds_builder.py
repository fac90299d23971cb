"""Builds a data set with the builder that TFDS itself has for it."""

from collections.abc import Sequence
import pathlib

from ddep_tf import errors, files
from ddep_tf.data.prepare import guide


def build(request: guide.BuildRequest, config: str,
          archives: Sequence[str]) -> pathlib.Path:
    """Builds DATA_DIR/tfds/NAME from archives, with TFDS' own builder.

    It starts over after an interruption, and leaves no half-built set.

    Args:
      request: what to build, and where.
      config: name of the TFDS builder, and of its config.
      archives: names of the files in `request.manual_dir` that it unpacks.

    Returns:
      The folder.

    Raises:
      UserError: an archive is missing, or cannot be read.
    """
    for archive in archives:
        if not files.path(request.manual_dir, archive).is_file():
            raise errors.UserError(
                f'{request.name}: there is no {archive} in '
                f'{request.manual_dir}: set --manual_dir')
    import tensorflow_datasets as tfds
    builder = tfds.builder(
        config, data_dir=str(files.path(request.data_dir, 'tfds')))
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(
                manual_dir=str(request.manual_dir),
                compute_stats=tfds.download.ComputeStatsMode.SKIP))
    except OSError:  # A full disk, for example.
        raise
    except Exception as error:  # Any kind, for archives TFDS cannot read.
        raise errors.UserError(
            f'{request.name}: TFDS cannot build from {request.manual_dir} '
            f'({type(error).__name__}: {error}): download the archives again'
        ) from error
    return files.path(builder.data_dir)
