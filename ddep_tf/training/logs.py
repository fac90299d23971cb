"""What is written down while a run trains: CSV, TensorBoard, a tracker."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ddep_tf import files
from ddep_tf.runtime import place, tracking

# Measured anew by a run that is resumed; the other columns are not.
_RATES = ('learning_rate', 'step_seconds', 'images_per_second')
# Of a summary writer: in a bucket, each flush writes the whole file anew. So
# it is left to the checkpoints.
_SELDOM = {'max_queue': 10 ** 6, 'flush_millis': 10 ** 9}


class Logs:
    """The logs of a run folder, cut back to where the run goes on.

    Attributes:
      writer: of the TensorBoard summaries.

    Args:
      folder: Place of the run.
      metric_names: columns of metrics.csv beside the step and the rates.
      step: from which the run goes on.
      tracker: is told the same.
    """

    def __init__(self, folder: place.Place, metric_names: Sequence[str],
                 step: int, tracker: tracking.Tracker):
        self._tracker = tracker
        # Read first: opening the log cuts it back.
        self._validated = files.read_csv(folder.run_dir / 'validation.csv')
        self._metrics = files.CsvLog(
            folder.own_dir / 'metrics.csv', ['step', *metric_names, *_RATES],
            step)
        self._validation = files.CsvLog(
            folder.own_dir / 'validation.csv', ['step', 'val'], step)
        events = folder.own_dir / 'tensorboard'
        self.writer = tf.summary.create_file_writer(
            str(events), **(_SELDOM if files.is_bucket(events) else {}))

    def add(self, row: Mapping[str, Any]) -> None:
        """Logs the step, metrics and rates of training."""
        self._metrics.add(row)
        named = {f'train/{name}': value for name, value in row.items()
                 if name != 'step'}
        self._tell(row['step'], named)

    def add_validation(self, step: int, value: float) -> None:
        """Logs the validation value of a step."""
        self._validation.add({'step': step, 'val': value})
        self._tell(step, {'val': value})

    def validated(self, step: int) -> float | None:
        """Returns the value that an earlier start logged for a step."""
        for row in self._validated:
            if int(row['step']) == step:
                return float(row['val'])
        return None

    def flush(self) -> None:
        """Writes what was held back."""
        self._metrics.flush()
        self._validation.flush()
        self.writer.flush()

    def close(self) -> None:
        """Writes what was held back, for the last time."""
        self._metrics.flush()
        self._validation.flush()
        self.writer.close()

    def _tell(self, step, numbers):
        with self.writer.as_default(step=step):
            for name, value in numbers.items():
                tf.summary.scalar(name, value)
        self._tracker.log({'step': step, **numbers})
