"""An ExperimentSpec as a graph of runs. No TF: planning is quick."""

import dataclasses
import itertools
import os

from ddep_tf import errors, specs

# Runs of a level need runs of lower levels alone.
CLASSIFY, DENOISE, SWEEP, FINAL = range(4)
LEVELS = ('classify', 'denoise', 'sweep', 'final')
_PARTS = {'NoiseSpec': 'noise', 'DecoderSpec': 'decoder',
          'EncoderSpec': 'encoder', 'OptimizerSpec': 'optimizer'}


def stages_of(spec):
    """Returns the stages that an experiment's arms run, in their order."""
    starts = [specs.ARMS[arm] for arm in spec.arms]
    encoded = not starts or any(start.supervised for start in starts)
    stages = ['classify'] if encoded and not spec.encoder_weights else []
    stages += ['denoise'] if any(start.denoised for start in starts) else []
    return stages + ['segment'] if starts else stages


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run of an experiment.

    Attributes:
      name: of its folder in `runs/`.
      run: RunSpec; of a run with a `sweep`, at rates yet to be chosen.
      level: index into LEVELS.
      needs: names of the runs that must be finished before.
      variant, arm: '' where all variants or arms share the run.
      setting: its label setting, an int (count) or a float (fraction); None
        is all labels, or a run without any.
      sweep: names of the runs whose best gives the learning rate and weight
        decay; () where they are set.
      reuses: the best of the sweep is itself this run: it is tested, and
        nothing else is trained.
    """
    name: str
    run: specs.RunSpec
    level: int
    needs: tuple[str, ...] = ()
    variant: str = ''
    arm: str = ''
    setting: int | float | None = None
    sweep: tuple[str, ...] = ()
    reuses: bool = False


@dataclasses.dataclass(frozen=True)
class Cell:
    """A place in the tables, which one run fills; a run may fill several."""
    variant: str
    name: str


class Plan:
    """Names the runs of an experiment, and what each starts from.

    Args:
      spec: ExperimentSpec.
      stages: {variant: {stage: RunSpec}}, the template of each stage.
      run_dir: folder of the experiment.
      data_dir: root folder of the data.

    Attributes:
      runs: {name: Planned}, each after what it needs.
      cells: list of Cell, in the order of the tables.
    """

    def __init__(self, spec, stages, run_dir, data_dir):
        self.spec = spec
        self._stages = {name: stages[name]
                        for name in spec.run_variants or stages}
        self._run_dir = run_dir
        self._data_dir = data_dir
        self.runs, self.cells = {}, []
        for variant in self._stages:
            self._add_pretraining(variant)
        cells = list(itertools.product(spec.settings, self._stages, spec.arms))
        for setting, variant, arm in cells:
            if self._sweeps_at(setting):
                self._add_sweep(variant, arm, setting)
        # One seed before the next: what is cut off can still be compared.
        for seed in spec.seeds:
            for setting, variant, arm in cells:
                if seed in self._seeds_of(setting):
                    self._add_final(variant, arm, setting, seed)

    def folder(self, name):
        """Returns the run folder of a name."""
        return os.path.join(self._run_dir, 'runs', name)

    def find(self, name):
        """Returns the Planned of that name. UserError where there is none."""
        if name not in self.runs:
            raise errors.UserError(f'{self.spec.name} has no run {name!r}: '
                                   '--dry_run lists them')
        return self.runs[name]

    def count(self):
        """Returns how many runs are trained."""
        return sum(not planned.reuses for planned in self.runs.values())

    def shard(self, index, count):
        """Returns the names of the runs of shard `index`, 1 to `count`.

        Each level is dealt out in turn, so that all shards work at once.
        """
        return {planned.name for level in range(len(LEVELS))
                for planned in self.level(level)[index - 1::count]}

    def level(self, level):
        """Returns the Planned of a level, in order."""
        return [p for p in self.runs.values() if p.level == level]

    def axis_values(self):
        """Returns {variant: value of the field ExperimentSpec.axis}, or None
        where no axis is named.

        Raises:
          UserError: no such field.
        """
        return {variant: _field(stages, self.spec.axis)
                for variant, stages in self._stages.items()}

    def chosen(self, planned, best):
        """Returns `planned` as it runs, once the best of its sweep is known.

        Args:
          planned: Planned with a sweep.
          best: Planned, of its sweep.
        """
        if planned.reuses:
            return dataclasses.replace(planned, name=best.name, run=best.run)
        return dataclasses.replace(planned, run=dataclasses.replace(
            planned.run, optimizer=best.run.optimizer))

    def _add(self, planned, variant):
        self.runs.setdefault(planned.name, planned)
        self.cells.append(Cell(variant, planned.name))

    def _add_pretraining(self, variant):
        stages = self._stages[variant]
        if 'classify' in stages:
            run = dataclasses.replace(stages['classify'],
                                      seed=self.spec.seeds[0])
            own = self._own('classify', variant)
            self._add(Planned(own + 'classify', run, CLASSIFY,
                              variant=own and variant), variant)
        for seed, arm in itertools.product(self._pretraining_seeds(),
                                           self.spec.arms):
            if specs.ARMS[arm].denoised:
                self._add_denoising(variant, arm, seed)

    def _add_denoising(self, variant, arm, seed):
        start = specs.ARMS[arm]
        encoder = self._encoder(variant) if start.supervised else ''
        run = dataclasses.replace(
            self._stages[variant]['denoise'], seed=seed,
            train_encoder=start.train_encoder, init_encoder=encoder)
        own = self._own('denoise', variant, arm)
        self._add(Planned(
            f'{own}denoise-{arm}-s{seed}', run, DENOISE,
            self._needs(encoder), own and variant, arm), variant)

    def _add_sweep(self, variant, arm, setting):
        for rate, decay in self._grid(variant):
            run = self._finetuning(variant, arm, setting, self.spec.seeds[0],
                                   rate, decay)
            run = dataclasses.replace(run, holdout=self.spec.holdout)
            own = self._own('segment', variant, arm)
            self._add(Planned(
                self._sweep_name(variant, arm, setting, rate, decay), run,
                SWEEP, self._needs(run.init_encoder), own and variant, arm,
                setting), variant)

    def _add_final(self, variant, arm, setting, seed):
        (rate, decay), *_ = self._grid(variant)
        run = self._finetuning(variant, arm, setting, seed, rate, decay)
        sweep = ()
        if self._sweeps():
            at = next(other for other in self.spec.settings if other == (
                self.spec.sweep_at or setting))
            sweep = tuple(self._sweep_name(variant, arm, at, *cell)
                          for cell in self._grid(variant))
        own = self._own('segment', variant, arm)
        self._add(Planned(
            f'{own}segment-{_labels(arm, setting, seed)}', run, FINAL,
            self._needs(run.init_encoder) + sweep, own and variant, arm,
            setting, sweep, self._reuses(setting, seed)), variant)

    def _finetuning(self, variant, arm, setting, seed, rate, decay):
        template = self._stages[variant]['segment']
        encoder, decoder = self._starts_from(variant, arm, seed)
        return dataclasses.replace(
            template, seed=seed, init_encoder=encoder, init_decoder=decoder,
            label_count=setting if isinstance(setting, int) else 0,
            label_fraction=setting if isinstance(setting, float) else 0.0,
            optimizer=dataclasses.replace(
                template.optimizer, learning_rate=rate, weight_decay=decay))

    def _starts_from(self, variant, arm, seed):
        start = specs.ARMS[arm]
        if not start.denoised:
            return self._encoder(variant) if start.supervised else '', ''
        seeds = self._pretraining_seeds()
        seed = seeds[self.spec.seeds.index(seed) % len(seeds)]
        own = self._own('denoise', variant, arm)
        denoised = self.folder(f'{own}denoise-{arm}-s{seed}')
        return denoised, denoised

    def _encoder(self, variant):
        if self.spec.encoder_weights:
            return os.path.join(self._data_dir, self.spec.encoder_weights)
        return self.folder(self._own('classify', variant) + 'classify')

    def _needs(self, path):
        """The run that a path of initial weights is the folder of, if any."""
        name = os.path.basename(path)
        return (name,) if name and path == self.folder(name) else ()

    def _own(self, stage, variant, arm=''):
        """What a variant's runs of a stage are named before, '' where all
        variants share them."""
        if len(self._stages) < 2 or not self._varies(stage, arm):
            return ''
        return f'{variant}-'

    def _varies(self, stage, arm):
        """Whether a stage differs between variants, or one that it needs."""
        templates = {stages.get(stage) for stages in self._stages.values()}
        before = _stage_before(stage, arm)
        return len(templates) > 1 or (
            bool(before) and self._varies(before, arm))

    def _grid(self, variant):
        optimizer = self._stages[variant]['segment'].optimizer
        return list(itertools.product(
            self.spec.learning_rates or (optimizer.learning_rate,),
            self.spec.weight_decays or (optimizer.weight_decay,)))

    def _sweeps(self):
        return max(len(self.spec.learning_rates), 1) * max(
            len(self.spec.weight_decays), 1) > 1

    def _sweeps_at(self, setting):
        return self._sweeps() and (not self.spec.sweep_at or
                                   setting == self.spec.sweep_at)

    def _reuses(self, setting, seed):
        return (self._sweeps_at(setting) and not self.spec.holdout and
                seed == self.spec.seeds[0])

    def _sweep_name(self, variant, arm, setting, rate, decay):
        own = self._own('segment', variant, arm)
        labels = _labels(arm, setting, self.spec.seeds[0])
        suffix = f'-wd{decay:g}' if self.spec.weight_decays else ''
        return f'{own}sweep-{labels}-lr{rate:g}{suffix}'

    def _pretraining_seeds(self):
        return self.spec.seeds[:self.spec.pretraining_runs or None]

    def _seeds_of(self, setting):
        if not self.spec.label_runs:
            return self.spec.seeds
        index = self.spec.settings.index(setting)
        return self.spec.seeds[:self.spec.label_runs[index]]


def _stage_before(stage, arm):
    """The stage whose weights a stage of an arm starts from, '' is none."""
    if stage == 'classify':
        return ''
    start = specs.ARMS[arm]
    if stage == 'segment' and start.denoised:
        return 'denoise'
    return 'classify' if start.supervised else ''


def _labels(arm, setting, seed):
    labels = 'all' if setting is None else f'{setting:g}'
    if isinstance(setting, float):  # 1.0 is all of them, 1 is one image.
        labels = f'{float(labels)}'
    return f'{arm}-n{labels}-s{seed}'


def _field(stages, axis):
    """The value of a field in the first stage of a variant that has it."""
    if not axis:
        return None
    cls, _, name = axis.rpartition('.')
    # What varies before the fine-tuning is what the variants are about.
    run = stages.get('denoise') or stages.get('segment') or stages['classify']
    part = getattr(run, _PARTS[cls]) if cls in _PARTS else run
    if (cls not in _PARTS and cls != 'RunSpec') or not hasattr(part, name):
        raise errors.UserError(f'ExperimentSpec.axis is {axis!r}, which is no '
                               'field of a spec, such as NoiseSpec.stddev')
    value = getattr(part, name)
    if name == 'data':
        value = ' + '.join(spec.name for spec in value)
    return value if isinstance(value, (int, float, str)) else str(value)
