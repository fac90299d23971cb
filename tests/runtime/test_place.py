"""What workers find in one run folder, where one of them sees it late."""

import contextlib
import threading

import numpy as np
import pytest

from ddep_tf import errors, files, specs
from ddep_tf.runtime import claim, place, run_folder

pytestmark = pytest.mark.quick


class _Workers:
    """Stands for Workers: the chief says `chief`; meetings are counted."""
    index = 1

    def __init__(self, chief):
        self._chief, self.meetings = chief, 0

    def exchange(self, *numbers):
        self.meetings += 1
        return np.array([[self._chief], numbers], np.float64)


def _place(folder, workers):
    return place.Place(folder, folder, workers, claim.Claim())


def test_a_worker_that_sees_the_result_late_meets_no_one_again(tmp_path):
    """The chief sees its own file, and is not there to be met."""
    workers, result = _Workers(chief=True), {'steps': 3}
    late = threading.Timer(0.3, files.write_json,
                           (tmp_path / run_folder.RESULT, result))
    late.start()
    assert _place(tmp_path, workers).as_chief_finds(None) == result
    assert workers.meetings == 1
    late.join()


def test_the_chief_decides_what_is_found(tmp_path):
    for chief, expected in ((True, {'steps': 3}), (False, None)):
        workers = _Workers(chief)
        found = _place(tmp_path, workers).as_chief_finds({'steps': 3})
        assert found == expected and workers.meetings == 1


class _Second:
    """Stands for the Workers of the second of two, whose chief opened the
    folder of a run."""
    index, is_chief = 1, False

    def __init__(self, chiefs_run):
        self._number = run_folder.number_of(chiefs_run)

    def exchange(self, *numbers):
        return np.array([[self._number], numbers], np.float64)

    def check_equal(self, number, what):
        if number != self._number:
            raise errors.UserError(f'another {what}')

    def together(self):
        return contextlib.nullcontext()


def _run(**values):
    return specs.RunSpec(stage='denoise', data=(specs.DatasetSpec(
        name='shapes', source='shapes'),), **values)


def test_a_worker_that_sees_the_config_late_waits_for_it(tmp_path):
    late = threading.Timer(0.3, run_folder.open_run, (tmp_path, _run(), ''))
    late.start()
    with place.opened(_run(), '', tmp_path, _Second(_run())) as opened:
        assert opened.run_dir == tmp_path
    late.join()


def test_a_worker_of_another_run_does_not_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(place.time, 'sleep', None)
    chiefs, own = tmp_path / 'chiefs', tmp_path / 'own'
    run_folder.open_run(chiefs, _run(), '')
    run_folder.open_run(own, _run(seed=1), '')
    # A folder that is shared; one of its own, which holds what it trains.
    for folder, named in ((chiefs, 'differs in seed'),
                          (own, 'another config')):
        with pytest.raises(errors.UserError, match=named), \
                place.opened(_run(seed=1), '', folder, _Second(_run())):
            pass
