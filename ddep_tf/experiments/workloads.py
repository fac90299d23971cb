"""The work whose speed is measured: training, input, evaluation, prediction.

It is what a user gets, with random weights, on generated images.
"""

import collections
from collections.abc import Callable, Sequence
import contextlib
import dataclasses
import itertools
import os
import time
from typing import Any, TypeAlias

import tensorflow as tf

from ddep_tf import files, specs
from ddep_tf.data import image_files, parallel
from ddep_tf.evaluation import evaluator as evaluator_lib
from ddep_tf.evaluation import predict, rounds, tiles
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.experiments import cost, generated
from ddep_tf.runtime import build, feed, inputs, stop_signal, workers
from ddep_tf.training import checkpoint, loop, optimizer

_IMAGES = 64  # Generated to train on.
Strategy: TypeAlias = tf.distribute.Strategy
Folder: TypeAlias = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Timed:
    """What was measured of some work.

    Attributes:
      seconds: of each step.
      parameters: of the network; 0 where there is none.
      bare: of each step of what an input is compared with.
      core_seconds: of each training step, the processor time of the process.
    """
    seconds: Sequence[float]
    parameters: int = 0
    bare: Sequence[float] = ()
    core_seconds: Sequence[float] = ()


def _train(run, strategy, folder):
    """Times the steps of the training loop, as `train` builds it."""
    sources = _training_sources(run, folder)
    objective = _objective(run, strategy)
    with strategy.scope():
        optimizer.add_optimizer(run, objective)
        state = checkpoint.State(folder, objective, run.keep, folder)
    dataset = feed.distribute(
        strategy, lambda *host: inputs.train_dataset(run, sources, 0, *host),
        run.global_batch_size, inputs.are_portable(sources))
    rows: list[dict[str, Any]] = []
    cores = [time.process_time()]

    def log(row):
        rows.append(row)
        cores.append(time.process_time())

    drive = loop.Loop(
        objective, dataset, strategy, state.step, run,
        stop_signal.StopSignal(), workers.Workers(strategy), log)
    with contextlib.closing(drive):
        drive.train_to(run.steps)
    return Timed([row['step_seconds'] for row in rows],
                 objective.network.count_params(), core_seconds=[
                     end - begin for begin, end in itertools.pairwise(cores)])


def _train_flops(run):
    return cost.count(run).step_flops


def _evaluate(run, strategy, folder):
    """Times evaluations of a split of one batch, shared by the replicas."""
    share = -(-run.global_batch_size // strategy.num_replicas_in_sync)
    run = dataclasses.replace(run, evaluation=dataclasses.replace(
        run.evaluation, batch_size=share))
    source = _split(run, folder)
    objective = _objective(run, strategy)
    evaluator = evaluator_lib.Evaluator(run, objective, strategy)
    return Timed(_seconds(run, lambda: evaluator.measure(source)),
                 objective.network.count_params())


def _predict(run, strategy, folder):
    """Times predictions of one batch of images, one on each replica."""
    _split(run, folder)
    paths = sorted(files.path(folder, 'images', 'val').iterdir())
    with strategy.scope():
        network = build.build_network(run)
    predictor = predictor_lib.Predictor(network, run.evaluation, strategy)

    def step():
        for some in rounds.in_turn(paths, predictor.own_replicas):
            predictor.predict([
                predict.as_group([image_files.read_image(path)], run.data[0])
                for path in some])
    return Timed(_seconds(run, step), network.count_params())


def _forward_flops(run):
    """The FLOPs of all tiles of a batch of images of the crop's size."""
    table = tiles.of_image(run.evaluation, run.crop_size, run.crop_size,
                           single_scale=False).table
    height = tiles.FIELDS.index('height')
    sizes = collections.Counter(map(tuple, table[:, height:height + 2]
                                    .tolist()))
    return run.global_batch_size * sum(
        count * cost.count(dataclasses.replace(
            run, crop_size=size)).forward_flops
        for size, count in sizes.items())


def _input(run, strategy, folder):
    """Times the input of a training run beside bare decoding and cropping.

    They take turns: what else runs here slows both alike.
    """
    del strategy
    sources = _training_sources(run, folder)
    datasets = inputs.train_dataset(run, sources), _bare(run, folder)
    own, bare = zip(*zip(*(_turns(run, each) for each in datasets),
                         strict=True), strict=True)
    return Timed(own, bare=bare)


def _turns(run, dataset):
    """Yields the seconds of a batch, a mean over an epoch or two."""
    count = -(-2 * _IMAGES // run.global_batch_size)
    for _ in range(run.steps):
        batches = iter(dataset)
        next(batches)
        begin = time.perf_counter()
        for _ in range(count):
            next(batches)
        seconds = (time.perf_counter() - begin) / count
        del batches  # Or it would read ahead in the other's turn.
        yield seconds


def _bare(run, folder):
    """Returns batches of random crops of decoded files, and nothing else."""
    def load(index, path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3,
                                  dct_method='INTEGER_ACCURATE')
        return tf.image.stateless_random_crop(
            image, (*run.crop_size, 3), (index, index))

    paths = sorted(map(str, files.path(folder, 'images', 'train').iterdir()))
    return tf.data.Dataset.from_tensor_slices(paths).repeat().enumerate().map(
        load, num_parallel_calls=parallel.cores()).batch(
            run.global_batch_size).prefetch(2)


def _no_flops(run):
    del run
    return 0


def _objective(run, strategy):
    with strategy.scope():
        return build.build_objective(run, build.build_network(run))


def _training_sources(run, folder):
    """Returns sources of images as large beside the crop as ImageNet's."""
    height, width = run.crop_size
    generated.write(folder, 'train', _IMAGES, (height * 3 // 2, width * 2),
                    run.data[0].num_classes)
    return inputs.open_labelled(run, folder)


def _split(run, folder):
    """Returns a source of one batch of images of the crop's size."""
    generated.write(folder, 'val', run.global_batch_size, run.crop_size,
                    run.data[0].num_classes)
    source, = inputs.open_inputs(run, folder, ('val',))['val']
    return source


def _seconds(run, step):
    """Returns the seconds of so many calls of `step` as the run has steps."""
    seconds = []
    for _ in range(run.steps):
        begin = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begin)
    return seconds


@dataclasses.dataclass(frozen=True)
class Work:
    """What can be measured.

    Attributes:
      time: returns Timed, from (RunSpec, strategy, empty folder).
      flops: returns the FLOPs of a step of a RunSpec.
    """
    time: Callable[[specs.RunSpec, Strategy, Folder], Timed]
    flops: Callable[[specs.RunSpec], int]


WORK = {
    'denoise': Work(_train, _train_flops),
    'segment': Work(_train, _train_flops),
    'input': Work(_input, _no_flops),
    'evaluate': Work(_evaluate, _forward_flops),
    'predict': Work(_predict, _forward_flops),
}
