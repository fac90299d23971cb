"""Evaluates a finished run on a split, and saves what it predicts."""

from collections.abc import Callable, Iterator
import dataclasses
import math
import os
from typing import Any

import numpy as np
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files, labels
from ddep_tf.evaluation import evaluator, predictor, samples
from ddep_tf.objectives import registry
from ddep_tf.runtime import process
from ddep_tf.runtime import workers as workers_lib


def evaluate_run(run_dir: str | os.PathLike, run: specs.RunSpec,
                 data_dir: str | os.PathLike, split: str,
                 strategy: tf.distribute.Strategy,
                 output: str | os.PathLike = '',
                 save_label_ids: str | os.PathLike = '') -> dict[str, Any]:
    """Evaluates a finished run on a split and prints its table.

    Args:
      run_dir: the run folder.
      run: its RunSpec; `evaluation` says how.
      data_dir: root folder of the data.
      split: 'val' or 'test'.
      strategy: tf.distribute.Strategy.
      output: JSON file for the numbers, null for what cannot be told, such
        as the IoU of a class that is absent; '' writes none.
      save_label_ids: folder for the predictions, as `label_id_writer` writes
        them; '' writes none.

    Returns:
      dict as of evaluator.measure_run, and the split.

    Raises:
      UserError: as evaluator.measure_run and label_id_writer.
    """
    if save_label_ids and not _segments(run):
        raise errors.UserError(f'--save_label_ids: {run_dir} is a {run.stage} '
                               'run, which predicts no masks')
    # All workers fetch the predictions, and one of them writes.
    see: evaluator.See | None = _overlooked if save_label_ids else None
    workers = workers_lib.Workers(strategy)
    with workers.together():
        if output and workers.is_chief:
            files.make_folder(files.path(output).parent, '--output')
        if save_label_ids and workers.is_chief:
            see = _saved_by(label_id_writer(samples.label_set(run),
                                            save_label_ids))
    process.set_up(
        run.seed, deterministic=process.is_deterministic(run, strategy))
    result = evaluator.measure_run(run, run_dir, data_dir, split, strategy,
                                   see)
    print('\n'.join(_table(run, result)))
    result = {'split': split, **result,
              'evaluation': dataclasses.asdict(run.evaluation)}
    if output and workers.is_chief:
        files.write_json(output, _without_nan(result))
    return result


def label_id_writer(label_set: labels.LabelSet, output_dir: str | os.PathLike
                    ) -> Callable[[str, np.ndarray], None]:
    """Returns a function that writes predictions with the ids of the masks.

    The official script of Cityscapes finds the prediction of
    CITY_SEQUENCE_FRAME_gtFine_labelIds.png by CITY_SEQUENCE_FRAME*.png and
    expects labelIds, not train ids.

    Args:
      label_set: labels.LabelSet.
      output_dir: folder; created. It must be empty: other files in it could
        be taken for predictions, or be the truth.

    Returns:
      Function of an example's id and its train ids, [h, w] uint8, that writes
      ID.png, 8-bit gray, of that size.

    Raises:
      UserError: the folder is not empty, or cannot be made; or two ids give
        one file name.
    """
    target = files.make_folder(output_dir, '--save_label_ids')
    if any(target.iterdir()):
        raise errors.UserError(f'--save_label_ids {target} is not empty: name '
                               'a new folder')
    source_ids = label_set.source_ids

    def write(example_id, ids):
        path = target / f'{samples.file_name(example_id)}.png'
        if path.exists():
            raise errors.UserError(f'--save_label_ids: two examples would be '
                                   f'{path}: rename {example_id!r}')
        image_files.write_png(path, source_ids[ids])
    return write


def _overlooked(example_id: str, one: predictor.Segmented) -> None:
    """What the other workers do with a prediction."""
    del example_id, one


def _saved_by(write: Callable[[str, np.ndarray], None]) -> evaluator.See:
    def see(example_id, one):
        write(example_id, one.predicted)
    return see


def _without_nan(value):
    """Returns a result as JSON can hold it, which knows no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _segments(run):
    return registry.objective_of(run.stage).whole_images


def _table(run: specs.RunSpec, result: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a measured split; ratios in points."""
    names = samples.label_set(run).class_names if _segments(run) else ()
    objective = registry.objective_of(run.stage)
    for name, value, is_ratio in objective.result_rows(result, names):
        yield (f'{name:24s} {100 * value:6.2f}' if is_ratio
               else f'{name:24s} {value:.4f}')
    yield f'{"images":24s} {result["images"]:6d}'
