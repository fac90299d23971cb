"""What a run is, as frozen dataclasses. No TensorFlow.

Tags in brackets are the kinds of source of a constant: [S] stated in the
reproduction's seed document, [A] in the paper's abstracts, [R] agreeing in
independent public write-ups and code, [W] in write-ups only, [M] remembered
and not verified, [O] our own choice.
"""

from collections.abc import Sequence
import dataclasses
import numbers
import re

from ddep_tf import errors, spec_base

CLASSIFY, DENOISE, SEGMENT = STAGES = ('classify', 'denoise', 'segment')
SOURCES = ('tfds', 'tfrecord', 'folder', 'shapes', 'packaged')
DECODER_CONTROLS = ('', 'shuffled', 'norms')
BALANCED = 'balanced'
PRECISIONS = (FLOAT32, BFLOAT16, FLOAT16) = (
    'float32', 'mixed_bfloat16', 'mixed_float16')
STRATEGIES = ('auto', 'tpu', 'mirrored', 'multi_worker', 'one_device')
IGNORE_LABEL = 255
STRIDE = 16  # The network's coarsest stride: inputs are multiples of it.
FILLS = GRAY, MIRROR = 'gray', 'mirror'


def check_size(size: Sequence[int], name: str) -> tuple[int, int]:
    """Returns `size`, called `name`, as (height, width).

    Raises:
      UserError: it is not two positive multiples of STRIDE.
    """
    try:
        sides = tuple(size)
    except TypeError:
        sides = ()
    if len(sides) != 2 or not all(isinstance(side, numbers.Integral)
                                  for side in sides):
        raise errors.UserError(f'{name} must be (height, width) in whole '
                               f'pixels, got {size!r}')
    height, width = map(int, sides)
    if min(height, width) <= 0 or height % STRIDE or width % STRIDE:
        raise errors.UserError(
            f'{name} must be positive multiples of {STRIDE}, '
            f'got {height} x {width}')
    return height, width


@dataclasses.dataclass(frozen=True)
class ClassSpec(spec_base.Spec):
    """A class of a data set.

    Attributes:
      id: in the mask files, 0 to 254.
      name: shown in tables.
      color: of pictures and legends, '#rrggbb', in small letters.
    """
    id: int
    name: str
    color: str

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, 'color', self.color.lower())
        if not 0 <= self.id < IGNORE_LABEL:
            raise errors.UserError('ClassSpec.id must lie in 0 to '
                                   f'{IGNORE_LABEL - 1}, got {self.id}')
        if not self.name.strip() or not self.name.isprintable():
            raise errors.UserError('ClassSpec.name must be a name of one '
                                   f'line, got {self.name!r}')
        if not re.fullmatch('#[0-9a-f]{6}', self.color):
            raise errors.UserError("ClassSpec.color must be '#rrggbb', got "
                                   f'{self.color!r}')


