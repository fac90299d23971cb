"""The one loop of all stages: orbit around a model's own train_step."""

import contextlib
import io
import signal
import time

from absl import logging
import orbit
import tensorflow as tf
import tqdm

from ddep_tf import errors


class Trainer(orbit.StandardTrainer):
    """Runs `train_step` on every replica, and adds up what they report.

    After each loop, `sums` holds the metrics summed over its steps.
    """

    def __init__(self, objective, dataset, strategy, step, jit_compile=False):
        self._objective = objective
        self._strategy = strategy
        self._step = step
        self._step_fn = tf.function(objective.train_step,
                                    jit_compile=jit_compile or None)
        self._totals = {name: tf.Variable(0.0, trainable=False)
                        for name in objective.metric_names}
        self.sums = {}
        super().__init__(strategy.experimental_distribute_dataset(dataset))

    def train_loop_begin(self):
        for total in self._totals.values():
            total.assign(0.0)

    def train_step(self, iterator):
        shares = self._strategy.run(self._step_fn, args=(next(iterator),))
        for name, share in shares.items():
            self._totals[name].assign_add(
                self._strategy.reduce('SUM', share, axis=None))
        self._step.assign_add(1)

    def train_loop_end(self):
        """Sets `sums`.

        Raises:
          TrainingStopped: a step had a non-finite loss or gradient.
        """
        bad = int(self._objective.first_bad_step.numpy())
        if bad >= 0:
            raise errors.TrainingStopped(
                f'the loss or its gradient is not finite at step {bad}: '
                'nothing was saved since; lower the learning rate')
        self.sums = {n: float(t.numpy()) for n, t in self._totals.items()}


class Loop:
    """Trains to given steps, showing progress, until a signal asks to stop.

    Args:
      objective: Objective with a built optimizer.
      dataset: infinite tf.data of global batches, from `step` on.
      strategy: tf.distribute.Strategy.
      step: int64 variable that counts.
      run: RunSpec.
      on_log: called with a dict of step, means and rates every log_every.
    """

    def __init__(self, objective, dataset, strategy, step, run, on_log):
        self._run = run
        self._step = step
        self._on_log = on_log
        self._objective = objective
        self._trainer = Trainer(objective, dataset, strategy, step,
                                run.jit_compile)
        self._controller = orbit.Controller(
            global_step=step, trainer=self._trainer, strategy=strategy,
            steps_per_loop=run.log_every)
        self._bar = tqdm.tqdm(total=run.steps, initial=int(step.numpy()),
                              unit='step', desc=run.stage, mininterval=1.0, leave=True)

    def train_to(self, target):
        """Trains until `step` is `target`."""
        while int(self._step.numpy()) < target:
            begin, first = time.perf_counter(), int(self._step.numpy())
            count = min(self._run.log_every - first % self._run.log_every,
                        target - first)
            with _quiet():
                self._controller.train(first + count,
                                       checkpoint_at_completion=False)
            self._log(count, time.perf_counter() - begin)
            if Interrupt.asked:
                return

    def close(self):
        self._bar.close()

    def _log(self, count, seconds):
        row = {name: total / count
               for name, total in self._trainer.sums.items()}
        optimizer = self._objective.optimizer
        # The rate of the step that was just taken.
        rate = optimizer._learning_rate(optimizer.iterations.numpy() - 1)  # pylint: disable=protected-access
        row.update(step=int(self._step.numpy()), learning_rate=float(rate),
                   step_seconds=seconds / count,
                   images_per_second=self._run.global_batch_size * count /
                   seconds)
        self._bar.update(count)
        self._bar.set_postfix_str(
            f'loss {row["loss"]:.4g}, {row["images_per_second"]:.3g} images/s')
        self._on_log(row)


class Interrupt:
    """Turns SIGTERM into a request that the loop sees between steps."""
    asked = False

    @classmethod
    def install(cls):
        cls.asked = False

        def ask(signum, frame):
            del signum, frame
            cls.asked = True
        signal.signal(signal.SIGTERM, ask)


@contextlib.contextmanager
def _quiet():
    """Keeps orbit's lines about every loop out of the progress bar."""
    level = logging.get_verbosity()
    logging.set_verbosity(min(level, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
