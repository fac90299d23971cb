"""An ExperimentSpec as a graph of runs. No TF: planning is quick."""

import dataclasses
import itertools
import os

from ddep_tf import errors, specs


@dataclasses.dataclass(frozen=True)
class Planned:
    """One run of an experiment.

    Attributes:
      name: of its folder in `runs/`.
      run: RunSpec.
      arm: '' for the shared encoder.
      setting: its label setting, an int (count) or a float (fraction); None
        is all labels, or a run without any.
    """
    name: str
    run: specs.RunSpec
    arm: str = ''
    setting: int | float | None = None


class Plan:
    """Names the runs of an experiment, and what each starts from.

    Args:
      spec: ExperimentSpec.
      stages: {stage: RunSpec}, the template of each stage.
      run_dir: folder of the experiment.
      data_dir: root folder of the data.
    """

    def __init__(self, spec, stages, run_dir, data_dir):
        self.spec = spec
        self._stages = stages
        self._run_dir = run_dir
        self._data_dir = data_dir

    @property
    def settings(self):
        """The label settings: counts, then fractions; [None] is all."""
        chosen = [*self.spec.label_counts, *self.spec.label_fractions]
        return chosen or [None]

    @property
    def grid(self):
        """The learning rates of the fine-tuning."""
        return self.spec.learning_rates or (
            self._stages['segment'].optimizer.learning_rate,)

    def folder(self, name):
        """Returns the run folder of a name."""
        return os.path.join(self._run_dir, 'runs', name)

    def pretraining(self):
        """Returns the runs before the fine-tuning, in order."""
        runs = []
        if 'classify' in self._stages:
            run = dataclasses.replace(self._stages['classify'],
                                      seed=self.spec.seeds[0])
            runs.append(Planned('classify', run))
        arms = [arm for arm in self.spec.arms if arm in ('ddep', 'dep')]
        return runs + [self._denoising(arm, seed)
                       for seed in self.spec.seeds for arm in arms]

    def finetuning(self, arm, setting, seed, learning_rate):
        """Returns the fine-tuning run of one cell of the plan."""
        template = self._stages['segment']
        encoder, decoder = self._starts_from(arm, seed)
        run = dataclasses.replace(
            template, seed=seed, init_encoder=encoder, init_decoder=decoder,
            label_count=setting if isinstance(setting, int) else 0,
            label_fraction=setting if isinstance(setting, float) else 0.0,
            optimizer=dataclasses.replace(
                template.optimizer, learning_rate=learning_rate))
        name = f'{_cell(arm, setting, seed)}-lr{learning_rate:g}'
        return Planned(name, run, arm, setting)

    def find(self, name):
        """Returns the run of that name.

        Raises:
          UserError: the experiment has no such run.
        """
        for planned in self._all():
            if planned.name == name:
                return planned
        raise errors.UserError(f'{self.spec.name} has no run {name!r}: '
                               '--dry_run lists them')

    def count(self):
        """Returns how many runs there are in all."""
        cells = len(self.spec.arms) * len(self.settings)
        each = len(self.grid) + len(self.spec.seeds) - 1
        return len(self.pretraining()) + cells * each

    def _all(self):
        """Yields every run there may be, at every learning rate."""
        yield from self.pretraining()
        for cell in itertools.product(self.spec.arms, self.settings,
                                      self.spec.seeds, self.grid):
            yield self.finetuning(*cell)

    def _denoising(self, arm, seed):
        supervised = arm == 'ddep' or self.spec.dep_from == 'supervised'
        run = dataclasses.replace(
            self._stages['denoise'], seed=seed, train_encoder=arm == 'dep',
            init_encoder=self._encoder() if supervised else '')
        return Planned(f'denoise-{arm}-s{seed}', run, arm)

    def _encoder(self):
        if self.spec.encoder_weights:
            return os.path.join(self._data_dir, self.spec.encoder_weights)
        return self.folder('classify')

    def _starts_from(self, arm, seed):
        if arm == 'scratch':
            return '', ''
        if arm == 'supervised':
            return self._encoder(), ''
        denoised = self.folder(f'denoise-{arm}-s{seed}')
        return denoised, denoised


def describe(spec, stages, data_dir):
    """Returns the list of an experiment's runs as text."""
    plan = Plan(spec, stages, f'runs/{spec.name}', data_dir)
    first, *others = spec.seeds
    lines = [f'{spec.name}: {plan.count()} runs']
    lines += [_line(planned) for planned in plan.pretraining()]
    for setting in plan.settings:
        for arm in spec.arms:
            lines += [_line(plan.finetuning(arm, setting, first, rate))
                      for rate in plan.grid]
            lines += [f'  {_cell(arm, setting, seed)}  at the best of these'
                      for seed in others]
    return '\n'.join(lines)


def _cell(arm, setting, seed):
    """The name of a fine-tuning run without its learning rate."""
    labels = 'all' if setting is None else f'{setting:g}'
    return f'segment-{arm}-n{labels}-s{seed}'


def _line(planned):
    run = planned.run
    return (f'  {planned.name}  {run.steps} steps of {run.global_batch_size} '
            f'x {run.crop_size[0]} x {run.crop_size[1]}')