@dataclasses.dataclass(frozen=True)
class DatasetSpec(spec_base.Spec):
    """Where examples come from, and how they are resized at first.

    Attributes:
      name: shown in tables.
      source: one of SOURCES.
      path: TFDS builder (with version), or a folder below `--data_dir`
        ('' is `--data_dir` itself); of 'packaged', one of those shipped in
        `ddep_tf/data/packaged/`.
      label_set: id map in `data/labels.py`; '' keeps ids as they are.
      num_classes: of the masks, or of the image labels; 0 where no labels are
        used, or where a folder's classes.json names them.
      classes: those that a folder's classes.json names; see
        `data/class_files.py`, which fills them in.
      train_split, val_split, test_split: names of the splits; '' is none.
      image_dir, label_dir: folder layout below `path`, with `{split}`. A
        folder without masks has an empty label_dir.
      split_file: text file below `path`, with `{split}`, that lists the
        split's ids, one per line, where a folder holds several splits; ''
        takes all images.
      image_suffix, label_suffix: endings of the file names; the rest of the
        name is the id. An empty image_suffix takes any image.
      scale: factor by which every image is resized first [O].
      short_side: pixels to which its short side is resized first; 0 is off.
      random_scale: range of the random resizing before the crop, a factor;
        (1, 1) is off.
      round_images: round resized images to whole brightness values, 0 to 255.
        They are then sent to the device as uint8, a quarter of the bytes, as
        images are that are only cropped and moved [O].
      readers: files that are read side by side, at most, where the set is
        TFRecord files of known lengths; a batch takes as much from each, so
        that fewer are read where some would have far fewer examples. 1 reads
        all files one after the other. Of several sets the largest
        number counts, for all. The order of the examples depends on it [O].
      limit: use only the first so many examples of each split; 0 is all.
      label_key, image_key, id_key: features of a TFDS or TFRecord set.
    """
    name: str = ''
    source: str = 'folder'
    path: str = ''
    label_set: str = ''
    num_classes: int = 0
    classes: tuple[ClassSpec, ...] = ()
    train_split: str = 'train'
    val_split: str = ''
    test_split: str = ''
    image_dir: str = '{split}'
    label_dir: str = ''
    split_file: str = ''
    image_suffix: str = ''
    label_suffix: str = '.png'
    scale: float = 1.0
    short_side: int = 0
    random_scale: tuple[float, float] = (1.0, 1.0)
    round_images: bool = False
    readers: int = 1
    limit: int = 0
    image_key: str = 'image'
    label_key: str = 'label'
    id_key: str = 'file_name'

    def __post_init__(self):
        super().__post_init__()
        self.require('source', *SOURCES)
        self.require_positive('scale', 'readers')
        self.require_non_negative('short_side', 'limit')
        low, high = self.random_scale
        if not 0 < low <= high:
            raise errors.UserError('DatasetSpec.random_scale must be '
                                   f'0 < low <= high, got {self.random_scale}')

    @property
    def resizes(self) -> bool:
        """Whether images are resized."""
        return (self.scale != 1.0 or self.short_side > 0
                or self.random_scale != (1.0, 1.0))


@dataclasses.dataclass(frozen=True)
class EncoderSpec(spec_base.Spec):
    """The encoder. Its weights are named by RunSpec.init_encoder.

    Attributes:
      name: of the encoder, as `models.registry` finds it. An unknown name is
        refused when a network is built.
      position_grid: (rows, columns) of the position embedding; () takes that
        of the loaded file, or of the crop if none is loaded.
      dropout: rate inside the transformer, in [0, 1) [O].
      representation_size: units of the tanh layer between class token and
        head in the stage classify; 0 for none. The published ImageNet-21k
        files have 768 [R].
    """
    name: str = 'r50_vit_b16'
    position_grid: tuple[int, ...] = ()
    dropout: float = 0.0
    representation_size: int = 0

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.dropout < 1:
            raise errors.UserError('EncoderSpec.dropout must lie in [0, 1), '
                                   f'got {self.dropout}')
        self.require_non_negative('representation_size')


@dataclasses.dataclass(frozen=True)
class DecoderSpec(spec_base.Spec):
    """The decoder of TransUNet [R], its norm and widths ours.

    Attributes:
      width_multiplier: multiplies every channel count; 1, 2 or 3 in the
        paper [S].
      entry_channels: of the first 3x3 convolution. 512 [R].
      block_channels: of the four x2 blocks. (256, 128, 64, 16) [R].
      norm: 'group' [O] or 'batch' (as TransUNet [R]).
      group_size: channels per group of 'group' [O].
      align_corners: upsample with aligned corners (as TransUNet [R]) instead
        of half-pixel centers [O].
      image_skip: give the last block, which has no skip in TransUNet, the
        image itself as its skip [O].
    """
    width_multiplier: int = 1
    entry_channels: int = 512
    block_channels: tuple[int, ...] = (256, 128, 64, 16)
    norm: str = 'group'
    group_size: int = 16
    align_corners: bool = False
    image_skip: bool = False

    def __post_init__(self):
        super().__post_init__()
        self.require_positive('width_multiplier', 'entry_channels',
                              'block_channels', 'group_size')
        self.require('norm', 'group', 'batch')
        if len(self.block_channels) != 4:
            raise errors.UserError('DecoderSpec.block_channels must name four '
                                   f'blocks, got {self.block_channels}')
        for channels in (self.entry_channels, *self.block_channels):
            if self.norm == 'group' and (
                    channels * self.width_multiplier % self.group_size):
                raise errors.UserError(
                    f'DecoderSpec: {channels} channels x width '
                    f'{self.width_multiplier} do not divide into groups of '
                    f'{self.group_size}')


