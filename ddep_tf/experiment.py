"""Runs a plan in one process: skips what is done, resumes what was cut off."""

import csv
import io
import json
import math
import pathlib
import signal
import subprocess

from ddep_tf import errors, plan, specs
from ddep_tf.runtime import build, folder, pictures, train

# What the exit code of a run's own process says.
_ERRORS = {2: errors.UserError, 3: errors.TrainingStopped,
           143: errors.Preempted}
_RUN_COLUMNS = ('run', 'stage', 'arm', 'labels', 'subset_sha256', 'seed',
                'learning_rate', 'chosen', 'steps', 'val', 'test', 'seconds',
                'commit')
_CURVE_COLUMNS = ('run', 'arm', 'labels', 'seed', 'learning_rate', 'chosen',
                  'step', 'val')
_CLASS_COLUMNS = ('run', 'arm', 'labels', 'seed', 'class', 'iou')


class Experiment:
    """The plan, and the rows of what is done.

    Args:
      spec: ExperimentSpec.
      stages: {stage: RunSpec}.
      operative: the operative gin config as text.
      run_dir: folder of the experiment.
      data_dir: root folder of the data.
      runner: (planned, its folder, test) -> dict of the result: does one run
        of the plan, or finds it done. `in_process` and `by_command` make one.

    Raises:
      UserError: the folder is of another experiment, or cannot be made.
    """

    def __init__(self, spec, stages, operative, run_dir, data_dir, runner):
        self.spec, self.operative = spec, operative
        self._segment, self._data_dir = stages['segment'], data_dir
        self.where = pathlib.Path(run_dir)
        self.plan = plan.Plan(spec, stages, run_dir, data_dir)
        self._runner = runner
        self.labels = pictures.label_set(stages['segment'])
        self.rows, self.curves, self.classes = [], [], []
        if len(self.plan.grid) > 1 and not stages['segment'].data[0].val_split:
            raise errors.UserError(
                'ExperimentSpec.learning_rates needs a val split to choose '
                'on: set DatasetSpec.val_split')
        self._open(stages)

    def run(self):
        """Runs the plan: pretraining, the grid at the first seed, the rest.

        Raises:
          UserError: before anything runs, where a label setting cannot be had
            or two of them are the same images; or what a run raises.
        """
        if not self._is_started():  # What goes on was checked before.
            self._check_settings()
        for planned in self.plan.pretraining():
            self._add(planned, self._do(planned), chosen=False)
        first, *others = self.spec.seeds
        rates = {}
        # All arms of a setting before the next, and one seed before the next:
        # what is cut off can still be compared.
        for setting in self.plan.settings:
            for arm in self.spec.arms:
                rates[arm, setting] = self._choose(arm, setting, first)
        for seed in others:
            for (arm, setting), rate in rates.items():
                planned = self.plan.finetuning(arm, setting, seed, rate)
                self._add(planned, self._do(planned), chosen=True)

    def _check_settings(self):
        """Hours of pretraining go before the first labels are read."""
        opened = build.open_sources(self._segment, self._data_dir)
        known = {}
        for setting in self.plan.settings:
            run = self.plan.finetuning(self.spec.arms[0], setting,
                                       self.spec.seeds[0],
                                       self.plan.grid[0]).run
            images = build.take_labels(run, opened)[0].num_examples
            other = known.setdefault(images, setting)
            if other is not setting:
                raise errors.UserError(
                    f'the label settings {other} and {setting} are the same '
                    f'{images} images: take one out of '
                    'ExperimentSpec.label_counts and label_fractions')

    def _choose(self, arm, setting, seed):
        """Fine-tunes over the grid. Returns the rate that is best on val."""
        grid = [self.plan.finetuning(arm, setting, seed, rate)
                for rate in self.plan.grid]
        if len(grid) == 1:
            self._add(grid[0], self._do(grid[0]), chosen=True)
            return self.plan.grid[0]
        done = [self._attempt(planned) for planned in grid]
        scores = [_score(result) for result in done]
        best = scores.index(max(scores))
        if scores[best] == -math.inf:
            raise errors.TrainingStopped(
                f'{arm}, {setting} labels: no learning rate of '
                f'{self.plan.grid} trained to its end')
        done[best] = self._do(grid[best])
        for i, (planned, result) in enumerate(zip(grid, done)):
            self._add(planned, result or _stopped(done[best]), i == best)
        return self.plan.grid[best]

    def _attempt(self, planned):
        """Returns the result without test, None where the loss diverged."""
        try:
            return self._do(planned, test=False)
        except errors.TrainingStopped as error:
            print(f'{planned.name}: {error}; it counts as the worst',
                  flush=True)
            return None

    def _do(self, planned, test=True):
        print(f'--- {planned.name} ({len(self.rows)} of {self.plan.count()} '
              'runs done)', flush=True)
        return self._runner(planned, self.plan.folder(planned.name), test)

    def _is_started(self):
        return any(map(folder.is_started, self.where.glob('runs/*')))

    def _open(self, stages):
        wanted = {'spec': json.loads(specs.to_json(self.spec)),
                  'stages': {k: json.loads(specs.to_json(v))
                             for k, v in stages.items()}}
        plan_file = self.where / 'plan.json'
        if self._is_started() and folder.read_json(plan_file) != wanted:
            raise errors.UserError(
                f'--run_dir {self.where} holds another experiment or another '
                'version of this one: choose another folder')
        try:
            (self.where / 'subsets').mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.UserError(f'--run_dir {self.where} cannot be made: '
                                   f'{error.strerror}') from error
        folder.write_atomic(plan_file, json.dumps(wanted, indent=2))
        folder.write_atomic(self.where / 'operative.gin', self.operative)

    def _add(self, planned, result, chosen):
        spec = planned.run
        labels = result['images'] if spec.stage == 'segment' else ''
        common = {'run': planned.name, 'arm': planned.arm, 'labels': labels,
                  'seed': spec.seed, 'chosen': int(chosen),
                  'learning_rate': spec.optimizer.learning_rate}
        self.rows.append({
            **common, 'stage': spec.stage, **{key: result[key] for key in (
                'subset_sha256', 'steps', 'val', 'test', 'seconds',
                'commit')}})
        if spec.stage == 'segment':
            self._add_details(planned, result, common, chosen)
        self._write()

    def _add_details(self, planned, result, common, chosen):
        where = pathlib.Path(self.plan.folder(planned.name))
        self.curves += [{**common, **row} for row in
                        folder.read_table(where / 'validation.csv')]
        if chosen and result['test'] is not None:
            self.classes += [
                {**common, 'class': name, 'iou': iou} for name, iou in
                zip(self.labels.class_names, result['test_details']['iou'])]
        subset = where / 'subset.json'
        if subset.exists():
            name = f'n{common["labels"]}-s{common["seed"]}.json'
            folder.write_atomic(self.where / 'subsets' / name,
                                subset.read_text())

    def _write(self):
        for name, columns, rows in (
                ('runs.csv', _RUN_COLUMNS, self.rows),
                ('curves.csv', _CURVE_COLUMNS, self.curves),
                ('per_class.csv', _CLASS_COLUMNS, self.classes)):
            folder.write_atomic(self.where / name, _csv(columns, rows))
        folder.write_atomic(self.where / 'experiment.json', json.dumps({
            'name': self.spec.name, 'title': self.spec.title,
            'arms': self.spec.arms, 'commit': folder.commit(),
            'spec': json.loads(specs.to_json(self.spec)),
            'class_names': list(self.labels.class_names),
            'palette': [list(map(int, c)) for c in self.labels.palette],
            'planned': self.plan.count(), 'done': len(self.rows)}, indent=2))


