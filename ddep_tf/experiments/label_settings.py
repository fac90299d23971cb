"""Checks an experiment's label settings against the data."""

from collections.abc import Sequence
import os

from ddep_tf import errors
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.experiments import spec as spec_lib
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
    name_of: dict[int, str] = {}
    seen = set()
    for planned in runs:
        name = spec_lib.setting_name(planned.setting)
        key = name, planned.run.holdout
        if key in seen:
            continue
        seen.add(key)
        labelled = inputs.take_labels(planned.run, opened)
        inputs.hold_out(planned.run, labelled)
        images = labelled[0].num_examples
        other = name_of.setdefault(images, name)
        if other != name:
            raise errors.UserError(
                f'the label settings {other} and {name} are the same {images} '
                'images: remove one of them from ExperimentSpec.label_counts '
                'and label_fractions')
