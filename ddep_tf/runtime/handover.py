"""What leaves a run: weights by name and, written last, their facts. No TF."""

from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from ddep_tf import files
from ddep_tf.models import npz


def write(path: str | os.PathLike, arrays: Mapping[str, np.ndarray],
          facts: Mapping[str, Any]) -> None:
    """Writes arrays under their published names, then the .json beside them.

    Args:
      path: .npz file.
      arrays: {key: float32 array}.
      facts: what was trained, from what and on what; its `position_grid` tells
        a loader what the shape of the embedding cannot.

    Raises:
      UserError: the file cannot be written.
    """
    digest = npz.save_npz(path, arrays)
    files.write_json(files.path(path).with_suffix('.json'),
                     {**facts, 'sha256': digest})
