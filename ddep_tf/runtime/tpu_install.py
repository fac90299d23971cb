"""Makes TensorFlow, before it is imported, one that drives the right TPU."""

from importlib import metadata
import importlib.util
import os
import pathlib

from ddep_tf import errors
from ddep_tf.runtime import tpu_chips

THIS_MACHINE = ('', 'local')  # Values of --tpu.


def choose(strategy: str, tpu: str) -> str:
    """Returns the strategy to take; of 'auto', 'tpu' where there is a TPU.

    `tensorflow` and `tensorflow-tpu` are the same import package: where both
    are installed, either one's files may lie there. Reads metadata only, so
    that it answers before the import of TensorFlow. Chips that 'auto' has to
    leave alone are said in one line.

    Args:
      strategy: the flag --strategy.
      tpu: the flag --tpu. Any TensorFlow may drive the servers of other hosts.

    Raises:
      UserError: the TPU is this machine's, and the TensorFlow is not the TPU's.
    """
    asked = strategy == 'tpu' or (strategy == 'auto' and bool(tpu))
    chips = tpu_chips.kinds() if strategy == 'auto' and not asked else []
    if not asked and not chips:
        return strategy
    problem = _problem() if tpu in THIS_MACHINE else ''
    if asked and problem:
        raise errors.UserError(f'{problem}, or name the TPU with --tpu')
    if problem:
        print(f'{len(chips)} TPU chips ({chips[0]}) are not used: {problem}',
              flush=True)
        return strategy
    return 'tpu'


def set_up(strategy: str, tpu: str) -> None:
    """Sets what TensorFlow's TPU runtime reads when it is imported.

    What is set already stays: an empty TF_PLUGGABLE_DEVICE_LIBRARY_PATH keeps
    the plugin out.

    Args:
      strategy: as `choose` returns it.
      tpu: the flag --tpu.

    Raises:
      UserError: the TPU is this machine's, and libtpu is not installed.
    """
    if strategy == 'tpu' and tpu in THIS_MACHINE:
        load_plugin()
    leave_chips()


def load_plugin() -> None:
    """Has TensorFlow load libtpu as its PJRT plugin. UserError without it."""
    os.environ.setdefault('NEXT_PLUGGABLE_DEVICE_USE_C_API', 'true')
    if 'TF_PLUGGABLE_DEVICE_LIBRARY_PATH' not in os.environ:
        os.environ['TF_PLUGGABLE_DEVICE_LIBRARY_PATH'] = str(_libtpu())


def leave_chips() -> None:
    """Keeps TensorFlow from loading libtpu, unless `load_plugin` has named it.

    Chips serve one process: another one, or the server of this host. Without
    chips, libtpu asks Google's metadata server for minutes.
    """
    if 'TF_PLUGGABLE_DEVICE_LIBRARY_PATH' not in os.environ:
        os.environ.setdefault('TPU_LOAD_LIBRARY', '0')


def _libtpu():
    """Returns the path of libtpu.so, found as libtpu and JAX do."""
    given = os.environ.get('TPU_LIBRARY_PATH', '')
    # Finds a package without importing it.
    package = importlib.util.find_spec('libtpu')
    folders = (package.submodule_search_locations or ()) if package else ()
    for path in (given, *(os.path.join(f, 'libtpu.so') for f in folders),
                 '/lib/libtpu.so'):  # Where images of TPU VMs have it.
        if path and pathlib.Path(path).is_file():
            return path
    raise errors.UserError('libtpu is not installed, without which TensorFlow '
                           'drives no TPU: install it as docs/tpu.md shows')


def _problem():
    """Returns why the installed TensorFlow drives no TPU here, '' if it
    does."""
    plain, of_tpu = _version('tensorflow'), _version('tensorflow-tpu')
    if plain and of_tpu:
        return (f'tensorflow {plain} and tensorflow-tpu {of_tpu} are '
                'installed over each other: install tensorflow-tpu alone, as '
                'docs/tpu.md shows')
    if plain:
        return (f'tensorflow {plain} drives no TPU of this machine: install '
                'tensorflow-tpu in its place, as docs/tpu.md shows')
    if not tpu_chips.has_devices():  # libtpu would crash.
        return ('this machine has no TPU chip (no /dev/accel*, no '
                '/dev/vfio/*): take --strategy=one_device')
    return ''


def _version(distribution):
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ''
