"""Work of several threads comes in order, and in parallel."""

import itertools
import threading

import pytest

from ddep_tf.data import parallel

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(parallel, 'cores', lambda: 2)


def test_results_come_in_order_from_threads_side_by_side():
    meeting = threading.Barrier(2)

    def meet(number):
        meeting.wait(timeout=20)  # Raises where one comes after the other.
        return 10 * number
    assert list(parallel.in_order(meet, range(8))) == list(range(0, 80, 10))


def test_no_more_is_read_ahead_than_threads_need():
    read = []
    numbers = (read.append(i) or i for i in itertools.count())
    results = parallel.in_order(lambda i: i, numbers)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(read) <= 8


def test_an_error_comes_in_its_place():
    def work(number):
        return 6 // (3 - number)
    results = parallel.in_order(work, range(9))
    assert [next(results) for _ in range(3)] == [2, 3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
