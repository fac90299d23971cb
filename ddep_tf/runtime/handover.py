"""What leaves a run: weights by name, and facts beside them, written last.

No TF.
"""

import hashlib
import json
import pathlib

from ddep_tf import files
from ddep_tf.models import npz


def write(path, arrays, facts):
    """Writes arrays under their published names, then the .json beside them.

    Args:
      path: .npz file.
      arrays: dict key -> float32 array.
      facts: dict of what was trained, from what and on what; its
        `position_grid` tells a loader what the shape of the embedding cannot.

    Raises:
      UserError: the file cannot be written.
    """
    path = pathlib.Path(path)
    npz.save_npz(path, arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    files.write_text(path.with_suffix('.json'),
                        json.dumps({**facts, 'sha256': digest}, indent=2))
