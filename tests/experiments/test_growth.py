"""How time and memory grow: the points and the lines through them."""

import pytest

from ddep_tf import errors, files
from ddep_tf.experiments import growth

pytestmark = pytest.mark.quick

SETTING = {'what': 'denoise', 'encoder': 'tiny', 'width': '1',
           'precision': 'float32'}


class Benchmark:
    """1 + 20 s and 500 + 2000 MiB for each million pixels."""

    def __init__(self):
        self.asked = []

    def __call__(self, flags):
        given = dict(flag[2:].split('=') for flag in flags)
        self.asked.append((given['size'], given['batch']))
        size, batch = int(given['size']), int(given['batch'])
        pixels = batch * size ** 2 / 1e6
        return {**given, 'size': [size, size], 'batch': batch,
                'core_seconds_per_step': 1 + 20 * pixels,
                'seconds_per_step': 7.0,
                'peak_rss_mib': 500 + 2000 * pixels, 'gflop_per_step': 1.0,
                'processor': 'a processor', 'cores': 2,
                'tensorflow': '2.20', 'commit': 'abc', 'sgemm_gflops': 1.0}


def test_points_are_measured_once(tmp_path):
    first = Benchmark()
    rows = growth.measure(tmp_path, SETTING, 5, first)
    assert len(first.asked) == len(set(first.asked)) == 9 == len(rows)
    path = tmp_path / 'table.csv'
    path.write_text(''.join(path.read_text().splitlines(True)[:-1]))
    second = Benchmark()
    assert growth.measure(tmp_path, SETTING, 5, second) == rows
    assert second.asked == [first.asked[-1]]
    other = growth.measure(tmp_path, {**SETTING, 'width': '2'}, 5, Benchmark())
    assert len(other) == 9 and len(files.read_csv(path)) == 18


def test_lines_are_found_and_how_far_points_lie_from_them(tmp_path):
    rows = growth.measure(tmp_path, SETTING, 5, Benchmark())
    seconds = growth.fit(rows, 'core_seconds_per_step')
    assert seconds.fixed == pytest.approx(1, abs=0.01)
    assert seconds.slope == pytest.approx(20, rel=0.01)
    assert seconds.residual < 0.01 and 0.5 < seconds.exponent < 1
    rows[-1] = {**rows[-1], 'core_seconds_per_step': '9.0'}
    assert growth.fit(rows, 'core_seconds_per_step').residual > 0.1
    memory = growth.fit(rows, 'peak_rss_mib')
    assert (memory.fixed, memory.slope) == pytest.approx((500, 2000), rel=0.01)


@pytest.mark.full
def test_a_point_is_a_command_of_its_own():
    found = growth._benchmark([
        '--what=denoise', '--encoder=tiny', '--width=1', '--batch=1',
        '--size=32', '--precision=float32', '--steps=1'])
    assert set(growth.COLUMNS) <= set(found)
    with pytest.raises(errors.UserError, match='--size=33 failed .*multiples'):
        growth._benchmark(['--what=denoise', '--encoder=tiny', '--size=33'])
