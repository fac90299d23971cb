"""What a run is, as frozen dataclasses without TensorFlow.

Tags in brackets are the kinds of source of a constant: [S] stated in the
reproduction's seed document, [A] in the paper's abstracts, [R] agreeing in
independent public write-ups and code, [W] in write-ups only, [M] remembered
and not verified, [O] our own choice.
"""

import dataclasses
import numbers

from ddep_tf import errors, spec_base

CLASSIFY, DENOISE, SEGMENT = STAGES = ('classify', 'denoise', 'segment')
SOURCES = ('tfds', 'tfrecord', 'folder', 'shapes', 'packaged')
ENCODERS = ('r50_vit_b16', 'tiny', 'efficientnet_lite0')
IGNORE_LABEL = 255
STRIDE = 16  # The network's coarsest stride: inputs are multiples of it.


def check_size(size, name):
    """Returns `size` as two ints. UserError unless multiples of STRIDE."""
    try:
        height, width = size
    except (TypeError, ValueError):
        height = width = None
    if not all(isinstance(side, numbers.Integral) for side in (height, width)):
        raise errors.UserError(f'{name} must be (height, width) in whole '
                               f'pixels, got {size!r}')
    height, width = int(height), int(width)
    if min(height, width) <= 0 or height % STRIDE or width % STRIDE:
        raise errors.UserError(
            f'{name} must be positive multiples of {STRIDE}, '
            f'got {height} x {width}')
    return height, width


@dataclasses.dataclass(frozen=True)
class DatasetSpec(spec_base.Spec):
    """Where examples come from and how large they enter the pipeline.

    Attributes:
      name: shown in tables.
      source: one of SOURCES.
      path: TFDS builder (with version), or a folder below `--data_dir`
        ('' is `--data_dir` itself); of 'packaged', one of those shipped in
        `ddep_tf/data/packaged/`.
      label_set: id map in `data/labels.py`; '' keeps ids as they are.
      num_classes: classes of the masks, or of the image labels. Unlabelled
        sets may leave 0.
      train_split, val_split, test_split: names of the splits; '' is none.
      image_dir, label_dir: folder layout below `path`, with `{split}`. An
        empty label_dir is an unlabelled folder.
      split_file: text file below `path`, with `{split}`, of the split's ids,
        one a line, where a folder holds several splits; '' takes all.
      image_suffix, label_suffix: file endings that, cut off, leave the id;
        '' takes any image ending.
      scale: every image is first resized by this factor [O].
      short_side: or its short side is first resized to this, pixels; 0 is off.
      random_scale: range of the random factor before the crop; (1, 1) is off.
      limit: use the first so many examples of each split; 0 is all.
      label_key, image_key, id_key: features of a TFDS or TFRecord set.
    """
    name: str = ''
    source: str = 'folder'
    path: str = ''
    label_set: str = ''
    num_classes: int = 0
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
    limit: int = 0
    image_key: str = 'image'
    label_key: str = 'label'
    id_key: str = 'file_name'

    def __post_init__(self):
        super().__post_init__()
        spec_base.require(self.source, SOURCES, 'DatasetSpec.source')
        spec_base.positive(self.scale, 'DatasetSpec.scale')
        spec_base.positive(
            self.short_side, 'DatasetSpec.short_side', zero=True)
        spec_base.positive(self.limit, 'DatasetSpec.limit', zero=True)
        low, high = self.random_scale
        if not 0 < low <= high:
            raise errors.UserError('DatasetSpec.random_scale must be '
                                   f'0 < low <= high, got {self.random_scale}')


