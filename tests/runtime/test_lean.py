"""What is not imported: memory and time that nobody gets anything for."""

import subprocess
import sys

_CODE = '''
import sys
from ddep_tf import cli
cli.import_tensorflow()
from ddep_tf.training import loop
found = {'pandas', 'pyarrow', 'sklearn'} & set(sys.modules)
assert not found, found
import pandas
'''


def test_a_launcher_leaves_out_what_keras_takes_along():
    done = subprocess.run([sys.executable, '-c', _CODE], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
