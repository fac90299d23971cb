"""What leaves a run: `weights.npz` by name, `weights.json` written last."""

import hashlib
import json
import pathlib

from ddep_tf.models import weights
from ddep_tf.runtime import folder


def write(run_dir, network, facts):
    """Writes a network's arrays under their published names.

    Args:
      run_dir: the run folder.
      network: keras.Model.
      facts: dict of what was trained, from what and on what.
    """
    path = pathlib.Path(run_dir) / folder.WEIGHTS
    weights.save_npz(path, weights.export_arrays(network))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    folder.write_atomic(path.with_suffix('.json'),
                        json.dumps({**facts, 'sha256': digest}, indent=2))
