"""How long an experiment will take here: a guess before it starts."""

import time

import numpy as np

from ddep_tf.experiments import cost
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.objectives import registry

# What a network reaches of a matrix product's speed, on processors [O].
_UTILISATION = 0.35
# Of a GPU the fraction of a T4's peak in float32, 8.1 TFLOP/s [O].
_GPU_FLOPS = 8.1e12 * 0.25
_START = 30.0  # Seconds that a run takes to start and to trace its graphs.


def device_flops(gpus: int) -> float:
    """Returns about how many operations per second networks reach here.

    Args:
      gpus: number of GPUs; a T4 is assumed, whatever they are.
    """
    return gpus * _GPU_FLOPS if gpus else _UTILISATION * _matmul_flops()


def _matmul_flops(side: int = 1024, repeats: int = 5) -> float:
    """Returns the operations per second of a float32 matrix product."""
    matrix = np.ones((side, side), np.float32)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.dot(matrix, matrix)
        seconds.append(time.perf_counter() - start)
    return 2 * side ** 3 / min(seconds)


def seconds(plan: plan_lib.Plan, flops: float, val: int, test: int,
            pixels: float) -> float:
    """Returns about how long the runs of a plan take, one after the other.

    Args:
      plan: Plan.
      flops: operations per second.
      val, test: numbers of images of these splits.
      pixels: of a typical image.
    """
    return sum(_run_seconds(planned, flops, val, test, pixels)
               for planned in plan.runs.values() if not planned.reuses)


def _run_seconds(planned, flops, val, test, pixels):
    run = planned.run
    found = cost.count(run)
    operations = found.run_flops
    if registry.objective_of(run.stage).whole_images:
        scale = pixels * run.data[0].scale ** 2 / (
            run.crop_size[0] * run.crop_size[1])
        looks = run.steps // run.eval_every if run.eval_every else 1
        operations += found.forward_flops * scale * (looks * val + test)
    return _START + operations / flops
