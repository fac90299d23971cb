"""The commands: `python -m ddep_tf.launch.NAME` is `python launch/NAME.py`.

A wheel holds the files of launch/ in place of this one.
"""

import pathlib

__path__ = [str(pathlib.Path(__file__).resolve().parents[2] / 'launch')]