@dataclasses.dataclass(frozen=True)
class NoiseSpec(spec_base.Spec):
    """The corruption of the denoising stage.

    Attributes:
      stddev: noise magnitude s, in units of the image's [-1, 1]. 0.22 [R].
      kind: 'scaled', (x + s*e) / sqrt(1 + s^2), or 'simple', x + s*e [R].
      target: 'noise' [R] or 'image' [W].
      level: 'fixed' at stddev; or drawn for each example: 'range', s uniform
        in stddev_range [W]; 'uniform' [W] or 'cosine' [M], g = 1 / (1 + s^2).
        The network is not conditioned on it.
      stddev_range: least and greatest s of 'range' [W].
    """
    stddev: float = 0.22
    kind: str = 'scaled'
    target: str = 'noise'
    level: str = 'fixed'
    stddev_range: tuple[float, float] = (0.2, 0.3)

    def __post_init__(self):
        super().__post_init__()
        self.require('kind', 'scaled', 'simple')
        self.require('target', 'noise', 'image')
        self.require('level', 'fixed', 'range', 'uniform', 'cosine')
        if not 0 <= self.stddev < float('inf'):
            raise errors.UserError('NoiseSpec.stddev must be finite and at '
                                   f'least 0, got {self.stddev}')
        low, high = self.stddev_range
        if not 0 <= low <= high < float('inf'):
            raise errors.UserError('NoiseSpec.stddev_range must be 0 <= low '
                                   f'<= high, got {self.stddev_range}')


@dataclasses.dataclass(frozen=True)
class LossSpec(spec_base.Spec):
    """The loss of the stage segment: plain cross-entropy [S].

    What can be added is for data of one's own [O]; `objectives/losses.py`
    defines it.

    Attributes:
      class_weights: of pixels, by their class: '' weighs all alike;
        'balanced' weighs a class by the inverse of the pixels that it has in
        the images trained on; a tuple gives numbers, one per class.
      label_smoothing: probability that is spread evenly over all classes,
        [0, 1).
      focal_gamma: exponent of the focal loss; 0 is off.
      dice_weight: factor of the soft Dice loss that is added; 0 is off.
    """
    class_weights: str | tuple[float, ...] = ''
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    dice_weight: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if isinstance(self.class_weights, str):
            self.require('class_weights', '', BALANCED)
        else:
            self.require_non_negative('class_weights')
            if not 0 < sum(self.class_weights) < float('inf'):
                raise errors.UserError(
                    'LossSpec.class_weights must be finite, and not all 0, '
                    f'got {self.class_weights}')
        self.require_non_negative('focal_gamma', 'dice_weight')
        if not 0 <= self.label_smoothing < 1:
            raise errors.UserError('LossSpec.label_smoothing must lie in '
                                   f'[0, 1), got {self.label_smoothing}')


@dataclasses.dataclass(frozen=True)
class AugmentSpec(spec_base.Spec):
    """How training images are varied, beside RunSpec.flip and
    DatasetSpec.random_scale [O]. All of it is off unless asked for.

    Attributes:
      flip_vertical: random upside-down flips.
      rotate: random turns by 90, 180 and 270 degrees; for square crops.
      brightness: most that is added to or taken from all channels, a fraction
        of the full range, [0, 1].
      contrast: distances from the mean of a channel are multiplied by a
        factor from 1 - contrast to 1 + contrast, [0, 1].
      saturation: is multiplied by a factor likewise, [0, 1].
      hue: most by which it is shifted, in turns of the color wheel,
        [0, 0.5].
    """
    flip_vertical: bool = False
    rotate: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        for name, most in (('brightness', 1), ('contrast', 1),
                           ('saturation', 1), ('hue', 0.5)):
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise errors.UserError(f'AugmentSpec.{name} must lie in [0, '
                                       f'{most}], got {value}')


@dataclasses.dataclass(frozen=True)
class OptimizerSpec(spec_base.Spec):
    """Adam with cosine decay [S].

    Attributes:
      learning_rate: at the end of the warm-up.
      encoder_factor: ratio of the encoder's learning rate to the rest's [O].
      warmup_steps: in which the rate rises linearly from 0 [O].
      schedule: 'cosine' to 0 at the last step [S], or 'constant'.
      weight_decay: on kernels only [O]; 0 is off.
      weight_decay_form: 'coupled', L2 added to the gradient [O], or
        'decoupled', lr * wd * w subtracted from the weight.
      beta_1, beta_2, epsilon: Adam's [O]; [0, 1), [0, 1), above 0.
    """
    learning_rate: float = 1e-4
    encoder_factor: float = 1.0
    warmup_steps: int = 0
    schedule: str = 'cosine'
    weight_decay: float = 0.0
    weight_decay_form: str = 'coupled'
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self):
        super().__post_init__()
        self.require_positive('learning_rate', 'epsilon')
        self.require_non_negative('encoder_factor', 'warmup_steps',
                                  'weight_decay')
        for name in ('beta_1', 'beta_2'):
            if not 0 <= getattr(self, name) < 1:
                raise errors.UserError(f'OptimizerSpec.{name} must lie in '
                                       f'[0, 1), got {getattr(self, name)}')
        self.require('schedule', 'cosine', 'constant')
        self.require('weight_decay_form', 'coupled', 'decoupled')