@dataclasses.dataclass(frozen=True)
class EncoderSpec(spec_base.Spec):
    """The encoder. Its weights come by RunSpec.init_encoder.

    Attributes:
      name: one of ENCODERS.
      position_grid: (rows, columns) of the position embedding; () takes that
        of the loaded file, or of the crop where nothing is loaded.
      dropout: rate inside the transformer, [0, 1) [O].
      representation_size: of the stage classify: units of the tanh layer
        between class token and head; 0 has none. The published ImageNet-21k
        files have 768 [R].
    """
    name: str = 'r50_vit_b16'
    position_grid: tuple[int, ...] = ()
    dropout: float = 0.0
    representation_size: int = 0

    def __post_init__(self):
        super().__post_init__()
        spec_base.require(self.name, ENCODERS, 'EncoderSpec.name')
        if not 0 <= self.dropout < 1:
            raise errors.UserError('EncoderSpec.dropout must lie in [0, 1), '
                                   f'got {self.dropout}')
        spec_base.positive(self.representation_size,
                           'EncoderSpec.representation_size', zero=True)
        if self.representation_size and self.name == 'efficientnet_lite0':
            raise errors.UserError(
                f'EncoderSpec.representation_size: {self.name} has its own '
                'head: set it to 0')


@dataclasses.dataclass(frozen=True)
class DecoderSpec(spec_base.Spec):
    """The decoder of TransUNet [R], its norm and widths ours.

    Attributes:
      width_multiplier: 1, 2 or 3 in the paper [S]; times every channel count.
      entry_channels: of the first 3x3 convolution. 512 [R].
      block_channels: of the four x2 blocks. (256, 128, 64, 16) [R].
      norm: 'group' [O] or 'batch' (as TransUNet [R]).
      group_size: channels a group of 'group' [O].
      align_corners: upsample with corners aligned (as TransUNet [R]) in place
        of half-pixel centres [O].
    """
    width_multiplier: int = 1
    entry_channels: int = 512
    block_channels: tuple[int, ...] = (256, 128, 64, 16)
    norm: str = 'group'
    group_size: int = 16
    align_corners: bool = False

    def __post_init__(self):
        super().__post_init__()
        spec_base.positive(
            self.width_multiplier, 'DecoderSpec.width_multiplier')
        spec_base.require(self.norm, ('group', 'batch'), 'DecoderSpec.norm')
        if len(self.block_channels) != 4:
            raise errors.UserError('DecoderSpec.block_channels must name four '
                                   f'blocks, got {self.block_channels}')
        for channels in (self.entry_channels, *self.block_channels):
            spec_base.positive(channels, 'DecoderSpec channels')
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
      level: 'fixed' at stddev; 'uniform' [W] or 'cosine' [M], one g an
        example, g = 1 / (1 + s^2), the network not told.
    """
    stddev: float = 0.22
    kind: str = 'scaled'
    target: str = 'noise'
    level: str = 'fixed'

    def __post_init__(self):
        super().__post_init__()
        spec_base.require(self.kind, ('scaled', 'simple'), 'NoiseSpec.kind')
        spec_base.require(self.target, ('noise', 'image'), 'NoiseSpec.target')
        spec_base.require(
            self.level, ('fixed', 'uniform', 'cosine'), 'NoiseSpec.level')
        if not 0 <= self.stddev < float('inf'):
            raise errors.UserError('NoiseSpec.stddev must be finite and at '
                                   f'least 0, got {self.stddev}')


@dataclasses.dataclass(frozen=True)
class OptimizerSpec(spec_base.Spec):
    """Adam with cosine decay [S].

    Attributes:
      learning_rate: at the end of the warm-up.
      encoder_factor: the encoder's learning rate is this times the rest's [O].
      warmup_steps: linear from 0 [O].
      schedule: 'cosine' to 0 at the last step [S], or 'constant'.
      weight_decay: on kernels only [O]; 0 is off.
      weight_decay_form: 'coupled', L2 added to the gradient [O], or
        'decoupled', lr * wd * w taken off the weight.
      beta_1, beta_2, epsilon: Adam's [O].
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
        spec_base.positive(self.learning_rate, 'OptimizerSpec.learning_rate')
        spec_base.positive(
            self.encoder_factor, 'OptimizerSpec.encoder_factor', True)
        spec_base.positive(
            self.warmup_steps, 'OptimizerSpec.warmup_steps', True)
        spec_base.positive(
            self.weight_decay, 'OptimizerSpec.weight_decay', True)
        spec_base.require(
            self.schedule, ('cosine', 'constant'), 'OptimizerSpec.schedule')
        spec_base.require(self.weight_decay_form, ('coupled', 'decoupled'),
                          'OptimizerSpec.weight_decay_form')


