"""Lowers what a chip runs to HLO, through TensorFlow, on a CPU.

  python -m ddep_tf.compiling.lower PROGRAM.json FILE.hlo

A process of its own: its memory is measured, and free at its end. Prints JSON
last: seconds of a core, and the most memory that it had, in bytes.
"""

from collections.abc import Callable
import dataclasses
import json
import os
import resource
import sys
import time

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.compiling import program as program_lib


def train_step(program: program_lib.Program) -> bytes:
    """Returns the HLO of a whole step on one replica: noise, forward and
    backward pass, optimizer."""
    from ddep_tf.runtime import build
    from ddep_tf.training import optimizer
    run = _without_data(program.run)
    objective = build.build_objective(run, build.build_network(run))
    optimizer.add_optimizer(run, objective)
    return _hlo(objective.train_step,
                objective.batch_signature(run, run.global_batch_size))


def evaluation(program: program_lib.Program) -> bytes:
    """Returns the HLO of what a replica evaluates its images by."""
    import numpy as np
    import tensorflow as tf

    from ddep_tf.evaluation import program as evaluated
    from ddep_tf.evaluation import rounds
    from ddep_tf.runtime import build
    spec = program.run.evaluation
    counting = evaluated.Program(build.build_network(program.run), spec,
                                 spec.single_scale)
    group = rounds.Group([np.zeros((*program.image_size, 3), np.float32)],
                         program.image_size)
    inputs, = rounds.inputs(spec, spec.single_scale, [group], 1, static=True,
                            batch=spec.batch_size)
    return _hlo(counting.count, {
        name: tf.TensorSpec(array.shape, array.dtype)
        for name, array in inputs.items()})


_LOWERED: dict[str, Callable[[program_lib.Program], bytes]] = {
    program_lib.TRAIN: train_step, program_lib.EVALUATE: evaluation}


def _without_data(run):
    """Returns the run with what it would find out from its data."""
    if run.loss.class_weights != specs.BALANCED:
        return run
    weights = (1.0,) * run.data[0].num_classes
    return dataclasses.replace(run, loss=dataclasses.replace(
        run.loss, class_weights=weights))


def _hlo(function, signature):
    """Returns the HLO of a function of a dict of tensors."""
    import tensorflow as tf
    names = list(signature)
    # The lowering takes no dict. Operations that are deterministic on a GPU
    # are not asked for, as on a TPU.
    lowered = tf.function(
        lambda *tensors: function(dict(zip(names, tensors, strict=True))),
        jit_compile=True)
    return lowered.experimental_get_compiler_ir(*signature.values())(
        stage='hlo_serialized')


def main(source: str, target: str) -> None:
    """Writes the HLO of a program; exits with one line where it cannot."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    program = spec_base.from_dict(program_lib.Program, files.read_json(source))
    try:
        files.write_bytes(target, _LOWERED[program.what](program))
    except errors.UserError as error:
        sys.exit(str(error))
    except Exception as error:  # Whatever TensorFlow has no HLO for.
        sys.exit(f'{type(error).__name__}: {errors.first_line(error)}')
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({'seconds': time.process_time(),
                      'host': usage.ru_maxrss * 1024}))


if __name__ == '__main__':
    main(*sys.argv[1:])
