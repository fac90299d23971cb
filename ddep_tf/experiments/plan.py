"""An ExperimentSpec as a graph of runs. No TF: planning takes no time."""

from collections.abc import Mapping
import dataclasses
import itertools
from typing import Any

from ddep_tf import errors, files, specs
from ddep_tf.experiments import spec as spec_lib

# A run needs runs of lower levels only.
CLASSIFY, DENOISE, SWEEP, FINAL = range(4)
LEVELS = ('classify', 'denoise', 'sweep', 'final')
_PARTS = {'NoiseSpec': 'noise', 'DecoderSpec': 'decoder',
          'EncoderSpec': 'encoder', 'OptimizerSpec': 'optimizer',
          'LossSpec': 'loss', 'AugmentSpec': 'augment'}

Templates = Mapping[str, Mapping[str, specs.RunSpec]]


def stages_of(spec: spec_lib.ExperimentSpec) -> list[str]:
    """Returns the stages that an experiment runs, in order."""
    if not spec.arms:
        return [specs.CLASSIFY]
    needed = {stage for arm in spec.arms
              for stage in spec_lib.ARMS[arm].stages}
    if spec.encoder_weights:
        needed.discard(specs.CLASSIFY)
    return [stage for stage in specs.STAGES if stage in needed]


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of an experiment.

    Attributes:
      name: the name of its folder in `runs/`.
      run: RunSpec; if `sweep` is not empty, its rates are yet to be chosen.
      level: index into LEVELS.
      needs: names of the runs that must be finished first.
      variant, arm: '' if all variants or arms share the run.
      setting: label setting, an int (count) or a float (fraction); None for
        all labels, or for a run that uses none.
      sweep: names of the runs, of one or more seeds, whose best provides the
        learning rate, weight decay and encoder factor; () if they are fixed.
      reuses: the best run of the sweep at this seed is this run: it only has
        to be tested.
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

    @property
    def is_finetuning(self) -> bool:
        """Whether it trains on the labelled subset of a setting."""
        return self.level in (SWEEP, FINAL)


@dataclasses.dataclass(frozen=True)
class Cell:
    """A row of the tables. Variants that share a run have a row each."""
    variant: str
    name: str


