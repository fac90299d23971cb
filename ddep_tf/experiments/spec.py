"""What an experiment compares: the arms, and ExperimentSpec. No TF."""

from collections.abc import Iterable
import dataclasses

from ddep_tf import errors, spec_base, specs


@dataclasses.dataclass(frozen=True)
class Arm:
    """What a fine-tuning starts from, and how a report presents it.

    Attributes:
      sentence: what is pretrained; `{encoder}` becomes 'encoder from PATH',
        or 'encoder pretrained by classification'.
      supervised: starts from an encoder that was pretrained as a classifier.
      denoised: starts from a decoder, and its encoder, that were pretrained
        by denoising.
      train_encoder: whether the denoising trained the encoder as well.
      denoising: name of the arm whose denoising runs it starts from; '' are
        its own.
      keeps_decoder: whether the fine-tuning starts from the denoised decoder.
      decoder_control: RunSpec.decoder_control of the fine-tuning.
      baselines: names of the arms it is compared with.
      color, marker, line: its look in figures. Okabe and Ito's colors; lines
        differ in dash and marker as well.
    """
    sentence: str = ''
    supervised: bool = False
    denoised: bool = False
    train_encoder: bool = False
    denoising: str = ''
    keeps_decoder: bool = True
    decoder_control: str = ''
    baselines: tuple[str, ...] = ('supervised',)
    color: str = '#56B4E9'
    marker: str = 'v'
    line: str | tuple = '-'

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages the arm goes through, each starting from the last."""
        return (*[specs.CLASSIFY] * self.supervised,
                *[specs.DENOISE] * self.denoised, specs.SEGMENT)


# From no pretraining to DDeP [A], the controls [O] before what they control. A
# report leads with the last of these that its experiment has.
ARMS = {
    'scratch': Arm(
        'nothing is pretrained.', color='#595959', marker='s', line=':'),
    'supervised': Arm(
        '{encoder}, decoder random.', supervised=True, baselines=(),
        color='#0072B2', marker='o', line='--'),
    'dep_encoder': Arm(
        'as dep, of which the encoder alone is kept: the decoder is random.',
        denoised=True, train_encoder=True, denoising='dep',
        keeps_decoder=False, baselines=('scratch',),
        color='#7F7F00', marker='<', line=(0, (3, 1))),
    'dep_shuffled': Arm(
        "as dep, with the decoder's weights shuffled within each variable.",
        denoised=True, train_encoder=True, denoising='dep',
        decoder_control='shuffled', baselines=('scratch', 'dep_encoder'),
        color='#8C564B', marker='x', line=(0, (1, 1))),
    'ddep_shuffled': Arm(
        "as ddep, with the decoder's weights shuffled within each variable.",
        supervised=True, denoised=True, denoising='ddep',
        decoder_control='shuffled',
        color='#8C564B', marker='x', line=(0, (1, 1))),
    'ddep_norms': Arm(
        'as ddep, with a random decoder whose kernels have the norms of the '
        'denoised ones.', supervised=True, denoised=True, denoising='ddep',
        decoder_control='norms',
        color='#7F7F00', marker='<', line=(0, (3, 1))),
    'dep': Arm(
        'encoder and decoder pretrained together by denoising, from random '
        'weights.', denoised=True, train_encoder=True,
        baselines=('supervised', 'scratch', 'dep_encoder', 'dep_shuffled'),
        color='#009E73', marker='D', line='-.'),
    'dep_supervised': Arm(
        '{encoder}, then encoder and decoder pretrained together by '
        'denoising.', supervised=True, denoised=True, train_encoder=True,
        color='#CC79A7', marker='P', line=(0, (5, 1, 1, 1))),
    'ddep': Arm(
        '{encoder}, then the decoder pretrained by denoising with the encoder '
        'frozen.', supervised=True, denoised=True,
        baselines=('supervised', 'scratch', 'ddep_shuffled', 'ddep_norms'),
        color='#D55E00', marker='^', line='-'),
}


def find_arm(name: str) -> Arm:
    """Returns the arm of that name; a plain one if results of another version
    name an arm that this version does not have."""
    return ARMS.get(name, Arm())


def comparisons(arms: Iterable[str]) -> list[tuple[str, str]]:
    """Returns the pairs (arm, baseline) whose differences a report gives.

    Each of `arms` is compared with those of its baselines that are among them,
    or with `scratch` if none is. The leading arm comes first.
    """
    arms = list(arms)
    leading = [name for name in ARMS if name in arms][-1:]
    return [(arm, baseline)
            for arm in sorted(arms, key=lambda name: name not in leading)
            for baseline in _baselines(arm, arms)]


def _baselines(arm, arms):
    wanted = find_arm(arm).baselines
    present = [name for name in wanted if name in arms and name != arm]
    if wanted and not present and arm != 'scratch' and 'scratch' in arms:
        return ['scratch']
    return present


def headline(arms: Iterable[str]) -> tuple[str, str] | None:
    """Returns the pair whose difference a report states in a sentence.

    It is the leading arm and its first baseline; None if that arm was not
    pretrained by denoising.
    """
    pairs = comparisons(arms)
    return pairs[0] if pairs and find_arm(pairs[0][0]).denoised else None


def setting_name(setting: int | float | None) -> str:
    """Returns a label setting as names of runs have it: '20', '0.1' or 'all'.

    '1' is one image and '1.0' all of them, which are equal as numbers.
    """
    if setting is None:
        return 'all'
    if isinstance(setting, float):
        return f'{float(f"{setting:g}")}'
    return f'{setting}'


def label_text(images: str, setting: int | float | str | None,
               form: str = '{} ({})') -> str:
    """Returns how a label setting is shown: '99 (3.33 %)', or '10' for a count.

    Args:
      images: the number of labelled images as text, '' if not known.
      setting: a count, a fraction, or None or '' for all labels; as a number
        or as in runs.csv.
      form: joins the images and the percentage.
    """
    if isinstance(setting, str):
        setting = float(setting) if set('.e') & set(setting) else None
    if not isinstance(setting, float):
        return images
    percentage = f'{100 * setting:.3g} %'
    return form.format(images, percentage) if images else percentage


@dataclasses.dataclass(frozen=True)
class ExperimentSpec(spec_base.Spec):
    """A grid of runs: variants x arms x label settings x seeds.

    Attributes:
      name: of the experiment, and of its folder in results/.
      title: one line for the report.
      arms: names from ARMS, in table order; () trains the encoder alone.
      variants: gin scopes inside a stage's scope, `denoise/NAME/...`, in table
        order; () is a single variant without a name.
      run_variants: the `variants` to run; () runs all.
      axis: the field in which the variants differ, such as
        `NoiseSpec.stddev`; if its values are numbers, a figure shows the
        scores over them.
      label_counts: label settings as numbers of labelled images.
      label_fractions: label settings as fractions of the training split.
      label_runs: number of runs of each setting, counts first; they take the
        first of `seeds`. () runs every seed.
      seeds: each determines a labelled subset, the initial weights and the
        order of the examples.
      pretraining_runs: number of denoising runs, shared by the seeds in turn;
        0 runs one per seed.
      learning_rates, weight_decays, encoder_factors: the fine-tuning grid,
        searched for each variant, arm and setting; () takes the optimizer's
        value.
      sweep_seeds: the grid is searched at so many of the first `seeds`; the
        best mean over them is chosen.
      sweep_at: the only setting at which the grid is searched; 0 searches it
        at every setting.
      holdout: fraction of the labelled training images that the runs of the
        grid are compared on, and do not train on; 0 compares on the val
        split.
      encoder_weights: .npz or run folder of a pretrained encoder, below
        `--data_dir`; '' trains one in the classify stage.
      learning_outcomes: whether table.md and the README of its results say
        how val mIoU compares along the fine-tuning.
    """
    name: str = ''
    title: str = ''
    arms: tuple[str, ...] = ('supervised', 'ddep')
    variants: tuple[str, ...] = ()
    run_variants: tuple[str, ...] = ()
    axis: str = ''
    label_counts: tuple[int, ...] = ()
    label_fractions: tuple[float, ...] = ()
    label_runs: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)
    pretraining_runs: int = 0
    learning_rates: tuple[float, ...] = ()
    weight_decays: tuple[float, ...] = ()
    encoder_factors: tuple[float, ...] = ()
    sweep_seeds: int = 1
    sweep_at: float = 0.0
    holdout: float = 0.0
    encoder_weights: str = ''
    learning_outcomes: bool = False

    @property
    def settings(self) -> tuple[int | float | None, ...]:
        """Label settings: counts, then fractions; None is all labels."""
        return (*self.label_counts, *self.label_fractions) or (None,)

    @property
    def has_grid(self) -> bool:
        """Whether there is more than one point to choose from."""
        return any(len(values) > 1 for values in (
            self.learning_rates, self.weight_decays, self.encoder_factors))

    def __post_init__(self):
        super().__post_init__()
        if not self.name:
            raise errors.UserError('ExperimentSpec.name is empty: choose a '
                                   'file of gin/experiments with --gin_file')
        self._check_names()
        self._check_values()
        self._check_sweep()

    def _check_names(self):
        for arm in self.arms:
            spec_base.require(arm, ARMS, 'ExperimentSpec.arms')
        for variant in self.variants:
            if not variant.isidentifier():
                raise errors.UserError(
                    'ExperimentSpec.variants must be names of letters, digits '
                    f'and _, got {variant!r}')
        for variant in self.run_variants:
            spec_base.require(
                variant, self.variants, 'ExperimentSpec.run_variants')
        if not self.seeds:
            raise errors.UserError('ExperimentSpec.seeds is empty')
        if not self.arms and self.encoder_weights:
            raise errors.UserError('ExperimentSpec has neither arms nor an '
                                   'encoder to train: nothing to run')

    def _check_values(self):
        for name in ('arms', 'variants', 'seeds', 'label_counts',
                     'label_fractions', 'learning_rates', 'weight_decays',
                     'encoder_factors'):
            values = getattr(self, name)
            # Names of runs have six digits of them.
            named = {f'{value:g}' if isinstance(value, float) else value
                     for value in values}
            if len(named) < len(values):
                raise errors.UserError(
                    f'ExperimentSpec.{name} has a value twice, or two that '
                    f'differ after six digits alone: {values}')
        self.require_non_negative('seeds', 'weight_decays',
                                  'encoder_factors', 'pretraining_runs')
        self.require_positive('label_counts', 'learning_rates', 'label_runs',
                              'sweep_seeds')
        for fraction in self.label_fractions:
            if not 0 < fraction <= 1:
                raise errors.UserError('ExperimentSpec.label_fractions must '
                                       f'lie in (0, 1], got {fraction}')

    def _check_sweep(self):
        if self.label_runs and (
                len(self.label_runs) != len(self.settings) or
                max(self.label_runs) > len(self.seeds)):
            raise errors.UserError(
                'ExperimentSpec.label_runs must give one number of runs for '
                f'each of the {len(self.settings)} label settings, at most '
                f'the number of seeds ({len(self.seeds)}), got '
                f'{self.label_runs}')
        if not 0 <= self.holdout < 1:
            raise errors.UserError('ExperimentSpec.holdout must lie in [0, 1),'
                                   f' got {self.holdout}')
        if not self.has_grid:
            return  # A part of an experiment, with the rates it chose.
        if self.sweep_at and self.sweep_at not in self.settings:
            raise errors.UserError(
                f'ExperimentSpec.sweep_at must be one of the label settings, '
                f'got {self.sweep_at:g}')
        if self.settings.count(self.sweep_at) > 1:
            raise errors.UserError(
                'ExperimentSpec.sweep_at=1 is one image and all of them: leave '
                'one of the two out of label_counts and label_fractions')
        if self.sweep_seeds > len(self.seeds):
            raise errors.UserError(
                f'ExperimentSpec.sweep_seeds is {self.sweep_seeds}, but there '
                f'are {len(self.seeds)} seeds')
