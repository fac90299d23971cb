"""The card of an exported model: a README.md as Hugging Face reads it."""

from collections.abc import Mapping
import re
from typing import Any

import yaml

from ddep_tf import specs

# How each format is used: what is imported, and what follows.
_USE = {
    'keras': ('import keras', '''
model = keras.saving.load_model('model.keras')
result = model.predict_on_batch(image[None])
'''),
    'saved_model': ('import tensorflow as tf', '''
model = tf.saved_model.load('saved_model')
result = model.serve(image[None])
'''),
    'onnx': ('import onnxruntime', '''
session = onnxruntime.InferenceSession('model.onnx')
names = ['ids', 'probabilities']
result = dict(zip(names, session.run(names, {'image': image[None]})))
'''),
    'litert': ('from ai_edge_litert.interpreter import Interpreter', '''
interpreter = Interpreter('model.tflite')
result = interpreter.get_signature_runner()(image=image[None])
''')}


def text(facts: Mapping[str, Any], run: specs.RunSpec,
         result: Mapping[str, Any], license_name: str, command: str,
         operative: str) -> str:
    """Returns the card.

    Args:
      facts: what stands in the .json beside the model.
      run: RunSpec.
      result: of the run's result.json.
      license_name: of the weights, by its name at Hugging Face.
      command: that exported the model.
      operative: the run's gin config as text.
    """
    names = [spec.name for spec in run.data]
    shown = _escaped(', '.join(names))
    parts = [
        f'---\n{_front_matter(facts, names, result, license_name)}---\n',
        f'# Semantic segmentation of {shown}\n',
        _what(facts, run, shown), _usage(facts), _classes(facts, result),
        _scores(result), _made(facts, command, operative)]
    return '\n'.join(parts)


def _front_matter(facts, names, result, license_name):
    metrics = [{'type': 'mean_iou', 'name': f'mean IoU, {split}',
                'value': round(result[split], 4)}
               for split in ('val', 'test') if result.get(split) is not None]
    library = {'library_name': 'keras'} if facts['format'] == 'keras' else {}
    return yaml.safe_dump({
        'license': license_name, **library,
        'pipeline_tag': 'image-segmentation',
        'tags': ['image-segmentation', 'semantic-segmentation',
                 'decoder-denoising-pretraining', facts['format']],
        'datasets': names,
        'metrics': ['mean_iou'],
        'model-index': [{
            'name': f'{names[0]}-segmentation',
            'results': [{
                'task': {'type': 'image-segmentation'},
                'dataset': {'name': names[0], 'type': names[0]},
                'metrics': metrics}] if metrics else []}],
    }, sort_keys=False, allow_unicode=True)


def _escaped(name):
    """Returns a name from data, which must not become markup."""
    return re.sub(r'([!-/:-@\[-`{-~])', r'\\\1', ' '.join(name.split()))


def _what(facts, run, shown):
    size = facts['image_size']
    takes = f'{size[0]} x {size[1]} pixels' if size else 'any size'
    measured = facts['comparison']
    return f'''The encoder `{run.encoder.name}` with a decoder of width \
{run.decoder.width_multiplier}, fine-tuned for {run.steps:,} steps on \
{shown}, with [ddep_tf](https://arxiv.org/abs/2205.11423), the method of \
which is Decoder Denoising Pretraining.

- `image`: [B, height, width, 3] uint8, RGB, of {takes}.
- `ids`: [B, height, width] uint8, the classes below.
- `probabilities`: [B, height, width, {len(facts['class_names'])}] float32.

Compared with the run on {measured['images']} images: probabilities differ by \
{measured['difference']:.1e} at most, {100 * measured['agreement']:.2f} % of \
the ids agree. Each image is segmented whole, without flips or scales.
'''


def _usage(facts):
    imports, calls = _USE[facts['format']]
    return f'''```python
{imports}
import numpy as np
from PIL import Image

image = np.asarray(Image.open('photo.jpg').convert('RGB')){calls}\
ids = result['ids'][0]
```
'''


def _classes(facts, result):
    ious = result.get('test_details', {}).get('iou') or (
        [None] * len(facts['class_names']))
    lines = ['| id | class | color | IoU, test |', '|---:|---|---|---:|']
    for i, (name, color, iou) in enumerate(zip(
            facts['class_names'], facts['palette'], ious, strict=True)):
        score = '' if iou is None or iou != iou else f'{100 * iou:.1f}'
        lines.append(f'| {i} | {_escaped(name)} | #{bytes(color).hex()} | '
                     f'{score} |')
    return '\n'.join([*lines, ''])


def _scores(result):
    lines = [f'- mean IoU, {split}: {100 * result[split]:.1f}'
             for split in ('val', 'test') if result.get(split) is not None]
    if 'images' in result:
        lines.append(f'- labelled images: {result["images"]}')
    return '\n'.join([*lines, ''])


def _made(facts, command, operative):
    made = [f'- {name}: `{facts["run"][name]}`'
            for name in ('init_encoder', 'init_decoder', 'commit')
            if facts['run'].get(name)]
    made.append(f'- sha256 of the weights: {facts["run"]["sha256"]}')
    made += [f'- sha256 of {name}: {digest}'
             for name, digest in facts['sha256'].items()]
    return '\n'.join([
        '## How it was made\n', f'```\n{command}\n```\n', *made, '',
        'The configuration of its training:\n', f'```\n{operative}```\n'])
