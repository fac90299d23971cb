"""Chooses an experiment for a folder of one's own images. No TF.

What is chosen stands, with its reasons, in a gin file that its owner may
change. All numbers here are ours [O].
"""

from collections.abc import Sequence
import dataclasses
import os
import statistics

from ddep_tf import errors, specs
from ddep_tf.data import parallel
from ddep_tf.data.checking import findings
from ddep_tf.experiments import shares

NAME = 'quickstart'
PRETRAINED = 'keras/EfficientNetV2B0'
FROM_NOTHING = 'small'
_MODEL_FILES = {FROM_NOTHING: 'model/small.gin', 'tiny': 'model/tiny.gin'}
_TILED_SIDE = 1024  # Above it images, as resized, are predicted by tiles.


@dataclasses.dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
      cores: of the processor.
      gpus: number of GPUs.
      memory: of the machine, GiB.
    """
    cores: int
    gpus: int
    memory: float


def this_machine() -> Machine:
    """Returns what this machine has."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return Machine(parallel.cores(), len(shares.visible_gpus()),
                   memory / 2 ** 30)


@dataclasses.dataclass(frozen=True)
class Images:
    """What a folder holds.

    Attributes:
      labelled, val, test: numbers of images with masks, of the splits.
      unlabelled: number of images in images/unlabelled.
      height, width: the medians over all images, pixels.
      longest: side of any image, pixels.
    """
    labelled: int
    val: int
    test: int
    unlabelled: int
    height: int
    width: int
    longest: int


def look(found: findings.Findings) -> Images:
    """Sums up what a check found.

    Raises:
      UserError: no image of the split train has a mask, or none is in val.
    """
    count = {split: sum(image.mask is not None
                        for image in found.of_split(split))
             for split in ('train', 'val', 'test')}
    for split in ('train', 'val'):
        if not count[split]:
            raise errors.UserError(
                f'no image of images/{split} has a mask in masks/{split}: '
                'label some, or import them with launch/import_labels.py')
    sizes = [image.size for image in found.images]
    return Images(count['train'], count['val'], count['test'],
                  len(found.of_split(findings.UNLABELLED)),
                  round(statistics.median(height for _, height in sizes)),
                  round(statistics.median(width for width, _ in sizes)),
                  max(map(max, sizes)))


@dataclasses.dataclass(frozen=True)
class Choice:
    """The experiment.

    Attributes:
      encoder: its name.
      weights: of the encoder, below the data folder; '' for random ones.
      arms: as of ExperimentSpec.
      scale: factor by which images are resized for training.
      crop: side of the square crops, pixels.
      batch: images per step.
      denoise_steps, segment_steps: lengths of the stages.
      tiles: whether images are predicted by tiles.
    """
    encoder: str
    weights: str
    arms: tuple[str, ...]
    scale: float
    crop: int
    batch: int
    denoise_steps: int
    segment_steps: int
    tiles: bool


def choose(images: Images, machine: Machine, encoder: str, weights: str,
           compare: bool) -> Choice:
    """Chooses an experiment.

    Args:
      images: what there is to train on.
      machine: what trains.
      encoder: name of the encoder.
      weights: its file below the data folder, '' for none.
      compare: also fine-tune from a random decoder.

    Raises:
      UserError: the images are too small for the network.
    """
    gpu = machine.gpus > 0
    short = min(images.height, images.width)
    scale = min(1.0, (512 if gpu else 256) / short)
    crop = int(min(short * scale, 256 if gpu else 128)) // specs.STRIDE
    if not crop:
        raise errors.UserError(f'images of {images.width} x {images.height} '
                               f'pixels are too small: {specs.STRIDE} are the '
                               'least')
    batch = 16 if gpu else 8
    if machine.memory < 6:  # Of the machine: a laptop's processor trains.
        batch //= 2
    if gpu:  # Each of them gets the same number of images.
        batch += -batch % machine.gpus
    # More labels are worth more steps: 30 passes over them.
    passes = 30 * images.labelled // batch
    least, most = (2000, 20000) if gpu else (600, 3000)
    arm = 'ddep' if weights else 'dep'
    baseline = 'supervised' if weights else 'scratch'
    return Choice(
        encoder, weights, (baseline, arm) if compare else (arm,),
        round(scale, 4), crop * specs.STRIDE, batch,
        10000 if gpu else 1500, min(max(least, passes), most),
        images.longest * scale > _TILED_SIDE)


