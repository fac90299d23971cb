"""The plan of an experiment and what is made of its runs' results.

A runner that trains nothing stands in for the runs; one test trains.
"""

import csv
import dataclasses
import json
import math
import sys

import pytest

from ddep_tf import configure, errors, experiment, plan, report, specs
from ddep_tf.runtime import folder

GIN = ['experiments/demo_shapes.gin']
GRID = ['ExperimentSpec.learning_rates=(1e-3, 3e-3)',
        "ExperimentSpec.arms=('scratch', 'supervised', 'ddep')"]


def _load(*params):
    return configure.load_experiment(GIN, params)


def _rows(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


class Runner:
    """Answers with a val that `score` gives; writes what a run leaves."""

    def __init__(self, score):
        self.score = score
        self.asked = []

    def __call__(self, planned, run_dir, test):
        self.asked.append((planned.name, test))
        val = self.score(planned)
        where = folder.pathlib.Path(run_dir)
        where.mkdir(parents=True, exist_ok=True)
        (where / 'validation.csv').write_text(f'step,val\n5,{val}\n')
        result = {'stage': planned.run.stage, 'steps': 5, 'val': val,
                  'test': val / 2 if test else None, 'images': 20,
                  'test_details': {'iou': [val] * 6}, 'seconds': 1.0,
                  'subset_sha256': f'sha{planned.run.seed}', 'commit': 'abc'}
        (where / 'result.json').write_text(json.dumps(result))
        return result


def _experiment(where, score, *params):
    spec, stages, operative = _load(*params)
    runner = Runner(score)
    whole = experiment.Experiment(spec, stages, operative, str(where), '',
                                  runner)
    return whole, runner


def test_the_rate_is_chosen_on_val_at_the_first_seed(tmp_path):
    # scratch does best at the lower rate, the others at the higher one.
    def score(planned):
        high = planned.run.optimizer.learning_rate > 2e-3
        return 0.4 + 0.1 * (high != (planned.arm == 'scratch'))
    whole, runner = _experiment(tmp_path, score, *GRID)
    whole.run()
    rows = [r for r in _rows(tmp_path / 'runs.csv') if r['stage'] == 'segment']
    for arm, rate in (('scratch', 1e-3), ('supervised', 3e-3), ('ddep', 3e-3)):
        chosen = [r for r in rows if r['arm'] == arm and r['chosen'] == '1']
        assert [int(r['seed']) for r in chosen] == [0, 1, 2]
        assert {float(r['learning_rate']) for r in chosen} == {rate}
        left = [r for r in rows if r['arm'] == arm and r['chosen'] == '0']
        assert len(left) == 1 and left[0]['test'] == ''
    # The test split is measured for what was chosen alone.
    tested = {name for name, test in runner.asked if test}
    assert not any(r['run'] in tested for r in rows if r['chosen'] == '0')
    assert len(rows) == 3 * (2 + 2)
    page = report.write_report(tmp_path)
    assert 'ddep' in open(page, encoding='utf-8').read()


def test_arms_of_a_seed_share_subset_steps_and_data():
    spec, stages, _ = _load(*GRID)
    graph = plan.Plan(spec, stages, 'runs', 'data')
    for seed in spec.seeds:
        runs = [graph.finetuning(arm, 20, seed, 1e-3).run for arm in spec.arms]
        same = [dataclasses.replace(run, init_encoder='', init_decoder='')
                for run in runs]
        assert same[0] == same[1] == same[2] and same[0].label_count == 20
        starts = [(run.init_encoder, run.init_decoder) for run in runs]
        denoised = f'runs/runs/denoise-ddep-s{seed}'
        assert starts == [('', ''), ('runs/runs/classify', ''),
                          (denoised, denoised)]


def test_a_whole_fraction_is_no_count():
    spec, stages, _ = _load('ExperimentSpec.label_counts=()',
                            'ExperimentSpec.label_fractions=(0.1, 1)')
    graph = plan.Plan(spec, stages, 'runs', 'data')
    runs = [graph.finetuning('ddep', setting, 0, 1e-3).run
            for setting in graph.settings]
    assert [(r.label_count, r.label_fraction) for r in runs] == [
        (0, 0.1), (0, 1.0)]


@pytest.mark.parametrize('param', [
    'ExperimentSpec.label_counts=(0,)', 'ExperimentSpec.label_counts=(20)',
    'ExperimentSpec.label_fractions=(1.5,)', 'ExperimentSpec.seeds=(0, 0)',
    'ExperimentSpec.learning_rates=(1e-3, 0)', 'ExperimentSpec.seeds=(-1,)',
    "ExperimentSpec.arms=('ddeep',)", 'segment/RunSpec.label_count=5',
    "segment/RunSpec.init_encoder='x.npz'", 'denoise/RunSpec.seed=3',
    "segment/RunSpec.flip='False'", 'segment/RunSpec.steps=1.5'])
def test_what_an_experiment_cannot_take_is_refused(param):
    with pytest.raises(errors.UserError, match=param.split('=', 1)[0].split(
            '/')[-1].split('.')[-1]):
        _load(param)


@pytest.mark.parametrize('params, named', [
    (['ExperimentSpec.label_fractions=(0.01,)'], '20 and 0.01'),
    (['ExperimentSpec.label_counts=(1, 2001)'], '2001'),
    (['ExperimentSpec.label_counts=()',
      'ExperimentSpec.label_fractions=(0.5, 1e-4)'], 'fraction')])
def test_labels_that_cannot_be_had_are_refused_before_any_run(
        tmp_path, params, named):
    whole, runner = _experiment(tmp_path, lambda planned: 0.4, *params)
    with pytest.raises(errors.UserError, match=named):
        whole.run()
    assert not runner.asked


def test_a_rate_that_diverges_counts_as_the_worst(tmp_path):
    def score(planned):
        if planned.run.optimizer.learning_rate > 2e-3:
            raise errors.TrainingStopped('not finite at step 3')
        return 0.4
    whole, _ = _experiment(tmp_path, score, *GRID)
    whole.run()
    rows = [r for r in _rows(tmp_path / 'runs.csv') if r['stage'] == 'segment']
    bad = [r for r in rows if float(r['learning_rate']) > 2e-3]
    assert len(bad) == 3 and {(r['chosen'], r['val']) for r in bad} == {
        ('0', '')}
    report.write_report(tmp_path)
    whole, _ = _experiment(
        tmp_path / 'nan', lambda planned: math.nan
        if planned.run.stage == 'segment' else 0.5, *GRID)
    with pytest.raises(errors.TrainingStopped, match='no learning rate'):
        whole.run()


def test_another_experiment_in_the_folder_is_refused(tmp_path):
    whole, _ = _experiment(tmp_path, lambda planned: 0.5)
    # Nothing was trained yet: what was asked for can still be mended.
    _experiment(tmp_path, lambda planned: 0.5, 'ExperimentSpec.seeds=(5,)')
    whole, _ = _experiment(tmp_path, lambda planned: 0.5)
    whole.run()
    before = (tmp_path / 'runs.csv').read_text()
    with pytest.raises(errors.UserError, match='another'):
        _experiment(tmp_path, lambda planned: 0.5,
                    'ExperimentSpec.seeds=(5,)')
    assert (tmp_path / 'runs.csv').read_text() == before


def test_learning_rates_need_a_val_split(tmp_path):
    with pytest.raises(errors.UserError, match='val_split'):
        _experiment(tmp_path, None, *GRID, "shapes/DatasetSpec.val_split=''")


_CHILD = '''
import json, sys
name = next(a for a in sys.argv if a.startswith('--only=')).split('=')[1]
if sys.argv[1] != '0':
    sys.exit(int(sys.argv[1]))
json.dump({'test': 0.5, 'name': name, 'argv': sys.argv}, open(sys.argv[2], 'w'))
'''


def test_a_run_may_have_a_process_of_its_own(tmp_path):
    spec, stages, _ = _load()
    graph = plan.Plan(spec, stages, str(tmp_path), '')
    planned = graph.find('segment-ddep-n20-s1-lr0.003')
    assert planned == graph.finetuning('ddep', 20, 1, 3e-3)
    with pytest.raises(errors.UserError, match='segment-none'):
        graph.find('segment-none')

    def run(code):
        return experiment.by_command(
            [sys.executable, '-c', _CHILD, str(code),
             str(tmp_path / 'result.json')])(planned, tmp_path, True)
    for code, error in ((2, errors.UserError), (3, errors.TrainingStopped),
                        (143, errors.Preempted), (1, RuntimeError)):
        with pytest.raises(error, match=planned.name):
            run(code)
    assert run(0)['name'] == planned.name
    assert '--test=True' in run(1)['argv']  # Done: it is not started again.


SHORT = ['classify/RunSpec.steps=2', 'denoise/RunSpec.steps=2',
         'segment/RunSpec.steps=2', 'segment/RunSpec.eval_every=1',
         'shapes/DatasetSpec.limit=6', 'RunSpec.crop_size=(32, 32)',
         'classify/RunSpec.global_batch_size=2',
         'denoise/RunSpec.global_batch_size=2',
         'segment/RunSpec.global_batch_size=2',
         'segment/EvalSpec.samples=1', 'denoise/EvalSpec.samples=1',
         'ExperimentSpec.label_counts=(3,)', 'ExperimentSpec.seeds=(4,)',
         "ExperimentSpec.arms=('supervised', 'ddep')"]


def test_the_demo_in_short_from_data_to_report(tmp_path):
    from ddep_tf.runtime import strategy
    spec, stages, operative = _load(*SHORT)

    def run():
        runner = experiment.in_process(
            operative, '', strategy.get_strategy('one_device'))
        experiment.Experiment(spec, stages, operative, str(tmp_path), '',
                              runner).run()
        return (tmp_path / 'runs.csv').read_text()
    first = run()
    names = [r['run'] for r in _rows(tmp_path / 'runs.csv')]
    assert names == ['classify', 'denoise-ddep-s4',
                     'segment-supervised-n3-s4-lr0.003',
                     'segment-ddep-n3-s4-lr0.003']
    weights = tmp_path / 'runs' / names[-1] / 'weights.npz'
    stamp = weights.stat().st_mtime_ns
    assert run() == first and weights.stat().st_mtime_ns == stamp
    page = open(report.write_report(tmp_path), encoding='utf-8').read()
    assert '4 of 4 runs done' in page and 'noisy' in page
    segment = _rows(tmp_path / 'runs.csv')[2:]
    assert len({r['subset_sha256'] for r in segment}) == 1
    assert [len(r['subset_sha256']) for r in segment] == [64, 64]
    facts = json.loads(weights.with_suffix('.json').read_text())
    assert facts['init_decoder'].endswith('denoise-ddep-s4')
    ids = json.loads((tmp_path / 'subsets' / 'n3-s4.json').read_text())['ids']
    assert len(ids) == 3
