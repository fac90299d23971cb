"""Starts the launchers, as a user types them."""

import os
import pathlib
import tempfile
import time

from ddep_tf import files

import launched

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What launchers note of the data that they checked is for this process alone;
# the fonts that matplotlib found stay where they were.
_CACHE = tempfile.TemporaryDirectory(prefix='cache-')
_NO_TRACE = {'XDG_CACHE_HOME': _CACHE.name,
             'MPLCONFIGDIR': os.environ.get('MPLCONFIGDIR', str(
                 pathlib.Path.home() / '.cache/matplotlib'))}
# A fine-tuning run of seconds.
TINY = ['--gin_file=model/tiny.gin', '--gin_file=data/shapes.gin',
        '--gin_file=stage/segment.gin',
        '--gin_param=segment/RunSpec.crop_size=(32, 32)',
        '--gin_param=segment/RunSpec.global_batch_size=2',
        '--gin_param=segment/RunSpec.steps=30',
        '--gin_param=RunSpec.checkpoint_every=5',
        '--gin_param=RunSpec.log_every=1',
        '--gin_param=shapes/DatasetSpec.limit=4']
# Of experiments/demo_shapes.gin, three stages and two arms of seconds.
SHORT_EXPERIMENT = [
    'classify/RunSpec.steps=2', 'classify/RunSpec.global_batch_size=2',
    'denoise/RunSpec.global_batch_size=2',
    'segment/RunSpec.global_batch_size=2', 'RunSpec.crop_size=(32, 32)',
    'shapes/DatasetSpec.limit=6', 'segment/EvalSpec.samples=1',
    'denoise/EvalSpec.samples=1', 'ExperimentSpec.label_counts=(3,)',
    'ExperimentSpec.seeds=(4,)',
    "ExperimentSpec.arms=('supervised', 'ddep')"]


def start(launcher, *args, cwd=ROOT, **environment):
    """Starts a launcher; returns it as launched.Launched."""
    return launched.Launched(ROOT / 'launch' / f'{launcher}.py', args, cwd,
                             {**os.environ, **_NO_TRACE, **environment})


def run(launcher, *args, **environment):
    """Returns the exit code, stdout and stderr of a launcher."""
    process = start(launcher, *args, **environment)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(path, process, seconds=200, lines=0):
    """Waits until a file is there and has so many lines."""
    end = time.time() + seconds
    while time.time() < end and process.poll() is None:
        if path.exists() and (
                not lines or len(path.read_text().splitlines()) >= lines):
            return
        time.sleep(0.02)
    raise AssertionError(process.communicate())


def losses(run_dir):
    """Returns the losses in metrics.csv."""
    return [float(row['loss'])
            for row in files.read_csv(run_dir / 'metrics.csv')]
