"""Uses a finished run: segments files, evaluates a split."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
from PIL import ImageOps
import tensorflow as tf
import tqdm

from ddep_tf import errors, files, specs
from ddep_tf.data import image_files, labels, transforms
from ddep_tf.evaluation import evaluator, samples
from ddep_tf.evaluation import predictor as predictor_lib
from ddep_tf.objectives import registry
from ddep_tf.runtime import build, process


def predict_files(run_dir: str | os.PathLike, run: specs.RunSpec,
                  inputs: Iterable[str | os.PathLike],
                  output_dir: str | os.PathLike,
                  strategy: tf.distribute.Strategy) -> None:
    """Writes a mask of train ids, and a colored one, for every image.

    Args:
      run_dir: finished segment run.
      run: its RunSpec; `evaluation` says how images are segmented.
      inputs: image files and folders of images.
      output_dir: masks go to NAME.png, pictures to NAME_colour.png.
      strategy: tf.distribute.Strategy.

    Raises:
      UserError: the run does not segment, there is no image, one cannot be
        read, or a mask would replace an image or another mask.
    """
    if not _segments(run):
        raise errors.UserError(f'{run_dir} is a {run.stage} run: prediction '
                               'needs one of the stage segment')
    paths = find_images(inputs)
    targets = _targets(paths, files.path(output_dir))
    process.set_up(run.seed)
    network = build.load_network(run, run_dir, strategy)
    predictor = predictor_lib.Predictor(network, run.evaluation, strategy)
    files.path(output_dir).mkdir(parents=True, exist_ok=True)
    palette = samples.label_set(run).palette
    for path, (mask, picture) in tqdm.tqdm(
            zip(paths, targets), total=len(paths), desc='predict',
            unit='image'):
        ids = predict_image(predictor, read_image(path), run.data[0])
        image_files.write_png(mask, ids)
        image_files.write_png(picture, samples.paint(ids, palette))
    print(f'{len(paths)} masks in {output_dir}')


def predict_image(predictor: predictor_lib.Predictor, image: np.ndarray,
                  dataset_spec: specs.DatasetSpec) -> np.ndarray:
    """Segments one image at its own size.

    Args:
      predictor: predictor_lib.Predictor.
      image: [H, W, 3] uint8.
      dataset_spec: DatasetSpec that the run was trained on; the image is
        resized in the same way.

    Returns:
      [H, W] uint8 train ids.
    """
    example = transforms.to_float(transforms.resize(
        {'image': tf.constant(image)}, dataset_spec.scale,
        dataset_spec.short_side))
    return predictor_lib.label_ids(predictor, example['image'][None],
                              image.shape[:2])[0]


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
      output: JSON file for the numbers; '' writes none.
      save_label_ids: folder for the predictions, as `label_id_writer` writes
        them; '' writes none.

    Returns:
      dict as of evaluator.measure_run, and the split.

    Raises:
      UserError: as evaluator.measure_run and label_id_writer.
    """
    save = None
    if save_label_ids:
        if not _segments(run):
            raise errors.UserError(f'--save_label_ids: {run_dir} is a '
                                   f'{run.stage} run, which predicts no masks')
        save = label_id_writer(samples.label_set(run), save_label_ids)
    process.set_up(run.seed)
    result = evaluator.measure_run(run, run_dir, data_dir, split, strategy,
                                   save)
    print('\n'.join(_table(run, result)))
    result = {'split': split, **result,
              'evaluation': dataclasses.asdict(run.evaluation)}
    if output:
        files.write_json(output, result)
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
      UserError: the folder is not empty, or two ids give one file name.
    """
    target = files.path(output_dir)
    target.mkdir(parents=True, exist_ok=True)
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


def find_images(inputs: Iterable[str | os.PathLike]) -> list[pathlib.Path]:
    """Returns the image files among `inputs` and in its folders."""
    paths = []
    for name in map(files.path, inputs):
        if name.is_dir():
            found = sorted(p for p in name.iterdir()
                           if p.suffix.lower() in image_files.SUFFIXES)
            if not found:
                raise errors.UserError(f'--input {name} holds no image '
                                       f'({", ".join(image_files.SUFFIXES)})')
            paths += found
        elif name.is_file():
            paths.append(name)
        else:
            raise errors.UserError(f'--input {name}: no such file or folder')
    return paths


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Returns [H, W, 3] uint8, upright as its EXIF orientation says.

    Raises:
      UserError: naming the file if it is broken, has 16 bits a channel, or
        claims more pixels than `image_files.max_pixels`.
    """
    image_files.check_image(path)
    try:
        with image_files.opened(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except image_files.BROKEN as error:
        raise errors.UserError(f'{path} is not a whole image ({error}): '
                               'replace or remove it') from error


def _targets(paths: Sequence[pathlib.Path], output_dir: pathlib.Path):
    """Returns (mask, picture) paths, all distinct and none an input."""
    targets, taken = [], {path.resolve(): path for path in paths}
    for path in paths:
        pair = (output_dir / f'{path.stem}.png',
                output_dir / f'{path.stem}_colour.png')
        for target in pair:
            other = taken.setdefault(target.resolve(), path)
            if other is not path or target.resolve() == path.resolve():
                raise errors.UserError(
                    f'--input {path}: its {target} would replace that of '
                    f'{other}: choose another --output_dir')
        targets.append(pair)
    return targets


def _segments(run):
    """Returns whether a run predicts masks."""
    return registry.objective_of(run.stage).whole_images


def _table(run: specs.RunSpec, result: dict[str, Any]) -> Iterator[str]:
    """Yields the lines of a measured split; ratios in points."""
    names = samples.label_set(run).class_names if _segments(run) else ()
    objective = registry.objective_of(run.stage)
    for name, value, is_ratio in objective.result_rows(result, names):
        yield (f'{name:24s} {100 * value:6.2f}' if is_ratio
               else f'{name:24s} {value:.4f}')
    yield f'{"images":24s} {result["images"]:6d}'
