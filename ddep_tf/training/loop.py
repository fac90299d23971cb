"""The loop of all stages: orbit around an objective's own train_step."""

from collections.abc import Callable
import time
from typing import Any

import tensorflow as tf
import tqdm

from ddep_tf import errors, specs
from ddep_tf.objectives import base
from ddep_tf.runtime import feed, lean, memory, stop_signal
from ddep_tf.runtime import strategy as strategies
from ddep_tf.runtime import workers as workers_lib

with lean.imports():
    import orbit


class Trainer(orbit.StandardTrainer):
    """Runs `train_step` on every replica and adds up what they report.

    Args:
      objective: with a built optimizer.
      dataset: what gives the replicas their parts of the global batches,
        infinite, as of feed.distribute.
      strategy: tf.distribute.Strategy.
      step: int64 variable of the strategy, incremented with every step; of
        the replicas' increments the first counts.
      jit_compile: compile the step with XLA.
    """

    def __init__(self, objective: base.Objective, dataset: feed.Distributed,
                 strategy: tf.distribute.Strategy, step: tf.Variable,
                 jit_compile: bool = False):
        self._objective = objective
        self._strategy = strategy
        self._step = step
        self._is_traced = False
        if jit_compile:
            objective.compile_gradients()
        # Of each replica its own, which are added up when they are read.
        with strategy.scope():
            self._totals = {
                name: tf.Variable(
                    0.0, trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.SUM)
                for name in objective.metric_names}
        super().__init__(dataset)

    def reset_metrics(self) -> None:
        """Sets the sums of the metrics back to 0."""
        for total in self._totals.values():
            total.assign(0.0)

    def train(self, num_steps):
        with strategies.on_host(self._strategy):
            if not self._is_traced:
                # By no step: memory that only loading and tracing took is
                # given back before what a step takes is added.
                memory.give_back()
                super().train(tf.zeros_like(num_steps))
                memory.give_back()
                self._is_traced = True
            return super().train(num_steps)

    def create_train_loop_fn(self):
        if not isinstance(self.train_dataset, feed.Feed):
            return super().create_train_loop_fn()
        return feed.loop(tf.function(self._train_on))

    def train_step(self, iterator):
        self._train_on(next(iterator))

    def _train_on(self, batch):
        # A plain function: for each tf.function that a MirroredStrategy runs,
        # TensorFlow keeps its graph and its variables as long as the strategy.
        self._strategy.run(self._on_replica, args=(batch,))

    def _on_replica(self, batch):
        # What a step reports stays on its device: fetching it would make the
        # devices wait for each other and for the host.
        for name, share in self._objective.train_step(batch).items():
            self._totals[name].assign_add(share)
        self._step.assign_add(1)

    def train_loop_end(self) -> dict[str, float]:
        """Returns the metrics, summed over the steps since the reset.

        Raises:
          TrainingStopped: a step had a non-finite loss or gradient.
        """
        bad = int(self._objective.first_bad_step.numpy())
        if bad >= 0:
            raise errors.TrainingStopped(
                f'the loss or its gradient is not finite at step {bad}: '
                'nothing was saved since; lower the learning rate')
        return {n: float(t.numpy()) for n, t in self._totals.items()}


class Loop:
    """Trains to given steps, showing progress, until it is asked to stop.

    The request of one worker stops all of them, at the same step.

    Args:
      objective: with a built optimizer.
      dataset: as of Trainer, from `step` on.
      strategy: tf.distribute.Strategy.
      step: int64 variable that counts the steps.
      run: RunSpec.
      stop: StopSignal; at least every half of its `grace` is it looked at.
      workers: the Workers that train together.
      on_log: called every `log_every` steps with a dict of the step, the
        means of the metrics since the last call, and rates.
    """

    def __init__(self, objective: base.Objective, dataset: feed.Distributed,
                 strategy: tf.distribute.Strategy, step: tf.Variable,
                 run: specs.RunSpec, stop: stop_signal.StopSignal,
                 workers: workers_lib.Workers,
                 on_log: Callable[[dict[str, Any]], None]):
        self._run = run
        self._step = step
        self._stop = stop
        self._workers = workers
        self._steps_a_look = 1  # Until the time of a step is known.
        self._on_log = on_log
        self._objective = objective
        self._trainer = Trainer(objective, dataset, strategy, step,
                                run.jit_compile)
        self._bar = tqdm.tqdm(
            total=run.steps, initial=int(step.numpy()), unit='step',
            desc=run.stage, mininterval=1.0, leave=True)

    def train_to(self, target: int) -> bool:
        """Trains until `step` is `target`, or a worker is asked to stop.

        Returns:
          Whether one was asked.
        """
        while (first := int(self._step.numpy())) < target:
            log_every = self._run.log_every
            count = min(log_every - first % log_every, target - first)
            if self._train_and_log(count):
                return True
        return False

    def _train_and_log(self, count):
        """Takes `count` steps and logs them; returns whether to stop."""
        begin, done, asked = time.perf_counter(), 0, False
        self._trainer.reset_metrics()
        while done < count and not asked:
            steps = min(count - done, self._steps_a_look)
            start = time.perf_counter()
            sums = self._trainer.train(tf.constant(steps, tf.int32))
            done += steps
            asked = self._look((time.perf_counter() - start) / steps)
        self._log(sums, done, time.perf_counter() - begin)
        return asked

    def _look(self, step_seconds):
        """Returns whether a worker was asked to stop, and sets how many steps
        of so many seconds are taken until the next look."""
        told = self._workers.exchange(self._stop.asked, step_seconds)
        slowest = max(told[:, 1].max(), 1e-6)
        self._steps_a_look = max(1, int(self._stop.grace / 2 / slowest))
        return bool(told[:, 0].any())

    def close(self) -> None:
        """Ends the progress bar."""
        self._bar.close()

    def _log(self, sums, count, seconds):
        row = {name: total / count for name, total in sums.items()}
        optimizer = self._objective.optimizer
        # The rate of the step that was just taken.
        rate = optimizer.schedule(optimizer.iterations.numpy() - 1)
        row.update(step=int(self._step.numpy()), learning_rate=float(rate),
                   step_seconds=seconds / count,
                   images_per_second=self._run.global_batch_size * count /
                   seconds)
        self._bar.update(count)
        self._bar.set_postfix_str(
            f'loss {row["loss"]:.4g}, {row["images_per_second"]:.3g} images/s')
        self._on_log(row)
