"""Machines that look as if they had TPU chips, and launchers on them."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NIC, V5E, V4 = '0x0042', '0x0063', '0x005e'  # Google's PCI device ids.

# A launcher, on a machine whose files are below the first argument.
_LAUNCH = '''
import runpy, sys
from ddep_tf.runtime import tpu_chips
tpu_chips.ROOT, *sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


def make(root, devices, nodes, vendor='0x1ae0'):
    """Writes the files by which chips are found.

    Args:
      root: folder that stands for the root of the file system.
      devices: PCI device ids, of one vendor.
      nodes: paths below /dev.
      vendor: PCI id.
    """
    for number, device in enumerate(devices):
        folder = root / f'sys/bus/pci/devices/0000:00:{number:02x}.0'
        folder.mkdir(parents=True)
        (folder / 'vendor').write_text(f'{vendor}\n')
        (folder / 'device').write_text(f'{device}\n')
    for node in nodes:
        path = root / 'dev' / node
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def launch(root, launcher, *args, options=(), **environment):
    """Runs a launcher on such a machine; returns the finished process."""
    return subprocess.run(
        [sys.executable, *options, '-c', _LAUNCH, str(root),
         str(ROOT / 'launch' / launcher), *args],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, **environment})
