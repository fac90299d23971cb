"""What an experiment will run and cost, as text, before it is started."""

from ddep_tf.data import subsets
from ddep_tf.data.prepare import official_sets
from ddep_tf.experiments import cost, plan

_HEAD = ('run', 'labels', 'steps', 'images', 'crop', 'PFLOPs', 'disk (GB)',
         'device hours')


def experiment(spec, stages, data_dir, chip, utilisation):
    """Returns the list of an experiment's runs as text.

    Args:
      spec: ExperimentSpec.
      stages: {variant: {stage: RunSpec}}.
      data_dir: root folder of the data; nothing there is read.
      chip: of cost.CHIPS.
      utilisation: part of the chip's peak that is reached, (0, 1].

    Raises:
      UserError: an unknown chip, or no such utilisation.
    """
    graph = plan.Plan(spec, stages, f'runs/{spec.name}', data_dir)
    rows, sums = [_HEAD], [0.0, 0.0, 0.0]
    for planned in graph.runs.values():
        numbers = _numbers(planned, chip, utilisation)
        sums = [total + number for total, number in zip(sums, numbers)]
        rows.append(_row(planned, numbers))
    rows.append(('all', '', '', '', '', *map(_number, sums)))
    levels = ', '.join(f'{len(graph.level(level))} {name}'
                       for level, name in enumerate(plan.LEVELS)
                       if graph.level(level))
    return '\n'.join([f'{spec.name}: {graph.count()} runs ({levels})',
                      *_aligned(rows), *_notes(graph, chip, utilisation)])


def _numbers(planned, chip, utilisation):
    """Returns (PFLOPs, GB, device hours) of a run."""
    if planned.reuses:  # Trained as a run of the sweep.
        return 0.0, 0.0, 0.0
    run = planned.run
    flops = cost.count(run).run_flops
    return (flops / 1e15, cost.disk(run) / 1e9,
            cost.device_hours(flops, chip, utilisation))


def _row(planned, numbers):
    run = planned.run
    labels = _labels(planned)
    if planned.reuses:
        return (planned.name, labels, 'the best of its sweep, tested',
                *[''] * 5)
    return (planned.name, labels, f'{run.steps:,}',
            f'{run.steps * run.global_batch_size:,}',
            f'{run.crop_size[0]} x {run.crop_size[1]}',
            *map(_number, numbers))


def _labels(planned):
    """'99 (3.33 %)' where the official number of images is known."""
    if planned.setting is None:
        return ''
    if isinstance(planned.setting, int):
        return f'{planned.setting:,}'
    data = planned.run.data[0]
    guide = official_sets.GUIDES.get(data.name)
    counts = guide.counts.get(data.train_split) if guide else None
    percent = f'{100 * planned.setting:.3g} %'
    if not counts:
        return percent
    total = min(data.limit or counts[0], counts[0])
    return f'{subsets.subset_size(planned.setting, total):,} ({percent})'


def _number(value):
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    # What is told in place of numbers may run over their columns.
    widths[2] = max(len(row[2]) for row in rows if row[3] or row is rows[0])
    return ['  ' + '  '.join(
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows]


def _notes(graph, chip, utilisation):
    lines = ['labels: of the official sets. images: seen in training. '
             'PFLOPs: 1e15 operations of the '
             'training, a multiply-add being 2; evaluation is not counted. '
             f'Device hours: of one {chip} at {100 * utilisation:g} % of its '
             'peak. Disk: of the run folder at its end.']
    if any(planned.sweep for planned in graph.runs.values()):
        lines.append('Final runs take the best learning rate and weight decay '
                     'of their sweep.')
    return lines
