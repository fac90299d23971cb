"""The search for the largest batch, and the runs of the table."""

import pytest

from ddep_tf import configure
from ddep_tf.compiling import plan

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('largest', [0, 1, 2, 8, 64, 128])
@pytest.mark.parametrize('first', [1, 16])
def test_the_search_ends_at_the_largest_that_fits(largest, first):
    per_image = 15.0 / (largest + 0.5)
    verdicts, totals = {}, {}
    while (batch := plan.next_batch(verdicts, totals, 1.0, 16.0, first)):
        assert batch not in verdicts
        totals[batch] = 1.0 + per_image * batch
        verdicts[batch] = totals[batch] <= 16.0
    assert max((b for b, fits in verdicts.items() if fits),
               default=0) == largest
    assert 2 * largest in verdicts or largest in (0, 128)
    assert len(verdicts) <= 4


def test_another_chip_tells_where_to_begin():
    assert plan.next_batch({}, {8: 17.0}, 1.0, 9.5, 16) == 4


def test_its_estimate_is_no_verdict():
    assert plan.next_batch({4: True}, {4: 5.0, 8: 9.0}, 1.0, 30.0, 1) == 16
    assert plan.next_batch({4: True, 8: False}, {8: 9.0}, 1.0, 30., 1) is None


def test_what_gives_no_memory_is_no_fit():
    assert plan.next_batch({4: False}, {}, 0.0, 16.0, 16) == 2


def test_every_entry_is_a_run():
    found = list(plan.entries())
    assert len(set(found)) == len(found)
    for entry in found:
        run, _ = configure.load_run(entry.stage, *entry.gin())
        assert run.crop_size == (entry.size, entry.size)
        assert run.decoder.width_multiplier == entry.width
        assert (run.precision, run.remat, run.accumulate) == (
            entry.precision, entry.remat, entry.accumulate)
        assert run.encoder.name == 'r50_vit_b16'
