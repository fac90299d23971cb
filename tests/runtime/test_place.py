"""What workers find in one run folder, where one of them sees it late."""

import threading

import numpy as np
import pytest

from ddep_tf import files
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