@dataclasses.dataclass(frozen=True)
class EvalSpec(spec_base.Spec):
    """How images are evaluated and predicted.

    Attributes:
      batch_size: images of the same size that a replica predicts at once.
      tile: (height, width) of the tiles that cover a large image; () takes
        the whole image.
      overlap: least fraction of a tile that neighbors share, [0, 1).
      fill: what a tile that is larger than the image holds beyond it: 'gray',
        or 'mirror', the image mirrored at its edges, which changes less what
        the network makes of the rest. The up to 15 pixels that make a side a
        multiple of STRIDE are gray in either case.
      flip: average each view with its mirror image.
      scales: average over these resizings of the image.
      samples: number of predictions that are saved as pictures.
      extremes: number of the images with the lowest, and of those with the
        highest mean IoU of their own, that are saved as pictures.
      single_scale: measure at scale 1.0 without flips as well, which costs
        nothing where that is one of the views.
    """
    batch_size: int = 8
    tile: tuple[int, ...] = ()
    overlap: float = 0.0
    fill: str = GRAY
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    samples: int = 4
    extremes: int = 2
    single_scale: bool = False

    def __post_init__(self):
        super().__post_init__()
        self.require_positive('batch_size')
        self.require_non_negative('samples', 'extremes')
        self.require('fill', *FILLS)
        if self.tile:
            check_size(self.tile, 'EvalSpec.tile')
        if not 0 <= self.overlap < 1:
            raise errors.UserError(
                f'EvalSpec.overlap must lie in [0, 1), got {self.overlap}')
        if not self.scales or min(self.scales) <= 0:
            raise errors.UserError('EvalSpec.scales must be above 0, got '
                                   f'{self.scales}')


