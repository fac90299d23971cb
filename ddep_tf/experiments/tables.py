"""The tables of an experiment, from the results in its run folders. No TF."""

import csv
import io
import json
import math
import pathlib

from ddep_tf import files, spec_base
from ddep_tf.experiments import plan as plans
from ddep_tf.runtime import run_folder

RUN_COLUMNS = (
    'run', 'stage', 'variant', 'arm', 'width', 'setting', 'labels',
    'subset_sha256', 'seed', 'role', 'learning_rate', 'weight_decay',
    'chosen', 'steps', 'val', 'test', 'single_scale', 'pixel_accuracy',
    'seconds', 'commit')
CURVE_COLUMNS = ('run', 'variant', 'arm', 'labels', 'seed', 'learning_rate',
                 'chosen', 'step', 'val')
CLASS_COLUMNS = ('run', 'variant', 'arm', 'labels', 'seed', 'class', 'iou')
_ROLES = {plans.CLASSIFY: 'pretraining', plans.DENOISE: 'pretraining',
          plans.SWEEP: 'sweep', plans.FINAL: 'final'}
FAILED = 'failed.json'


class Ledger:
    """What is done of a plan, read off its run folders.

    Several machines may write the same tables: each writes all there is.

    Args:
      plan: plan.Plan.
    """

    def __init__(self, plan):
        self.plan = plan
        self._results = {}
        # Which final run takes its rates from a run of a sweep: the first.
        self._takers = {}
        for final in plan.level(plans.FINAL):
            for name in final.sweep:
                self._takers.setdefault(name, final)

    def result(self, name):
        """Returns the result of a run as a dict, None if unfinished."""
        if name not in self._results:
            found = run_folder.read_result(self.plan.folder(name))
            if found is None:
                return None
            self._results[name] = found
        return self._results[name]

    def forget(self, name):
        """Reads that run's result anew when it is next asked for."""
        self._results.pop(name, None)

    def failure(self, name):
        """Returns {'reason', 'stopped'} of a run that failed, or None."""
        path = pathlib.Path(self.plan.folder(name)) / FAILED
        return files.read_json(path) if path.exists() else None

    def is_stopped(self, name):
        """Whether a run failed by its loss: again it would be the same."""
        failure = self.failure(name)
        return bool(failure) and failure['stopped']

    def note_failure(self, name, reason, stopped):
        """Records that a run failed; `stopped`: by a loss not finite."""
        path = pathlib.Path(self.plan.folder(name))
        path.mkdir(parents=True, exist_ok=True)
        files.write_text(path / FAILED, json.dumps(
            {'reason': ' '.join(str(reason).split()), 'stopped': stopped}))

    def clear_failure(self, name):
        """Removes the record of a failure, as the run is tried again."""
        (pathlib.Path(self.plan.folder(name)) / FAILED).unlink(
            missing_ok=True)

    def best(self, planned):
        """Returns the best Planned of a run's sweep on its validation.

        None where a run of the sweep is neither done nor stopped by itself;
        those count as the worst, and where all are, None as well.
        """
        scores = {}
        for name in planned.sweep:
            result = self.result(name)
            if result is None and not self.is_stopped(name):
                return None
            scores[name] = _score(result)
        name = max(scores, key=scores.get)
        return None if scores[name] == -math.inf else self.plan.find(name)

    def is_settled(self, name):
        """Whether a run is finished, or one of a sweep that counts as the
        worst since its loss was not finite."""
        planned = self.plan.find(name)
        return self.is_done(planned) or (
            planned.level == plans.SWEEP and self.is_stopped(name))

    def as_run(self, planned):
        """Returns a Planned at its chosen rates, None if not chosen yet."""
        if not planned.sweep:
            return planned
        best = self.best(planned)
        return best and self.plan.chosen(planned, best)

    def is_done(self, planned):
        """Whether a run is finished, and tested where it has to be."""
        actual = self.as_run(planned)
        result = actual and self.result(actual.name)
        if not result:
            return False
        return not (planned.reuses and planned.run.data[0].test_split
                    and result['test'] is None)

    def tables(self, class_names):
        """Returns {file name: (columns, rows)}."""
        runs, curves, classes = [], [], []
        for cell in self.plan.cells:
            planned = self.plan.find(cell.name)
            if planned.reuses:  # It stands in the row of its sweep.
                continue
            row, result = self._row(planned, cell)
            if row is None:
                continue
            runs.append(row)
            if planned.run.stage == 'segment':
                curves += self._curves(row)
                classes += _classes(row, result, class_names)
        return {'runs.csv': (RUN_COLUMNS, runs),
                'curves.csv': (CURVE_COLUMNS, curves),
                'per_class.csv': (CLASS_COLUMNS, classes)}

    def _row(self, planned, cell):
        actual = self.as_run(planned)
        result = actual and self.result(actual.name)
        stopped = actual and not result and planned.level == plans.SWEEP and (
            self.failure(planned.name))
        if not result and not stopped:
            return None, None
        run = actual.run
        result = result or self._of_others(planned)
        details = result.get('test_details') or {}
        segment = run.stage == 'segment'
        return {
            'run': planned.name, 'stage': run.stage, 'variant': cell.variant,
            'arm': planned.arm, 'seed': run.seed,
            'width': run.decoder.width_multiplier,
            'setting': '' if planned.setting is None else planned.setting,
            'labels': result['images'] if segment else '',
            'role': _ROLES[planned.level],
            'learning_rate': run.optimizer.learning_rate,
            'weight_decay': run.optimizer.weight_decay,
            'chosen': int(self._is_chosen(planned)),
            'single_scale': details.get('single_scale', {}).get('mean_iou'),
            'pixel_accuracy': details.get('pixel_accuracy'),
            **{key: result.get(key) for key in (
                'subset_sha256', 'steps', 'val', 'test', 'seconds',
                'commit')}}, result

    def _of_others(self, planned):
        """The subset of a run that stopped, from others of its cell."""
        for other in self.plan.level(plans.SWEEP):
            if (other.setting, other.run.seed) == (planned.setting,
                                                   planned.run.seed):
                result = self.result(other.name)
                if result:
                    return {key: result[key]
                            for key in ('images', 'subset_sha256')}
        return {'images': '', 'subset_sha256': ''}

    def _is_chosen(self, planned):
        if planned.level == plans.FINAL:
            return True
        if planned.level != plans.SWEEP:
            return False
        taker = self._takers.get(planned.name)
        best = taker and self.best(taker)
        return bool(best) and best.name == planned.name

    def _curves(self, row):
        where = pathlib.Path(self.plan.folder(row['run']))
        return [{**row, **point}
                for point in files.read_csv(where / 'validation.csv')]

    def subsets(self):
        """Yields (file name, text) of the labelled subsets of what is done."""
        for planned in self.plan.runs.values():
            if planned.level < plans.SWEEP or not self.result(planned.name):
                continue
            path = pathlib.Path(self.plan.folder(planned.name), 'subset.json')
            if path.exists():
                labels = self.result(planned.name)['images']
                yield (f'n{labels}-s{planned.run.seed}.json',
                       path.read_text(encoding='utf-8'))


