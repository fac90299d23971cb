"""State for resuming a run: its last few steps and its best. Atomic."""

import math
import os

import tensorflow as tf

from ddep_tf import errors, files
from ddep_tf.objectives import base


class State:
    """Objective, optimizer and step in `state/`.

    Attributes:
      step: int64 variable, optimizer steps taken.
      best: float32 variable, the best validation value so far.
      seconds: float64 variable, wall-clock time up to the last save.

    Args:
      run_dir: the run folder.
      objective: with a built optimizer.
      keep: how many of the last states are kept.
    """

    def __init__(self, run_dir: str | os.PathLike, objective: base.Objective,
                 keep: int):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best = tf.Variable(float('nan'), trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        state_dir = files.path(run_dir, 'state')
        parts = tf.train.Checkpoint(
            model=objective, optimizer=objective.optimizer, step=self.step,
            best=self.best, seconds=self.seconds)
        self._last = tf.train.CheckpointManager(
            parts, str(state_dir), max_to_keep=keep, step_counter=self.step)
        self._best = tf.train.CheckpointManager(
            parts, str(state_dir / 'best'), max_to_keep=1,
            step_counter=self.step)

    def restore(self) -> int:
        """Loads the last state if there is one, and returns its step.

        Raises:
          UserError: the state cannot be read.
        """
        path = self._last.latest_checkpoint
        if path:
            try:
                self._last.checkpoint.restore(path).assert_consumed()
            except (tf.errors.OpError, AssertionError, ValueError) as error:
                raise errors.UserError(
                    f'{path} cannot be read: remove the folder state/ to '
                    'start this run again') from error
        return int(self.step.numpy())

    def save(self, seconds: float) -> None:
        """Writes the state of this step, reached after so many seconds."""
        self.seconds.assign(seconds)
        if self._last.latest_checkpoint is None or self._is_newer():
            self._last.save(checkpoint_number=int(self.step.numpy()))

    def save_if_best(self, value: float, higher_is_better: bool) -> None:
        """Keeps this state too if `value` is the best so far."""
        best = float(self.best.numpy())
        # The initial best is nan, against which every comparison is false.
        worse = value <= best if higher_is_better else value >= best
        if worse or math.isnan(value):
            return
        self.best.assign(value)
        self._best.save(checkpoint_number=int(self.step.numpy()))

    def _is_newer(self):
        last = int(self._last.latest_checkpoint.rsplit('-', 1)[-1])
        return int(self.step.numpy()) > last
