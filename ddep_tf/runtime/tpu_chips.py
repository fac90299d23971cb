"""The TPU chips of this machine, found without TensorFlow."""

import glob
import os
import pathlib

ROOT = '/'  # Of the file system that is looked at.

# Google's network cards and disks have its vendor id too, so that the device
# id tells. These are those that JAX looks for (jax/_src/hardware_utils.py).
_GOOGLE = '0x1ae0'
_KINDS = {'0x0027': 'v3', '0x0056': 'plc', '0x005e': 'v4', '0x0062': 'v5p',
          '0x0063': 'v5e', '0x006f': 'v6e'}
# Up to v4, and later ones. /dev/vfio/vfio is there without any device.
_NODES = ('dev/accel*', 'dev/vfio/[0-9]*')


def has_devices() -> bool:
    """Whether this process may open a device that could be a chip."""
    return any(glob.glob(os.path.join(ROOT, node)) for node in _NODES)


def kinds() -> list[str]:
    """Returns the kind of each chip that this process may open.

    A container sees the chips of its host on the PCI bus, but has device
    files only if it was given the chips.
    """
    if not has_devices():
        return []
    found = []
    for vendor in sorted(glob.glob(
            os.path.join(ROOT, 'sys/bus/pci/devices/*/vendor'))):
        device = os.path.join(os.path.dirname(vendor), 'device')
        if _read(vendor) == _GOOGLE and _read(device) in _KINDS:
            found.append(_KINDS[_read(device)])
    return found


def _read(path):
    try:
        return pathlib.Path(path).read_text(encoding='ascii').strip()
    except (OSError, UnicodeDecodeError):
        return ''