def write(ledger, where, labels):
    """Writes the tables and `experiment.json` into an experiment's folder.

    Args:
      ledger: Ledger.
      where: pathlib.Path.
      labels: LabelSet of the classes, None without any.
    """
    names = labels.class_names if labels else ()
    for name, (columns, rows) in ledger.tables(names).items():
        files.write_text(where / name, _csv(columns, rows))
    for name, text in ledger.subsets():
        if not (where / 'subsets' / name).exists():
            files.write_text(where / 'subsets' / name, text)
    files.write_text(where / 'experiment.json',
                        json.dumps(_facts(ledger, labels), indent=2))


def _facts(ledger, labels):
    plan = ledger.plan
    trained = [p for p in plan.runs.values() if not p.reuses]
    failed = {p.name: ledger.failure(p.name) for p in trained
              if not ledger.is_done(p)}
    values = plan.axis_values()
    return {
        'name': plan.spec.name, 'title': plan.spec.title,
        'arms': plan.spec.arms, 'commit': run_folder.commit(),
        'versions': run_folder.versions(),
        'spec': json.loads(spec_base.to_json(plan.spec)),
        'axis': plan.spec.axis,
        'variants': [{'name': name, 'value': value}
                     for name, value in values.items()],
        'class_names': list(labels.class_names) if labels else [],
        'palette': [list(map(int, c)) for c in labels.palette]
                   if labels else [],
        'planned': plan.count(),
        'done': sum(map(ledger.is_done, trained)),
        'failed': {name: failure['reason']
                   for name, failure in failed.items() if failure}}


def _classes(row, result, class_names):
    details = result.get('test_details')
    if not row['chosen'] or not details:
        return []
    return [{**row, 'class': name, 'iou': iou}
            for name, iou in zip(class_names, details['iou'])]


def _score(result):
    """What a grid is sorted by: val, the worst where there is none."""
    if result is None or result['val'] is None or math.isnan(result['val']):
        return -math.inf
    return result['val']


def _csv(columns, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction='ignore',
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
