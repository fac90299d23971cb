"""Writes the tables of an experiment from the results of its runs. No TF.

Several machines may write the same files: each writes all there is.
"""

from collections.abc import Iterator
import json
import pathlib
from typing import Any

from ddep_tf import files, spec_base
from ddep_tf.data import labels as labels_lib
from ddep_tf.experiments import ledger as ledger_lib
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.experiments import records
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.runtime import run_folder

_ROLES = {plan_lib.CLASSIFY: records.PRETRAINING,
          plan_lib.DENOISE: records.PRETRAINING,
          plan_lib.SWEEP: records.SWEEP, plan_lib.FINAL: records.FINAL}


def write(ledger: ledger_lib.Ledger, exp_dir: pathlib.Path,
          label_set: labels_lib.LabelSet | None, done: set[str]) -> None:
    """Writes runs.csv, curves.csv, per_class.csv, subsets/, experiment.json.

    Args:
      ledger: Ledger.
      exp_dir: folder of the experiment.
      label_set: LabelSet of the classes, None without any.
      done: as of `ledger.done`.
    """
    names = label_set.class_names if label_set else ()
    for name, (cls, rows) in _tables(ledger, names).items():
        files.write_text(exp_dir / name,
                         files.csv_text(records.columns(cls), rows))
    for name, text in _subsets(ledger):
        if not (exp_dir / 'subsets' / name).exists():
            files.write_text(exp_dir / 'subsets' / name, text)
    files.write_json(exp_dir / 'experiment.json',
                     _facts(ledger, label_set, done))


def _tables(ledger, class_names):
    """Returns {file name: (class of its rows, rows as dicts)}."""
    runs, curves, classes = [], [], []
    takers = _takers(ledger.plan)
    for cell in ledger.plan.cells:
        planned = ledger.plan.find(cell.name)
        if planned.reuses:  # The row of its sweep has its numbers.
            continue
        result = _result(ledger, planned)
        if not result:
            continue
        row = {**_setting(ledger, planned, result), 'variant': cell.variant,
               'chosen': int(_is_chosen(ledger, planned, takers)),
               **records.measured(result)}
        runs.append(row)
        if planned.is_finetuning:
            curves += _curve(ledger, row)
            classes += _class_rows(row, result, class_names)
    return {'runs.csv': (records.RunRow, runs),
            'curves.csv': (records.CurveRow, curves),
            'per_class.csv': (records.ClassRow, classes)}


def _result(ledger, planned):
    """Returns the result of a run; None leaves the run out of the tables.

    A run of a sweep that failed has the subset of its setting, and no scores.
    """
    result = ledger.chosen_result(planned)
    if not result and planned.level == plan_lib.SWEEP and (
            ledger.failure(planned.name)):
        return _subset_of_setting(ledger, planned)
    return result


def _subset_of_setting(ledger, planned):
    """Returns the part of a result that all runs of a subset agree on."""
    def subset(run):
        return spec_lib.setting_name(run.setting), run.run.seed

    for other in ledger.plan.at_level(plan_lib.SWEEP):
        result = ledger.result(other.name)
        if result and subset(other) == subset(planned):
            return {key: result[key] for key in ('images', 'subset_sha256')}
    return None


def _setting(ledger, planned, result):
    """Returns the columns that the plan gives."""
    run = ledger.as_run(planned).run
    return {
        'run': planned.name, 'stage': run.stage, 'arm': planned.arm,
        'width': run.decoder.width_multiplier, 'seed': run.seed,
        'setting': '' if planned.setting is None else planned.setting,
        'labels': result['images'] if planned.is_finetuning else '',
        'role': _ROLES[planned.level],
        'learning_rate': run.optimizer.learning_rate,
        'weight_decay': run.optimizer.weight_decay,
        'encoder_factor': run.optimizer.encoder_factor}


def _takers(plan):
    """Returns {name of a sweep's run: the first run that takes its rates}."""
    takers: dict[str, plan_lib.PlannedRun] = {}
    for final in plan.at_level(plan_lib.FINAL):
        for name in final.sweep:
            takers.setdefault(name, final)
    return takers


def _is_chosen(ledger, planned, takers):
    if planned.level == plan_lib.FINAL:
        return True
    if planned.name not in takers:
        return False
    best = ledger.best(takers[planned.name])
    return best is not None and best.run.optimizer == planned.run.optimizer


def _curve(ledger, row):
    path = files.path(ledger.plan.run_dir(row['run']), 'validation.csv')
    return [{**row, **point} for point in files.read_csv(path)]


def _class_rows(row, result, class_names):
    details = result.get('test_details')
    if not row['chosen'] or not details:
        return []
    return [{**row, 'class': name, 'iou': iou}
            for name, iou in zip(class_names, details['iou'])]


def _subsets(ledger) -> Iterator[tuple[str, str]]:
    """Yields (file name, text) of the labelled subsets of finished runs."""
    for planned in ledger.plan.runs.values():
        result = planned.is_finetuning and ledger.result(planned.name)
        path = files.path(ledger.plan.run_dir(planned.name), 'subset.json')
        if result and path.exists():
            yield (f'n{result["images"]}-s{planned.run.seed}.json',
                   path.read_text(encoding='utf-8'))


def _facts(ledger, label_set, done) -> dict[str, Any]:
    """Returns the content of experiment.json."""
    plan = ledger.plan
    trained = [p for p in plan.runs.values() if not p.reuses]
    failed = {p.name: ledger.failure(p.name) for p in trained
              if p.name not in done}
    return {
        'name': plan.spec.name, 'title': plan.spec.title,
        'arms': plan.spec.arms, 'commit': run_folder.commit(),
        'versions': run_folder.versions(),
        'spec': json.loads(spec_base.to_json(plan.spec)),
        'axis': plan.spec.axis,
        'variants': [{'name': name, 'value': value}
                     for name, value in plan.axis_values().items()],
        'class_names': list(label_set.class_names) if label_set else [],
        'palette': [list(map(int, color)) for color in label_set.palette]
                   if label_set else [],
        'planned': plan.count(),
        'done': sum(p.name in done for p in trained),
        'failed': {name: failure['reason']
                   for name, failure in failed.items() if failure}}
