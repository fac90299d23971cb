"""Where the workers of a run read and write: one run folder for all."""

from collections.abc import Iterator
import contextlib
import dataclasses
import os
import pathlib
import tempfile
import time
from typing import Any

from ddep_tf import errors, files, specs
from ddep_tf.runtime import claim as claim_lib
from ddep_tf.runtime import run_folder
from ddep_tf.runtime import workers as workers_lib

_WAIT_SECONDS = 120.0  # Network disks show a new file after up to a minute.


@dataclasses.dataclass(frozen=True)
class Place:
    """The open run folder of a worker.

    Attributes:
      run_dir: the run folder, from which all workers read.
      own_dir: where this worker writes: the chief into the run folder, the
        others into a folder that is removed in the end.
      workers: the Workers.
      claim: what holds the run folder; only the chief does.
    """
    run_dir: pathlib.Path
    own_dir: pathlib.Path
    workers: workers_lib.Workers
    claim: claim_lib.Claim

    def result(self, run: specs.RunSpec, test: bool) -> dict[str, Any] | None:
        """Returns the result of a run if nothing is left to do, as the chief
        finds it. Arguments as of `run_folder.finished_result`."""
        return self.as_chief_finds(
            run_folder.finished_result(self.run_dir, run, test))

    def as_chief_finds(self, found: dict[str, Any] | None
                       ) -> dict[str, Any] | None:
        """Returns the result that a worker found; None if the chief found
        none. One that does not see the chief's yet waits until it does.

        Raises:
          UserError: it does not appear on this worker's disk.
        """
        if not self.workers.exchange(bool(found))[0, 0]:
            return None
        return found or self._appearing_result()

    def wait_for_result(self) -> dict[str, Any]:
        """Returns the result that the chief is writing; all have to call
        this. Raises as `as_chief_finds` does."""
        self.workers.wait()
        return self._appearing_result()

    def _appearing_result(self):
        # Without a word to the others: those that see it have gone on.
        end = time.monotonic() + _WAIT_SECONDS
        while not (result := run_folder.read_result(self.run_dir)):
            if time.monotonic() > end:
                raise errors.UserError(
                    f'worker {self.workers.index} does not see the result '
                    f'that worker 0 wrote: --run_dir {self.run_dir} must be '
                    'on a disk that all workers share')
            time.sleep(1)
        return result


@contextlib.contextmanager
def opened(run: specs.RunSpec, operative: str, run_dir: str | os.PathLike,
           workers: workers_lib.Workers) -> Iterator[Place]:
    """Opens a run folder for all workers of a run.

    Args:
      run: RunSpec.
      operative: the operative gin config as text.
      run_dir: the run folder; created, or resumed if it holds the same spec.
      workers: the Workers; all have to call this.

    Raises:
      UserError: on all workers, if the folder holds another config, is in use
        by another process, cannot be written, or is not the same for all.
    """
    folder = files.path(run_dir)
    with contextlib.ExitStack() as stack:
        claim = claim_lib.Claim()
        with workers.together():
            if workers.is_chief:
                run_folder.create(folder)
                claim = stack.enter_context(claim_lib.claimed(folder))
                run_folder.open_run(folder, run, operative)
        own, number = folder, run_folder.number_of(run)
        is_same = workers.exchange(number)[0, 0] == number
        with workers.together():
            if not workers.is_chief:
                _await_config(folder, run, workers.index,
                              _WAIT_SECONDS if is_same else 0.0)
                own = files.path(stack.enter_context(
                    tempfile.TemporaryDirectory(prefix='ddep_tf_worker_')))
        # Where folders are not shared, each agrees with its own.
        workers.check_equal(number, 'config')
        yield Place(folder, own, workers, claim)


def _await_config(folder, run, worker, seconds):
    """Waits until a worker sees what the chief wrote. UserError if it does
    not, of what it then sees."""
    end = time.monotonic() + seconds
    while True:
        try:
            return run_folder.check_shared(folder, run, worker)
        except errors.UserError:
            if time.monotonic() >= end:
                raise
        time.sleep(1)
