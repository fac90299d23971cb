"""Measures how fast the package runs here, and in how much memory."""

import os
import platform
import re
import resource
import statistics
import sys
import time
from typing import Any

import keras
import tensorflow as tf

from ddep_tf import files, specs
from ddep_tf.data import parallel
from ddep_tf.experiments import workloads
from ddep_tf.runtime import process, run_folder
from ddep_tf.runtime import strategy as strategies

_SIDE = 2048  # Of the matrices
_REPEATS = 10  # of so many products.


def measure(what: str, run: specs.RunSpec, warm_up: int,
            strategy: tf.distribute.Strategy, folder: str | os.PathLike
            ) -> dict[str, Any]:
    """Measures some work, in a process that has done nothing else before.

    Args:
      what: one of workloads.WORK.
      run: RunSpec of its stage, whose data are those of
        `generated.bindings`.
      warm_up: of its steps, those that are not measured.
      strategy: tf.distribute.Strategy.
      folder: an empty one, for images and states.

    Returns:
      dict of `seconds_per_step`, the median; `images_per_s`; `peak_rss_mib`
      of the process; `parameters` of the network; `gflop_per_step`, as of
      `cost.count`; `sgemm_gflops`, a second, of a product of float32
      matrices here; `utilisation`, what is reached of those; and what was
      measured, on what. Of training also `core_seconds_per_step`, the
      processor time of the process, which other processes slow less; of an
      input `of_bare_decode`, its speed over that of bare decoding and
      cropping.
    """
    process.set_up_training(run, strategy)
    work = workloads.WORK[what]
    timed = work.time(run, strategy, folder)
    # Before what a user does not run, which takes memory too.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = timed.seconds[warm_up:]
    seconds = statistics.median(kept)
    gflop, sgemm = work.flops(run) / 1e9, _sgemm_gflops()
    return {
        'what': what, 'encoder': run.encoder.name,
        'width': run.decoder.width_multiplier,
        'batch': run.global_batch_size, 'size': list(run.crop_size),
        'precision': run.precision,
        'replicas': strategy.num_replicas_in_sync,
        'steps': len(kept), 'seconds_per_step': seconds,
        'images_per_s': run.global_batch_size / seconds,
        'peak_rss_mib': peak / (2 ** 20 if sys.platform == 'darwin'
                                else 2 ** 10),
        'parameters': timed.parameters, 'gflop_per_step': gflop,
        'sgemm_gflops': sgemm, 'utilisation': gflop / seconds / sgemm,
        **_of_cores(timed, warm_up), **_beside_bare(timed, warm_up),
        **_machine(strategy)}


def _of_cores(timed, warm_up):
    kept = timed.core_seconds[warm_up:]
    return {'core_seconds_per_step': statistics.median(kept)} if kept else {}


def _beside_bare(timed, warm_up):
    if not timed.bare:
        return {}
    own, bare = (statistics.median(seconds[warm_up:])
                 for seconds in (timed.seconds, timed.bare))
    return {'of_bare_decode': bare / own}


def table(measured: dict[str, Any]) -> str:
    """Returns what was measured as lines of a name and a value each."""
    width = max(map(len, measured))
    return '\n'.join(f'{name:{width}}  {_shown(value)}'
                     for name, value in measured.items())


def _shown(value):
    return f'{value:,.4g}' if isinstance(value, float) else str(value)


def _sgemm_gflops():
    """Returns the GFLOP/s of the fastest of some products of matrices."""
    matrix = tf.random.stateless_normal((_SIDE, _SIDE), (0, 0))
    seconds = []
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        tf.linalg.matmul(matrix, matrix).numpy()
        seconds.append(time.perf_counter() - begin)
    return 2 * _SIDE ** 3 / min(seconds) / 1e9


def _machine(strategy):
    return {'device': strategies.device_type(strategy),
            'processor': _processor(), 'cores': parallel.cores(),
            'tensorflow': tf.__version__, 'keras': keras.__version__,
            'commit': run_folder.commit()}


def _processor():
    """Returns the name of the GPU, or else of the CPU."""
    for gpu in tf.config.list_physical_devices('GPU'):
        details = tf.config.experimental.get_device_details(gpu)
        return details.get('device_name', '')
    cpus = files.path('/proc/cpuinfo')  # Of Linux.
    found = cpus.exists() and re.search('^model name\\s*: (.*)',
                                        cpus.read_text(), re.MULTILINE)
    return found[1] if found else platform.processor()
