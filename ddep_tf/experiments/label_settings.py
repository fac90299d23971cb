"""Checks an experiment's label settings against the data."""

from collections.abc import Sequence
import os

from ddep_tf import errors
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.runtime import inputs


def check(runs: Sequence[plan_lib.PlannedRun],
          data_dir: str | os.PathLike) -> None:
    """Opens the labelled subset of each setting.

    Done first, as fine-tuning may come after hours of pretraining.

    Args:
      runs: the runs that fine-tune.
      data_dir: root folder of the data.

    Raises:
      UserError: a subset cannot be had, or two settings are the same images.
    """
    opened = inputs.open_labelled(inputs.with_all_labels(runs[0].run), data_dir)
    setting_of: dict[int, int | float | None] = {}
    seen = set()
    for planned in runs:
        key = repr(planned.setting), planned.run.holdout  # 1 is not 1.0.
        if key in seen:
            continue
        seen.add(key)
        labelled = inputs.take_labels(planned.run, opened)
        inputs.hold_out(planned.run, labelled)
        images = labelled[0].num_examples
        other = setting_of.setdefault(images, planned.setting)
        if other != planned.setting:
            raise errors.UserError(
                f'the label settings {other} and {planned.setting} are the '
                f'same {images} images: remove one of them from '
                'ExperimentSpec.label_counts and label_fractions')
