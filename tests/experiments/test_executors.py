"""An experiment that trains, on one device in this process."""

import json
import pathlib

import pytest

from ddep_tf import configure, files
from ddep_tf.experiments import executors, runner
from ddep_tf.reports import write
from ddep_tf.runtime import strategy

from commands import SHORT_EXPERIMENT

STEPS = ['denoise/RunSpec.steps=2', 'segment/RunSpec.steps=2',
         'segment/RunSpec.eval_every=1']


@pytest.mark.parametrize('eager', [
    pytest.param(True, marks=pytest.mark.quick),
    pytest.param(False, marks=pytest.mark.full)])
def test_all_stages_in_short_from_data_to_report(tmp_path, eager):
    spec, stages, operative = configure.load_experiment(
        ['experiments/demo_shapes.gin'],
        [*SHORT_EXPERIMENT, *STEPS, f'RunSpec.eager={eager}'])

    def run():
        executor = executors.in_process(
            operative, '', strategy.get_strategy('one_device'))
        runner.Experiment(spec, stages, operative, str(tmp_path), '',
                          executor).run()
        return (tmp_path / 'runs.csv').read_text()
    first = run()
    names = [r['run'] for r in files.read_csv(tmp_path / 'runs.csv')]
    assert names == ['classify', 'denoise-ddep-s4',
                     'segment-supervised-n3-s4',
                     'segment-ddep-n3-s4']
    weights = tmp_path / 'runs' / names[-1] / 'weights.npz'
    stamp = weights.stat().st_mtime_ns
    assert run() == first and weights.stat().st_mtime_ns == stamp
    page = pathlib.Path(write.write_report(tmp_path)).read_text('utf-8')
    assert '4 of 4 runs done' in page and 'noisy' in page
    segment = files.read_csv(tmp_path / 'runs.csv')[2:]
    assert len({r['subset_sha256'] for r in segment}) == 1
    assert [len(r['subset_sha256']) for r in segment] == [64, 64]
    facts = json.loads(weights.with_suffix('.json').read_text())
    assert facts['init_decoder'].endswith('denoise-ddep-s4')
    ids = json.loads((tmp_path / 'subsets' / 'n3-s4.json').read_text())['ids']
    assert len(ids) == 3
