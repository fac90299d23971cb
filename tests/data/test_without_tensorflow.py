"""Label sets and subsets are used where TensorFlow is not loaded."""

import subprocess
import sys


def test_no_tensorflow():
    code = ('import sys; from ddep_tf.data import labels, shapes, subsets; '
            'sys.exit("tensorflow" in sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)
