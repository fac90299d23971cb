"""What an experiment would run and cost, as text. Nothing is trained."""

from collections.abc import Iterable, Sequence

from ddep_tf.data import subsets
from ddep_tf.data.prepare import official_sets
from ddep_tf.experiments import cost
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.experiments import spec as spec_lib

_HEAD = ('run', 'labels', 'steps', 'images', 'crop', 'PFLOPs', 'disk (GB)',
         'device hours')


def experiment(spec: spec_lib.ExperimentSpec, templates: plan_lib.Templates,
               data_dir: str, chip: str, utilisation: float) -> str:
    """Returns the list of an experiment's runs as text.

    Args:
      spec: ExperimentSpec.
      templates: {variant: {stage: RunSpec}}.
      data_dir: root folder of the data; nothing in it is read.
      chip: one of cost.CHIPS.
      utilisation: fraction of the chip's peak that is reached, in (0, 1].

    Raises:
      UserError: the chip is unknown, or the utilisation out of range.
    """
    plan = plan_lib.Plan(spec, templates, f'runs/{spec.name}', data_dir)
    rows: list[Sequence[str]] = [_HEAD]
    totals = [0.0, 0.0, 0.0]
    for planned in plan.runs.values():
        numbers = _numbers(planned, chip, utilisation)
        totals = [total + number for total, number in zip(totals, numbers)]
        rows.append(_row(planned, numbers))
    rows.append(('all', '', '', '', '', *map(_number, totals)))
    levels = ', '.join(f'{len(plan.at_level(level))} {name}'
                       for level, name in enumerate(plan_lib.LEVELS)
                       if plan.at_level(level))
    return '\n'.join([f'{spec.name}: {plan.count()} runs ({levels})',
                      *_aligned(rows), *_notes(plan, chip, utilisation)])


def _numbers(planned, chip, utilisation):
    """Returns (PFLOPs, GB, device hours) of a run."""
    if planned.reuses:  # Trained as a run of the sweep.
        return 0.0, 0.0, 0.0
    flops = cost.count(planned.run).run_flops
    return (flops / 1e15, cost.disk(planned.run) / 1e9,
            cost.device_hours(flops, chip, utilisation))


def _row(planned, numbers):
    run = planned.run
    labels = spec_lib.label_text(_labelled_images(planned), planned.setting)
    if planned.reuses:
        return (planned.name, labels, 'the best of its sweep, tested',
                *[''] * 5)
    return (planned.name, labels, f'{run.steps:,}',
            f'{run.steps * run.global_batch_size:,}',
            f'{run.crop_size[0]} x {run.crop_size[1]}',
            *map(_number, numbers))


def _labelled_images(planned: plan_lib.PlannedRun) -> str:
    """Returns the number of labelled images, '' if it is not known."""
    if not isinstance(planned.setting, float):
        return '' if planned.setting is None else f'{planned.setting:,}'
    data = planned.run.data[0]
    guide = official_sets.GUIDES.get(data.name)
    counts = guide.counts.get(data.train_split) if guide else None
    if not counts:
        return ''
    total = min(data.limit or counts[0], counts[0])
    return f'{subsets.subset_size(planned.setting, total):,}'


def _number(value: float) -> str:
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns the rows as lines, the first column aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    # A remark in place of numbers may run over the columns after it.
    widths[2] = max(len(row[2]) for row in rows if row[3] or row is rows[0])
    return ['  ' + '  '.join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows]


def _notes(plan, chip, utilisation) -> Iterable[str]:
    yield ('labels: of the official sets. images: seen in training. PFLOPs: '
           '1e15 operations of the training, a multiply-add being 2; '
           'evaluation is not counted. '
           f'Device hours: of one {chip} at {100 * utilisation:g} % of its '
           'peak. Disk: of the run folder at its end.')
    if any(planned.sweep for planned in plan.runs.values()):
        yield ('Final runs take the best learning rate and weight decay of '
               'their sweep.')
