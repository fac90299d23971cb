"""Reading ahead keeps the order, and no more than it is told to."""

import threading

import pytest

from ddep_tf.evaluation import ahead

pytestmark = pytest.mark.quick


def test_items_are_read_before_they_are_asked_for_and_no_further():
    third = threading.Event()
    read = []

    def items():
        for number in range(9):
            read.append(number)
            if number == 2:
                third.set()
            yield number

    stream = ahead.read_ahead(items(), 2)
    assert next(stream) == 0
    assert third.wait(10)  # While the first one is worked on.
    assert len(read) == 3
    assert list(stream) == list(range(1, 9))


def test_an_error_comes_where_its_item_would():
    def items():
        yield 1
        raise OSError('gone')

    stream = ahead.read_ahead(items(), 2)
    assert next(stream) == 1
    with pytest.raises(OSError, match='gone'):
        next(stream)


def test_who_stops_early_lets_go_of_what_is_open():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    stream = ahead.read_ahead(items(), 3)
    next(stream)
    stream.close()
    assert closed == [True]