@dataclasses.dataclass(frozen=True)
class EvalSpec(spec_base.Spec):
    """How images are evaluated and predicted.

    Attributes:
      batch_size: images of the same size that go through at once.
      tile: (height, width) of the tiles that cover a large image; () is the
        whole image.
      overlap: fraction of a tile that neighbours share at least, [0, 1).
      flip: average each view with its mirror image.
      scales: average over these resizings of the image.
      samples: predictions kept as pictures.
      single_scale: also measures at scale 1.0 without flips.
    """
    batch_size: int = 8
    tile: tuple[int, ...] = ()
    overlap: float = 0.0
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    samples: int = 4
    single_scale: bool = False

    def __post_init__(self):
        super().__post_init__()
        spec_base.positive(self.batch_size, 'EvalSpec.batch_size')
        spec_base.positive(self.samples, 'EvalSpec.samples', zero=True)
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
      data: the sets trained on, one after the other; the first one is
        evaluated.
      steps: length of the training, optimiser steps.
      length: `steps` is multiplied by it when the spec is made, and it is 1
        from then on: what an experiment on the length varies.
      global_batch_size: images a step, over all replicas.
      crop_size: (height, width), multiples of 16.
      label_fraction, label_count: labelled images of the training split that
        are used, one of the two; 0 is not given; neither is all.
      subset_seed: chooses them; -1 takes `seed`.
      holdout: fraction of the labelled images that is not trained on but
        validated on, in place of the val split; [0, 1), 0 is none.
      init_encoder, init_decoder: a run folder or .npz; '' starts afresh.
      train_encoder: of the denoising stage: False is DDeP, True is DeP [A].
      flip: random left-right flips [S].
      eval_every, checkpoint_every, log_every: steps; 0 is at the end only.
      keep: how many of the last checkpoints stay, beside the best.
      jit_compile: compile the train step with XLA.
      eager: run operation by operation: no graph is traced first, so that a
        short run starts at once, and a long one is slow.
    """
    stage: str
    data: tuple[DatasetSpec, ...]
    encoder: EncoderSpec = EncoderSpec()
    decoder: DecoderSpec = DecoderSpec()
    noise: NoiseSpec = NoiseSpec()
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
    train_encoder: bool = False
    flip: bool = True
    eval_every: int = 0
    checkpoint_every: int = 500
    log_every: int = 10
    keep: int = 2
    jit_compile: bool = False
    eager: bool = False

    def __post_init__(self):
        super().__post_init__()
        spec_base.require(self.stage, STAGES, 'RunSpec.stage')
        if not self.data:
            raise errors.UserError('RunSpec.data names no data set: add a '
                                   'file of gin/data with --gin_file')
        for name in ('steps', 'length'):
            spec_base.positive(getattr(self, name), f'RunSpec.{name}')
        object.__setattr__(self, 'steps',
                           max(1, round(self.steps * self.length)))
        object.__setattr__(self, 'length', 1.0)
        spec_base.positive(self.global_batch_size, 'RunSpec.global_batch_size')
        check_size(self.crop_size, 'RunSpec.crop_size')
        if self.label_fraction and self.label_count:
            raise errors.UserError('RunSpec.label_fraction and label_count '
                                   'exclude each other: set one of them to 0')
        if not 0 <= self.label_fraction <= 1:
            raise errors.UserError('RunSpec.label_fraction must lie in '
                                   f'(0, 1], got {self.label_fraction}')
        if not 0 <= self.holdout < 1:
            raise errors.UserError('RunSpec.holdout must lie in [0, 1), got '
                                   f'{self.holdout}')
        for name in ('label_count', 'eval_every', 'checkpoint_every', 'seed'):
            spec_base.positive(
                getattr(self, name), f'RunSpec.{name}', zero=True)
        for name in ('log_every', 'keep'):
            spec_base.positive(getattr(self, name), f'RunSpec.{name}')