class Plan:
    """The runs of an experiment by name, and what each starts from.

    Args:
      spec: ExperimentSpec.
      templates: {variant: {stage: RunSpec}}.
      exp_dir: folder of the experiment.
      data_dir: root folder of the data.

    Attributes:
      runs: {name: PlannedRun}, each after the runs that it needs.
      cells: list of Cell, in table order.

    Raises:
      UserError: as `axis_values`.
    """

    def __init__(self, spec: spec_lib.ExperimentSpec, templates: Templates,
                 exp_dir: str, data_dir: str):
        self.spec = spec
        self._templates = {variant: templates[variant]
                           for variant in spec.run_variants or templates}
        self._exp_dir = exp_dir
        self._data_dir = data_dir
        self.axis_values()  # Before any run: the tables need them.
        self.runs: dict[str, PlannedRun] = {}
        self.cells: list[Cell] = []
        for variant in self._templates:
            self._add_pretraining(variant)
        groups = list(itertools.product(
            spec.settings, self._templates, spec.arms))
        for setting, variant, arm in groups:
            if self._sweeps_at(setting):
                self._add_sweep(variant, arm, setting)
        # Seed by seed, so that an experiment cut short can be compared.
        for seed in spec.seeds:
            for setting, variant, arm in groups:
                if seed in self._seeds_of(setting):
                    self._add_final(variant, arm, setting, seed)

    def run_dir(self, name: str) -> str:
        """Returns the run folder of a run."""
        return str(files.path(self._exp_dir, 'runs', name))

    def find(self, name: str) -> PlannedRun:
        """Returns the run of that name. UserError if there is none."""
        if name not in self.runs:
            raise errors.UserError(f'{self.spec.name} has no run {name!r}: '
                                   '--dry_run lists them')
        return self.runs[name]

    def count(self) -> int:
        """Returns the number of runs that are trained."""
        return sum(not planned.reuses for planned in self.runs.values())

    def shard(self, index: int, count: int) -> set[str]:
        """Returns the names of the runs in shard `index`, from 1 to `count`.

        Each level is dealt out in turn, so that all shards work at once.
        """
        return {planned.name for level in range(len(LEVELS))
                for planned in self.at_level(level)[index - 1::count]}

    def at_level(self, level: int) -> list[PlannedRun]:
        """Returns the runs of a level, in order."""
        return [p for p in self.runs.values() if p.level == level]

    def finetuning(self) -> list[PlannedRun]:
        """Returns the runs that fine-tune: the sweep's, then the final."""
        return self.at_level(SWEEP) + self.at_level(FINAL)

    def axis_values(self) -> dict[str, int | float | str | None]:
        """Returns {variant: its value of the field ExperimentSpec.axis}.

        The values are None if no axis is named. They are those of the first
        stage in which the variants differ: denoise, segment, classify.

        Raises:
          UserError: there is no such field.
        """
        axis, templates = self.spec.axis, self._templates
        if not axis:
            return dict.fromkeys(templates)
        # A variant that differs in its pretraining is about the pretraining.
        order = [specs.DENOISE, specs.SEGMENT, specs.CLASSIFY]
        if axis.startswith('LossSpec.'):  # Of one stage alone.
            order.insert(0, specs.SEGMENT)
        found = [{variant: _field(stages[stage], axis)
                  for variant, stages in templates.items()}
                 for stage in order
                 if all(stage in stages for stages in templates.values())]
        return next((values for values in found
                     if len(set(values.values())) > 1), found[0])

    def chosen(self, planned: PlannedRun, best: PlannedRun) -> PlannedRun:
        """Returns `planned` with the rates of `best`, a run of its sweep."""
        if planned.reuses:
            return dataclasses.replace(planned, name=best.name, run=best.run)
        return dataclasses.replace(planned, run=dataclasses.replace(
            planned.run, optimizer=best.run.optimizer))

    def _add(self, planned, variant):
        self.runs.setdefault(planned.name, planned)
        self.cells.append(Cell(variant, planned.name))

    def _add_pretraining(self, variant):
        template = self._templates[variant].get(specs.CLASSIFY)
        if template:
            run = dataclasses.replace(template, seed=self.spec.seeds[0])
            prefix = self._prefix((specs.CLASSIFY,), variant)
            self._add(PlannedRun(prefix + 'classify', run, CLASSIFY,
                                 variant=prefix and variant), variant)
        denoising = dict.fromkeys(_denoising(arm) for arm in self.spec.arms
                                  if spec_lib.ARMS[arm].denoised)
        for seed, arm in itertools.product(self._pretraining_seeds(),
                                           denoising):
            self._add_denoising(variant, arm, seed)

    def _add_denoising(self, variant, arm, seed):
        start = spec_lib.ARMS[arm]
        encoder = self._encoder(variant) if start.supervised else ''
        run = dataclasses.replace(
            self._templates[variant][specs.DENOISE], seed=seed,
            train_encoder=start.train_encoder, init_encoder=encoder)
        prefix = self._denoising_prefix(variant, arm)
        self._add(PlannedRun(
            f'{prefix}denoise-{arm}-s{seed}', run, DENOISE,
            self._needs(encoder), prefix and variant, arm), variant)

    def _add_sweep(self, variant, arm, setting):
        prefix = self._finetuning_prefix(variant, arm)
        for seed, rates in itertools.product(self._sweep_seeds(),
                                             self._grid(variant)):
            run = self._finetuning_run(variant, arm, setting, seed, rates)
            run = dataclasses.replace(run, holdout=self.spec.holdout)
            self._add(PlannedRun(
                self._sweep_name(variant, arm, setting, seed, rates), run,
                SWEEP, self._needs(run.init_encoder), prefix and variant, arm,
                setting), variant)

    def _add_final(self, variant, arm, setting, seed):
        rates, *_ = self._grid(variant)
        run = self._finetuning_run(variant, arm, setting, seed, rates)
        sweep = ()
        if self.spec.has_grid:
            swept = setting
            if self.spec.sweep_at:
                swept = next(other for other in self.spec.settings
                             if other == self.spec.sweep_at)
            sweep = tuple(self._sweep_name(variant, arm, swept, *searched)
                          for searched in itertools.product(
                              self._sweep_seeds(), self._grid(variant)))
        prefix = self._finetuning_prefix(variant, arm)
        self._add(PlannedRun(
            f'{prefix}segment-{_suffix(arm, setting, seed)}', run, FINAL,
            self._needs(run.init_encoder) + sweep, prefix and variant, arm,
            setting, sweep, self._reuses(setting, seed)), variant)

    def _finetuning_run(self, variant, arm, setting, seed, rates):
        template = self._templates[variant][specs.SEGMENT]
        encoder, decoder = self._starts_from(variant, arm, seed)
        return dataclasses.replace(
            template, seed=seed, init_encoder=encoder, init_decoder=decoder,
            decoder_control=spec_lib.ARMS[arm].decoder_control,
            label_count=setting if isinstance(setting, int) else 0,
            label_fraction=setting if isinstance(setting, float) else 0.0,
            optimizer=dataclasses.replace(template.optimizer, **rates))

    def _starts_from(self, variant, arm, seed):
        """Returns the paths (init_encoder, init_decoder) of a fine-tuning."""
        start = spec_lib.ARMS[arm]
        if not start.denoised:
            return self._encoder(variant) if start.supervised else '', ''
        seeds = self._pretraining_seeds()
        seed = seeds[self.spec.seeds.index(seed) % len(seeds)]
        prefix = self._denoising_prefix(variant, arm)
        denoised = self.run_dir(f'{prefix}denoise-{_denoising(arm)}-s{seed}')
        return denoised, denoised if start.keeps_decoder else ''

    def _encoder(self, variant):
        """Returns the path of the encoder pretrained as a classifier."""
        if self.spec.encoder_weights:
            return str(files.path(self._data_dir,
                                  self.spec.encoder_weights))
        return self.run_dir(
            self._prefix((specs.CLASSIFY,), variant) + 'classify')

    def _needs(self, path):
        """Returns (name,) of the run that writes initial weights, or ()."""
        name = files.path(path).name
        return (name,) if name and path == self.run_dir(name) else ()

    def _denoising_prefix(self, variant, arm):
        return self._prefix(spec_lib.ARMS[arm].stages[:-1], variant)

    def _finetuning_prefix(self, variant, arm):
        return self._prefix(spec_lib.ARMS[arm].stages, variant)

    def _prefix(self, stages, variant):
        """Returns what the name of a run starts with.

        It is '' if all variants share the run, since neither its stage nor
        one before it differs between them.

        Args:
          stages: the stage of the run after those that lead to it.
          variant: the run's.
        """
        varies = any(
            len({templates.get(stage) for templates in
                 self._templates.values()}) > 1 for stage in stages)
        return f'{variant}-' if varies else ''

    def _grid(self, variant):
        """Returns the grid as dicts, {field of OptimizerSpec: value}."""
        optimizer = self._templates[variant][specs.SEGMENT].optimizer
        axes = {field: values or (getattr(optimizer, field),)
                for field, values in self._axes().items()}
        return [dict(zip(axes, values))
                for values in itertools.product(*axes.values())]

    def _axes(self):
        return {'learning_rate': self.spec.learning_rates,
                'weight_decay': self.spec.weight_decays,
                'encoder_factor': self.spec.encoder_factors}

    def _sweeps_at(self, setting):
        return self.spec.has_grid and (not self.spec.sweep_at or
                                   setting == self.spec.sweep_at)

    def _reuses(self, setting, seed):
        return (self._sweeps_at(setting) and not self.spec.holdout and
                seed in self._sweep_seeds())

    def _sweep_seeds(self):
        return self.spec.seeds[:self.spec.sweep_seeds]

    def _sweep_name(self, variant, arm, setting, seed, rates):
        prefix = self._finetuning_prefix(variant, arm)
        suffix = _suffix(arm, setting, seed)
        named = {'lr': rates['learning_rate']}
        if self.spec.weight_decays:
            named['wd'] = rates['weight_decay']
        if self.spec.encoder_factors:
            named['ef'] = rates['encoder_factor']
        return f'{prefix}sweep-{suffix}' + ''.join(
            f'-{name}{value:g}' for name, value in named.items())

    def _pretraining_seeds(self):
        return self.spec.seeds[:self.spec.pretraining_runs or None]

    def _seeds_of(self, setting):
        if not self.spec.label_runs:
            return self.spec.seeds
        runs = dict(zip(map(spec_lib.setting_name, self.spec.settings),
                        self.spec.label_runs))
        return self.spec.seeds[:runs[spec_lib.setting_name(setting)]]


def _denoising(arm):
    """Returns the arm whose denoising runs an arm starts from."""
    return spec_lib.ARMS[arm].denoising or arm


def _suffix(arm, setting, seed):
    """Returns the end of a fine-tuning run's name, such as 'ddep-n20-s0'."""
    return f'{arm}-n{spec_lib.setting_name(setting)}-s{seed}'


def _field(run: specs.RunSpec, axis: str) -> Any:
    """Returns the value of a field in a template."""
    spec_name, _, field = axis.rpartition('.')
    part = getattr(run, _PARTS[spec_name]) if spec_name in _PARTS else run
    if (spec_name not in _PARTS and spec_name != 'RunSpec') or (
            not hasattr(part, field)):
        raise errors.UserError(f'ExperimentSpec.axis is {axis!r}, which is no '
                               'field of a spec, such as NoiseSpec.stddev')
    value = getattr(part, field)
    if field == 'data':
        value = ' + '.join(spec.name for spec in value)
    return value if isinstance(value, (int, float, str)) else str(value)