@dataclasses.dataclass(frozen=True)
class RunSpec(spec_base.Spec):
    """One run of one stage.

    Attributes:
      stage: one of STAGES.
      data: the sets to train on, concatenated; the first one is evaluated.
      steps: length of the training, optimizer steps.
      length: factor by which `steps` is multiplied when the spec is created,
        after which it is 1: experiments on the length vary it.
      global_batch_size: images per step, over all replicas.
      crop_size: (height, width), multiples of 16.
      label_fraction, label_count: how many labelled images of the training
        split are used. At most one of the two is given; 0 is not given, and
        without either all are used.
      subset_seed: chooses them; -1 takes `seed`.
      holdout: fraction of the labelled images that serves for validation, in
        place of the val split, and not for training; [0, 1), 0 is none.
      init_encoder, init_decoder: a run folder or .npz; '' starts from random
        weights.
      decoder_control: what is kept of the initial decoder, to find out what
        matters in it, one of DECODER_CONTROLS: '' keeps all; 'shuffled' the
        entries of each variable, in random order; 'norms' the norms of the
        kernels, which are random otherwise [O].
      train_encoder: in the denoising stage, False is DDeP, True is DeP [A].
      flip: random left-right flips [S].
      eval_every, checkpoint_every, log_every: steps; 0 is at the end only.
      keep: how many of the last checkpoints stay, beside the best.
      precision: one of PRECISIONS, in which the network computes: 'float32';
        'mixed_bfloat16', for TPUs and GPUs from Ampere on; 'mixed_float16',
        for GPUs from Volta on, with loss scaling. Norms, kernels that are
        standardized, softmax, variables and loss stay float32 [O].
      remat: keep of each residual unit, transformer block and decoder block
        only what goes into it, and compute the rest again in the backward
        pass: less memory, for about a third more operations.
      accumulate: in how many parts, one after the other, each replica takes
        the gradients of its images: less memory, for the same step.
      deterministic: on a GPU, let no result vary from run to run. CPUs and
        TPUs compute alike each time anyway.
      jit_compile: compile the train step with XLA.
      eager: run operation by operation. No graph is traced, so that a short
        run starts at once and a long one is slow.
    """
    stage: str
    data: tuple[DatasetSpec, ...]
    encoder: EncoderSpec = EncoderSpec()
    decoder: DecoderSpec = DecoderSpec()
    noise: NoiseSpec = NoiseSpec()
    loss: LossSpec = LossSpec()
    augment: AugmentSpec = AugmentSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    evaluation: EvalSpec = EvalSpec()
    steps: int = 1000
    length: float = 1.0
    global_batch_size: int = 8
    crop_size: tuple[int, int] = (224, 224)
    label_fraction: float = 0.0
    label_count: int = 0
    subset_seed: int = -1
    holdout: float = 0.0
    seed: int = 0
    init_encoder: str = ''
    init_decoder: str = ''
    decoder_control: str = ''
    train_encoder: bool = False
    flip: bool = True
    eval_every: int = 0
    checkpoint_every: int = 500
    log_every: int = 10
    keep: int = 2
    precision: str = FLOAT32
    remat: bool = False
    accumulate: int = 1
    deterministic: bool = True
    jit_compile: bool = False
    eager: bool = False

    def __post_init__(self):
        super().__post_init__()
        self.require('stage', *STAGES)
        self.require('decoder_control', *DECODER_CONTROLS)
        self.require('precision', *PRECISIONS)
        if not self.data:
            raise errors.UserError('RunSpec.data names no data set: add a '
                                   'file of gin/data with --gin_file')
        self.require_positive('steps', 'length', 'global_batch_size',
                              'log_every', 'keep', 'accumulate')
        self.require_non_negative('label_count', 'eval_every',
                                  'checkpoint_every', 'seed')
        if self.seed >= 2 ** 32:
            raise errors.UserError('RunSpec.seed must be below 2 ** 32, as '
                                   f"NumPy's seeds are, got {self.seed}")
        object.__setattr__(self, 'steps',
                           max(1, round(self.steps * self.length)))
        object.__setattr__(self, 'length', 1.0)
        height, width = check_size(self.crop_size, 'RunSpec.crop_size')
        if self.augment.rotate and height != width:
            raise errors.UserError('AugmentSpec.rotate needs square crops, '
                                   f'got RunSpec.crop_size {self.crop_size}')
        self._check_loss()
        self._check_parts()
        if self.label_fraction and self.label_count:
            raise errors.UserError('RunSpec.label_fraction and label_count '
                                   'exclude each other: set one of them to 0')
        if not 0 <= self.label_fraction <= 1:
            raise errors.UserError('RunSpec.label_fraction must lie in '
                                   f'(0, 1], got {self.label_fraction}')
        if not 0 <= self.holdout < 1:
            raise errors.UserError('RunSpec.holdout must lie in [0, 1), got '
                                   f'{self.holdout}')

    @property
    def image_dtype(self) -> str:
        """Of the images in a batch: 'uint8', or 'float32' in [-1, 1] where
        they were resized, or their light was varied, and not rounded."""
        light = self.augment
        varied = (light.brightness or light.contrast or light.saturation
                  or light.hue)
        exact = all(data.round_images or not data.resizes
                    for data in self.data)
        return 'uint8' if exact and not varied else 'float32'

    def _check_parts(self):
        if self.accumulate > 1 and self.decoder.norm == 'batch':
            raise errors.UserError(
                "RunSpec.accumulate needs DecoderSpec.norm = 'group': batch "
                'normalization would see parts of the batch')
        if self.remat and (self.decoder.norm == 'batch'
                           or self.encoder.dropout):
            raise errors.UserError(
                "RunSpec.remat needs DecoderSpec.norm = 'group' and "
                'EncoderSpec.dropout = 0: what is computed twice must not '
                'draw or count twice')

    def _check_loss(self):
        if self.stage != SEGMENT and self.loss != LossSpec():
            raise errors.UserError(
                f'LossSpec is for the stage {SEGMENT}, and this run is of '
                f'{self.stage}: bind {SEGMENT}/LossSpec instead')
        weights, classes = self.loss.class_weights, self.data[0].num_classes
        if not isinstance(weights, str) and len(weights) != classes > 0:
            raise errors.UserError(
                f'LossSpec.class_weights has {len(weights)} numbers, and the '
                f'data {classes} classes: give one number per class')
