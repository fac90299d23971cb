"""Whether the TensorFlow that is installed drives the TPU of this machine."""

from importlib import metadata

from ddep_tf import errors


def check(strategy: str, tpu: str) -> None:
    """Refuses `--strategy=tpu` on a TPU VM whose TensorFlow has no TPU in it.

    `tensorflow` and `tensorflow-tpu` are the same import package: where both
    are installed, either one's files may lie there. Reads metadata only, so
    that it answers before the import of TensorFlow.

    Args:
      strategy: the flag --strategy.
      tpu: the flag --tpu. Any TensorFlow may drive the servers of other hosts.

    Raises:
      UserError: the TPU is this machine's, and the TensorFlow is not the TPU's.
    """
    chosen = strategy == 'tpu' or (strategy == 'auto' and tpu)
    if not chosen or tpu not in ('', 'local'):
        return
    plain, of_tpu = _version('tensorflow'), _version('tensorflow-tpu')
    if plain and of_tpu:
        raise errors.UserError(
            f'tensorflow {plain} and tensorflow-tpu {of_tpu} are installed '
            'over each other: install tensorflow-tpu alone, as docs/install.md '
            'shows')
    if plain:
        raise errors.UserError(
            f'tensorflow {plain} drives no TPU of this machine: install '
            'tensorflow-tpu in its place, as docs/install.md shows, or name '
            'the TPU with --tpu')


def _version(distribution):
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ''