def gin_text(choice: Choice, images: Images, machine: Machine,
             command: Sequence[str]) -> str:
    """Returns the gin file of an experiment, with its reasons.

    Args:
      choice: the experiment.
      images, machine: what it was chosen for.
      command: that runs it again.
    """
    parts = [_head(images, machine, command), _data(choice, images),
             _network(choice), _training(choice), _evaluation(choice, images)]
    return '\n'.join(line for part in parts for line in (*part, ''))


def _head(images, machine, command):
    device = (f'{machine.gpus} GPU{"s" * (machine.gpus > 1)}' if machine.gpus
              else f'{machine.cores} processor cores without a GPU')
    return [
        f'# Chosen for {images.labelled} labelled images, {images.val} to '
        f'validate on and {images.unlabelled}',
        f'# without masks, typically {images.width} x {images.height}, on '
        f'{device}.',
        '# Change what you like before it runs; later, change a copy in a '
        'folder of its\n# own, for --run_dir. This runs it:',
        *(f'#   {part}' for part in command)]


def _data(choice, images):
    name = 'folder_unlabelled' if images.unlabelled else 'folder'
    lines = [f"include 'data/{name}.gin'"]
    if choice.scale < 1:
        lines += ['# Large images are made smaller for the training, '
                  'predictions have their size.',
                  f'folder/DatasetSpec.scale = {choice.scale:g}']
        if images.unlabelled:
            lines.append(f'denoise/unlabelled/DatasetSpec.scale = '
                         f'{choice.scale:g}')
    test = 'test' if images.test else 'val'
    if not images.test:
        lines.append('# There is no images/test: the numbers at the end are '
                     'of val. They are a little\n# too good once settings '
                     'were chosen by them.')
    return [*lines, f"folder/DatasetSpec.test_split = '{test}'"]


def _network(choice):
    lines = []
    if choice.weights:
        lines += ['# A network that learned ImageNet, whose decoder is '
                  'denoised while it is frozen.',
                  "include 'model/keras.gin'",
                  f"EncoderSpec.name = '{choice.encoder}'",
                  f"ExperimentSpec.encoder_weights = '{choice.weights}'"]
    else:
        lines += ['# A network of random weights, all of which is denoised '
                  'first.',
                  f"include '{_MODEL_FILES[choice.encoder]}'"]
    return lines


def _training(choice):
    arms = ', '.join(f"'{arm}'" for arm in choice.arms)
    return [
        f"ExperimentSpec.name = '{NAME}'",
        "ExperimentSpec.title = 'Your own images'",
        "# With 'supervised' or 'scratch' in front it is compared with a "
        'random decoder.',
        f'ExperimentSpec.arms = [{arms}]', '',
        '# Squares cut at random out of the images, and how many per step.',
        f'RunSpec.crop_size = ({choice.crop}, {choice.crop})',
        f'RunSpec.global_batch_size = {choice.batch}',
        'RunSpec.keep = 1', '',
        '# Denoising, which needs no labels. Longer is rarely worse.',
        f'denoise/RunSpec.steps = {choice.denoise_steps}',
        'denoise/OptimizerSpec.learning_rate = 1e-3', '',
        '# Fine-tuning on the labelled images. If the loss is not finite, or '
        'val jumps\n# about, take a third of the rate.',
        f'segment/RunSpec.steps = {choice.segment_steps}',
        f'segment/RunSpec.eval_every = {choice.segment_steps // 10}',
        f'segment/RunSpec.checkpoint_every = {choice.segment_steps // 10}',
        'segment/OptimizerSpec.learning_rate = 1e-3']


def _evaluation(choice, images):
    if not choice.tiles:
        return ['# Whole images are predicted at once.',
                'segment/EvalSpec.tile = ()']
    return [f'# Images of up to {images.longest * choice.scale:.0f} pixels a '
            'side, as they are resized, are\n# predicted by tiles that '
            'overlap.',
            'segment/EvalSpec.tile = (512, 512)',
            'segment/EvalSpec.overlap = 0.25',
            f'segment/EvalSpec.fill = {specs.MIRROR!r}']
