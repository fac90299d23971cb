"""What is done of a plan, and what failed. No TF."""

from collections.abc import Iterable
import math
from typing import Any

from ddep_tf import errors, files, specs
from ddep_tf.experiments import plan as plan_lib
from ddep_tf.runtime import run_folder

FAILED = 'failed.json'


class Ledger:
    """Reads the state of a plan from its run folders, and nowhere else.

    So any number of processes and machines can share a plan.

    Args:
      plan: plan.Plan.
    """

    def __init__(self, plan: plan_lib.Plan):
        self.plan = plan
        self._results: dict[str, dict[str, Any]] = {}
        self._rates: dict[str, specs.OptimizerSpec] = {}  # Of finished runs.

    def result(self, name: str) -> dict[str, Any] | None:
        """Returns the result of a run as a dict, None if unfinished."""
        if name not in self._results:
            found = run_folder.read_result(self.plan.run_dir(name))
            if found is None:
                return None
            self._results[name] = found
        return self._results[name]

    def forget(self, name: str) -> None:
        """Makes the next `result` of a run read its files again."""
        self._results.pop(name, None)
        self._rates.pop(name, None)

    def refresh(self) -> None:
        """Forgets results without a test, which another machine may have made
        since."""
        for name, result in list(self._results.items()):
            if result['test'] is None:
                self.forget(name)

    def failure(self, name: str) -> dict[str, Any] | None:
        """Returns {'reason', 'stopped'} of a failed run, else None."""
        path = self._failed_path(name)
        if not path.exists():
            return None
        try:
            return files.read_json(path)
        except errors.UserError:
            if path.exists():
                raise
            return None  # Another machine has just begun to try it again.

    def is_stopped(self, name: str) -> bool:
        """Whether a run's loss became non-finite, as it would again."""
        failure = self.failure(name)
        return failure is not None and failure['stopped']

    def note_failure(self, name: str, reason: object, stopped: bool) -> None:
        """Records that a run failed; `stopped`: its loss was not finite."""
        path = self._failed_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, {'reason': ' '.join(str(reason).split()),
                                'stopped': stopped})

    def clear_failure(self, name: str) -> None:
        """Removes the record of a failure before another attempt."""
        self._failed_path(name).unlink(missing_ok=True)

    def best(self, planned: plan_lib.PlannedRun) -> (
            plan_lib.PlannedRun | None):
        """Returns the run of a sweep whose rates have the best mean validation
        value: that of the seed of `planned`, or of the first seed.

        A run whose loss became non-finite counts as the worst. None if a run
        is neither finished nor stopped, or if no rates finished at all seeds.

        Args:
          planned: a run that has a sweep.
        """
        runs: dict[specs.OptimizerSpec, list[plan_lib.PlannedRun]] = {}
        scores: dict[specs.OptimizerSpec, float] = {}
        for name in planned.sweep:
            result = self.result(name)
            if result is None and not self.is_stopped(name):
                return None
            run = self.plan.find(name)
            rates = run.run.optimizer
            runs.setdefault(rates, []).append(run)
            scores[rates] = scores.get(rates, 0.0) + _score(result)
        best = max(scores, key=scores.__getitem__)
        if scores[best] == -math.inf:
            return None
        return next((run for run in runs[best]
                     if run.run.seed == planned.run.seed), runs[best][0])

    def is_settled(self, name: str) -> bool:
        """Whether the runs that need this one need not wait for it.

        It is finished, or it is a run of a sweep that stopped.
        """
        planned = self.plan.find(name)
        return self.is_done(planned) or (
            planned.level == plan_lib.SWEEP and self.is_stopped(name))

    def missing(self, planned: plan_lib.PlannedRun) -> list[str]:
        """Returns the names of the runs that a run has to wait for."""
        return [name for name in planned.needs if not self.is_settled(name)]

    def obstacles(self, names: Iterable[str]) -> list[dict[str, Any]]:
        """Returns the failures, as of `failure`, for which runs are not done:
        their own, or those of what they need."""
        found = []
        for name in names:
            failure = self.failure(name)
            found += [failure] if failure else self.obstacles(
                self.missing(self.plan.find(name)))
        return found

    def as_run(self, planned: plan_lib.PlannedRun) -> (
            plan_lib.PlannedRun | None):
        """Returns a run with its chosen rates, None if none are chosen."""
        if not planned.sweep:
            return planned
        best = self.best(planned)
        return best and self.plan.chosen(planned, best)

    def chosen_result(self, planned: plan_lib.PlannedRun) -> (
            dict[str, Any] | None):
        """Returns the result of a run with its chosen rates, None if it is
        unfinished, or was trained before its sweep chose these."""
        actual = self.as_run(planned)
        result = actual and self.result(actual.name)
        if not actual or not result:
            return None
        is_other = planned.sweep and (
            self._trained_rates(actual.name) != actual.run.optimizer)
        return None if is_other else result

    def is_done(self, planned: plan_lib.PlannedRun) -> bool:
        """Whether a run is finished, and tested if it has to be."""
        result = self.chosen_result(planned)
        if not result:
            return False
        return not (planned.reuses and planned.run.data[0].test_split
                    and result['test'] is None)

    def done(self) -> set[str]:
        """Returns the names of the runs that are done, by a look at each that
        was not before."""
        return {name for name, planned in self.plan.runs.items()
                if self.is_done(planned)}

    def is_to_do(self, planned: plan_lib.PlannedRun) -> bool:
        """Whether a run is not finished, nor stopped by its loss."""
        return not self.is_done(planned) and not self.is_stopped(planned.name)

    def _trained_rates(self, name):
        if name not in self._rates:
            self._rates[name] = run_folder.read_run(
                self.plan.run_dir(name)).optimizer
        return self._rates[name]

    def _failed_path(self, name):
        return files.path(self.plan.run_dir(name), FAILED)


def _score(result):
    """Returns the validation value, -inf if there is none."""
    if result is None or result['val'] is None or math.isnan(result['val']):
        return -math.inf
    return result['val']
