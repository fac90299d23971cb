"""Uses a finished run: segments files, evaluates a split."""

import json
import pathlib

import numpy as np
from PIL import Image
import tensorflow as tf
import tqdm

from ddep_tf import errors, evaluate
from ddep_tf.data import pipelines
from ddep_tf.models import weights
from ddep_tf.runtime import build, folder, pictures

SUFFIXES = ('.jpg', '.jpeg', '.png')


def load_run(run_dir, strategy):
    """Returns (RunSpec, network) of a finished segment run.

    Raises:
      UserError: the folder is no segment run, or has no weights yet.
    """
    run = folder.read_run(run_dir)
    if run.stage != 'segment':
        raise errors.UserError(f'{run_dir} is a {run.stage} run: prediction '
                               'needs one of the stage segment')
    path = pathlib.Path(run_dir) / folder.WEIGHTS
    arrays = weights.read_npz(path)
    with strategy.scope():
        network = build.build_network(run)
        weights.load_arrays(network, arrays, path)
    return run, network


def predict_files(run_dir, inputs, output_dir, spec, strategy):
    """Writes a mask of train ids, and a coloured one, for every image.

    Args:
      run_dir: finished segment run.
      inputs: image files and folders of images.
      output_dir: masks go to NAME.png, pictures to NAME_colour.png.
      spec: EvalSpec.
      strategy: tf.distribute.Strategy.
    """
    paths = find_images(inputs)
    run, network = load_run(run_dir, strategy)
    predictor = evaluate.Predictor(network, spec, strategy)
    target = pathlib.Path(output_dir)
    target.mkdir(parents=True, exist_ok=True)
    palette = pictures.label_set(run).palette
    for path in tqdm.tqdm(paths, desc='predict', unit='image'):
        image = read_image(path)
        ids = predict_image(predictor, image, run.data[0].scale)
        Image.fromarray(ids).save(target / f'{path.stem}.png')
        Image.fromarray(pictures.colour(ids, palette)).save(
            target / f'{path.stem}_colour.png')
    print(f'{len(paths)} masks in {target}')


def predict_image(predictor, image, scale):
    """Segments one image at its own size.

    Args:
      predictor: evaluate.Predictor.
      image: [H, W, 3] uint8.
      scale: of the data set that the run was trained on.

    Returns:
      [H, W] uint8 train ids.
    """
    size = image.shape[:2]
    scaled = tf.image.resize(
        image, [max(round(side * scale), 1) for side in size], antialias=True)
    return evaluate.label_ids(predictor, (scaled / 127.5 - 1.0)[None], size)[0]


def evaluate_run(run_dir, data_dir, split, spec, strategy, output=''):
    """Evaluates a finished run on a split, and prints its table."""
    run, network = load_run(run_dir, strategy)
    opened = build.open_sources(run, data_dir, split)
    if not opened:
        raise errors.UserError(f'{run.data[0].name} names no {split} split')
    predictor = evaluate.Predictor(network, spec, strategy)
    matrix = evaluate.evaluate(
        predictor, pipelines.eval_dataset(opened[0], 1),
        run.data[0].num_classes, opened[0].num_examples,
        lambda items: tqdm.tqdm(items, desc='evaluate', leave=False))
    result = evaluate.summary(matrix)
    for name, iou in zip(pictures.label_set(run).class_names, result['iou']):
        print(f'{name:24s} {100 * iou:6.2f}')
    print(f'{"mean IoU":24s} {100 * result["mean_iou"]:6.2f}')
    print(f'{"pixel accuracy":24s} {100 * result["pixel_accuracy"]:6.2f}')
    if output:
        folder.write_atomic(output, json.dumps(
            {**result, 'split': split, 'images': opened[0].num_examples,
             'confusion_matrix': matrix.tolist()}, indent=2))
    return result


def find_images(inputs):
    """Returns the image files among `inputs` and in its folders."""
    paths = []
    for name in map(pathlib.Path, inputs):
        if name.is_dir():
            found = sorted(p for p in name.iterdir()
                           if p.suffix.lower() in SUFFIXES)
            if not found:
                raise errors.UserError(f'--input {name} holds no image '
                                       f'({", ".join(SUFFIXES)})')
            paths += found
        elif name.is_file():
            paths.append(name)
        else:
            raise errors.UserError(f'--input {name}: no such file or folder')
    return paths


def read_image(path):
    """Returns [H, W, 3] uint8. UserError naming the file if it is broken."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert('RGB'))
    except (OSError, SyntaxError, ValueError) as error:
        raise errors.UserError(f'{path} is no whole image ({error}): replace '
                               'or remove it') from error
