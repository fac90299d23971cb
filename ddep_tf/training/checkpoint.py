"""State for resuming a run: its last few steps and its best. Atomic."""

import contextlib
import math
import os
import re
import time

import numpy as np
import tensorflow as tf

from ddep_tf import errors, files
from ddep_tf.objectives import base
from ddep_tf.runtime import strategy as strategies

DAMAGED = 'damaged'  # Folder in `state/` of what could not be read.


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
      own_dir: the folder in which states are saved: of a worker that is not
        the chief, not the run folder.
    """

    def __init__(self, run_dir: str | os.PathLike, objective: base.Objective,
                 keep: int, own_dir: str | os.PathLike):
        self.step = tf.Variable(
            0, dtype=tf.int64, trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
        self.best = tf.Variable(float('nan'), trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._options = strategies.save_options(tf.distribute.get_strategy())
        self._objective = objective
        self._parts = self._checkpoint()
        self._dir = files.path(run_dir) / 'state'
        self._save_dir = files.path(own_dir) / 'state'
        self._keep = keep
        self._saved = -1  # The last step that was saved.

    def restore(self) -> int:
        """Loads the last state that can be read, and returns its step.

        A damaged one is moved to `state/damaged/`, and a line says so.

        Raises:
          UserError: there are states, but none can be read, or the last one
            is of another network.
        """
        found = self._found()
        for path in list(found):
            if self._load(path):
                break
            found.remove(path)
            self._set_aside(path, found)
        self._open_managers(found)
        self._saved = int(self.step.numpy()) if found else -1
        return int(self.step.numpy())

    def save(self, seconds: float) -> None:
        """Writes the state of this step, reached after so many seconds.

        Raises:
          UserError: it cannot be written; the last saved state stays.
          tf.errors.OpError: likewise, in a bucket.
        """
        step = int(self.step.numpy())
        self.seconds.assign(seconds)
        if step > self._saved:
            self._write(self._last, step)
            self._saved = step

    def save_if_best(self, value: float, higher_is_better: bool) -> None:
        """Keeps this state too if `value` is the best so far. Raises as
        `save` does."""
        value = float(np.float32(value))  # As the best one is kept.
        best = float(self.best.numpy())
        # The initial best is nan, against which every comparison is false.
        worse = value <= best if higher_is_better else value >= best
        if worse or math.isnan(value):
            return
        self.best.assign(value)
        self._write(self._best, int(self.step.numpy()))

    def _checkpoint(self):
        return tf.train.Checkpoint(
            model=self._objective, optimizer=self._objective.optimizer,
            step=self.step, best=self.best, seconds=self.seconds)

    def _found(self):
        """Returns the paths of the saved states without suffix, newest first.

        The list in the file `checkpoint` is not relied on: it may be damaged
        too, and lacks a state that was written just before the process ended.
        """
        numbers = sorted((int(found[1]) for path in self._dir.glob('ckpt-*')
                          if (found := re.fullmatch(r'ckpt-(\d+)\.index',
                                                    path.name))), reverse=True)
        return [self._dir / f'ckpt-{number}' for number in numbers]

    def _load(self, path):
        """Restores a state; returns whether it is undamaged."""
        try:
            self._parts.restore(os.fspath(path),
                                self._options).assert_consumed()
            return True
        except Exception as error:
            if _is_damaged(path):
                # The old one would still restore what it has not created.
                self._parts = self._checkpoint()
                return False
            raise errors.UserError(
                f'{path} is the state of another network: choose another '
                '--run_dir, or remove the folder state/ to start this run '
                'again') from error

    def _set_aside(self, path, rest):
        if not rest:
            raise errors.UserError(
                f'{path} is damaged, and there is no state before it: remove '
                'the folder state/ to start this run again')
        print(f'{path} is damaged: moved to {self._dir / DAMAGED}, going on '
              f'from {rest[0].name}', flush=True)
        if self._save_dir != self._dir:
            return  # The chief moves it.
        (self._dir / DAMAGED).mkdir(exist_ok=True)
        for part in list(self._dir.glob(f'{path.name}.*')):
            part.replace(self._dir / DAMAGED / part.name)

    def _open_managers(self, found):
        """Opens the managers, which list the states that were `found`."""
        if found and self._save_dir == self._dir:
            tf.compat.v1.train.update_checkpoint_state(
                os.fspath(self._dir), os.fspath(found[0]),
                [os.fspath(path) for path in reversed(found)],
                # Those without a time are never removed.
                all_model_checkpoint_timestamps=[time.time()] * len(found))
        self._last, self._best = (tf.train.CheckpointManager(
            self._parts, os.fspath(folder), max_to_keep=keep,
            step_counter=self.step) for folder, keep in (
                (self._save_dir, self._keep), (self._save_dir / 'best', 1)))

    def _write(self, manager, step):
        try:
            manager.save(checkpoint_number=step, options=self._options)
        except tf.errors.OpError as error:
            _remove_parts(manager.directory, step)
            if files.is_bucket(manager.directory) or strategies.silent_host():
                raise  # It is not the disk: the error says what it is.
            raise errors.UserError(
                f'{manager.directory}: the state of step {step} cannot be '
                f'written ({_reason(error)}): free space, or choose another '
                '--run_dir; what was saved before is kept') from error


def _is_damaged(path):
    """Whether a tensor of a checkpoint cannot be read, though its files can.

    Raises:
      OSError: the disk or bucket does not answer.
    """
    for part in path.parent.glob(f'{path.name}.*'):
        files.sha256(part)
    try:
        reader = tf.train.load_checkpoint(os.fspath(path))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except Exception:  # TensorFlow has no error of its own for it.
        return True
    return False


def _remove_parts(folder, step):
    """Removes what is left of a state that could not be written."""
    parts = files.path(folder, f'ckpt-{step}_temp')
    with contextlib.suppress(OSError):
        for pattern in (f'ckpt-{step}.*', f'{parts.name}/*'):
            for path in files.path(folder).glob(pattern):
                path.unlink()
        parts.rmdir()


def _reason(error):
    """Returns what the file system says, without TensorFlow's operation."""
    return re.sub(r'^.*?; |\{\{[^}]*\}\} | \[Op:\w+\].*$', '',
                  errors.first_line(error))