def in_process(operative, data_dir, strategy):
    """Returns a runner that trains here, so that TensorFlow starts once."""
    def do(planned, run_dir, test):
        return train.train(planned.run, operative, run_dir, data_dir,
                           strategy, test)
    return do


def by_command(command):
    """Returns a runner that gives each run a process of its own.

    Args:
      command: list of str that starts the experiment; `--only` and `--test`
        are added.
    """
    def do(planned, run_dir, test):
        done = train.finished(planned.run, run_dir, test)
        if done:
            return done
        code = _wait([*command, f'--only={planned.name}', f'--test={test}'])
        if code:
            raise _ERRORS.get(code, RuntimeError)(
                f'the run {planned.name} ended with exit code {code}')
        return folder.read_result(run_dir)
    return do


def _wait(command):
    """Runs a command, hands SIGTERM on to it, and returns its exit code."""
    with subprocess.Popen(command) as process:
        before = signal.signal(signal.SIGTERM,
                               lambda *_: process.terminate())
        try:
            return process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)


def _score(result):
    """What a grid is sorted by: val, the worst where there is none."""
    if result is None or math.isnan(result['val']):
        return -math.inf
    return result['val']


def _stopped(other):
    """The row's numbers of a run whose loss diverged, beside a sound one."""
    return {**dict.fromkeys(('steps', 'val', 'test', 'seconds', 'commit'), ''),
            'images': other['images'],
            'subset_sha256': other['subset_sha256']}


def _csv(columns, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction='ignore',
                            lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
