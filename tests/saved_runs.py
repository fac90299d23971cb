"""Run folders that were never trained."""

from ddep_tf.models import weights
from ddep_tf.runtime import build, handover, run_folder


def save_random(run, run_dir):
    """Writes what a finished run leaves, untrained; returns its network."""
    network = build.build_network(run)
    run_folder.open_run(run_dir, run, '')
    handover.write(run_dir / run_folder.WEIGHTS, weights.export_arrays(network),
                   {'stage': run.stage,
                    'position_grid': weights.position_grid(network)})
    return network
