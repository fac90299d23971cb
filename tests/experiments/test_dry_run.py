"""What --dry_run prints. Counting operations is test_cost.py's."""

import types

import pytest

from ddep_tf import configure
from ddep_tf.experiments import cost, dry_run

pytestmark = pytest.mark.quick


@pytest.fixture(autouse=True)
def _uncounted(monkeypatch):
    monkeypatch.setattr(cost, 'count', lambda run: types.SimpleNamespace(
        run_flops=run.steps * 10 ** 12))
    monkeypatch.setattr(cost, 'disk', lambda run: 5 * 10 ** 8)


def _lines(leaf, *params):
    spec, stages, _ = configure.load_experiment(
        [f'experiments/{leaf}.gin'], params)
    return dry_run.experiment(spec, stages, 'data', 'tpu_v4', 0.5).split('\n')


@pytest.mark.parametrize('leaf, labels', [
    ('cityscapes_main', ['99 (3.33 %)', '372 (12.5 %)', '744 (25 %)',
                         '2,975 (100 %)']),
    ('ade20k_main', ['202 (1 %)', '1,011 (5 %)', '2,021 (10 %)',
                     '4,042 (20 %)', '20,210 (100 %)']),
    ('pascal_context_main', ['50 (1 %)', '250 (5 %)', '500 (10 %)',
                             '1,000 (20 %)', '4,998 (100 %)'])])
def test_the_labels_of_the_official_sets_are_numbers(leaf, labels):
    finals = [line for line in _lines(leaf) if 'segment-ddep' in line]
    assert len(finals) == 3 * {'cityscapes_main': 30}.get(leaf, 45)
    for label in labels:
        assert any(f'  {label}  ' in line for line in finals)


def test_sums_are_those_of_the_runs():
    head, columns, *rows = _lines('ablation_width')
    assert head.startswith('ablation_width: 51 runs (3 denoise, ')
    assert columns.split()[:4] == ['run', 'labels', 'steps', 'images']
    total, = [row.split() for row in rows if row.startswith('  all ')]
    runs = [row.split() for row in rows if '512 x 512' in row
            or '224 x 224' in row]
    assert len(runs) == 51
    flops = sum(float(row[-3].replace(',', '')) for row in runs)
    assert float(total[1].replace(',', '')) == pytest.approx(flops, rel=1e-2)
    assert total[2] == '25.5'  # GB.
    # Half the peak of 275 TFLOP/s.
    assert float(total[3]) == pytest.approx(
        flops * 1e15 / (275e12 / 2) / 3600, rel=1e-2)


def test_where_the_number_is_not_known_it_is_a_fraction():
    lines = _lines('cityscapes_main',
                   "cityscapes/DatasetSpec.name='my own streets'")
    assert any(' 3.33 %  ' in line for line in lines)
    assert not any('99 (' in line for line in lines)
