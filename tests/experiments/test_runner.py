"""The plan of an experiment and what is made of its runs' results.

A function that trains nothing stands in for the training.
"""

import contextlib
import csv
import dataclasses
import json
import math
import pathlib
import shutil
import sys

import pytest

from ddep_tf import configure, errors, files
from ddep_tf.experiments import executors, plan
from ddep_tf.experiments import runner as runner_lib
from ddep_tf.reports import read, stats, tables, write

import pretended

pytestmark = pytest.mark.quick

GIN = ['experiments/demo_shapes.gin']
GRID = ['ExperimentSpec.learning_rates=(1e-3, 3e-3)',
        "ExperimentSpec.arms=('scratch', 'supervised', 'ddep')"]


def _load(*params):
    return configure.load_experiment(GIN, params)


def _rows(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def _experiment(where, score, *params):
    spec, stages, operative = _load(*params)
    runner = pretended.Trainer(score)
    whole = runner_lib.Experiment(spec, stages, operative, str(where), '',
                                  executors.Serial(runner))
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
    page = write.write_report(tmp_path)
    assert 'ddep' in pathlib.Path(page).read_text('utf-8')


def _plan(*params, run_dir='runs'):
    spec, stages, _ = _load(*params)
    return plan.Plan(spec, stages, run_dir, 'data')


def test_arms_of_a_seed_share_subset_steps_and_data():
    graph = _plan("ExperimentSpec.arms=('scratch', 'supervised', 'ddep')")
    for seed in (0, 1, 2):
        runs = [graph.find(f'segment-{arm}-n20-s{seed}').run
                for arm in ('scratch', 'supervised', 'ddep')]
        same = [dataclasses.replace(run, init_encoder='', init_decoder='')
                for run in runs]
        assert same[0] == same[1] == same[2] and same[0].label_count == 20
        starts = [(run.init_encoder, run.init_decoder) for run in runs]
        denoised = f'runs/runs/denoise-ddep-s{seed}'
        assert starts == [('', ''), ('runs/runs/classify', ''),
                          (denoised, denoised)]


def test_every_run_comes_after_what_it_needs():
    graph = _plan(*GRID, *WIDTHS, 'ExperimentSpec.label_counts=(5, 20)',
                  "ExperimentSpec.arms=('scratch', 'supervised', 'dep', "
                  "'dep_supervised', 'ddep')")
    seen = {}
    for planned in graph.runs.values():
        assert all(seen[name] < planned.level for name in planned.needs)
        for path in (planned.run.init_encoder, planned.run.init_decoder):
            assert not path or path.rsplit('/', 1)[1] in planned.needs
        seen[planned.name] = planned.level
    # What denoising from scratch starts with, and what it trains.
    dep = graph.find('w1-denoise-dep-s0').run
    assert dep.train_encoder and not dep.init_encoder
    after = graph.find('w1-denoise-dep_supervised-s0').run
    assert after.train_encoder and after.init_encoder.endswith('/classify')
    assert not graph.find('w1-denoise-ddep-s0').run.train_encoder


WIDTHS = ["ExperimentSpec.variants=('w1', 'w2')",
          'denoise/w2/DecoderSpec.width_multiplier=2',
          'segment/w2/DecoderSpec.width_multiplier=2',
          "ExperimentSpec.axis='DecoderSpec.width_multiplier'"]


def test_an_axis_that_is_no_field_is_refused_before_any_run():
    with pytest.raises(errors.UserError, match='NoiseSpec.sttdev'):
        _plan("ExperimentSpec.axis='NoiseSpec.sttdev'")


def test_variants_share_what_does_not_differ():
    graph = _plan("ExperimentSpec.variants=('low', 'high')",
                  'denoise/low/NoiseSpec.stddev=0.1',
                  'denoise/high/NoiseSpec.stddev=0.5',
                  'ExperimentSpec.seeds=(0,)',
                  "ExperimentSpec.axis='NoiseSpec.stddev'")
    assert list(graph.runs) == [
        'classify', 'low-denoise-ddep-s0', 'high-denoise-ddep-s0',
        'segment-supervised-n20-s0', 'low-segment-ddep-n20-s0',
        'high-segment-ddep-n20-s0']
    stddevs = {name: run.run.noise.stddev for name, run in graph.runs.items()
               if run.run.stage == 'denoise'}
    assert stddevs == {'low-denoise-ddep-s0': 0.1, 'high-denoise-ddep-s0': 0.5}
    assert [(c.variant, c.name) for c in graph.cells if 'super' in c.name] == [
        ('low', 'segment-supervised-n20-s0'),
        ('high', 'segment-supervised-n20-s0')]
    assert graph.axis_values() == {'low': 0.1, 'high': 0.5}
    widths = _plan(*WIDTHS)
    assert widths.axis_values() == {'w1': 1, 'w2': 2}
    assert {widths.find(f'w{k}-segment-{arm}-n20-s0').run.decoder
            .width_multiplier for k in (1, 2)
            for arm in ('supervised', 'ddep')} == {1, 2}
    # What differs in the fine-tuning alone is told apart by it.
    longer = _plan("ExperimentSpec.variants=('short', 'long')",
                   'segment/short/RunSpec.steps=7',
                   'segment/long/RunSpec.steps=9',
                   "ExperimentSpec.axis='RunSpec.steps'")
    assert longer.axis_values() == {'short': 7, 'long': 9}
    only = _plan(*WIDTHS, "ExperimentSpec.run_variants=('w2',)")
    assert only.axis_values() == {'w2': 2} and 'denoise-ddep-s0' in only.runs
    with pytest.raises(errors.UserError, match='axis'):
        _plan(*WIDTHS[:3], "ExperimentSpec.axis='NoiseSpec.sigma'"
              ).axis_values()


def test_settings_have_their_own_number_of_runs_and_pretraining_is_shared():
    graph = _plan('ExperimentSpec.label_counts=(5, 20)',
                  'ExperimentSpec.label_runs=(3, 1)',
                  'ExperimentSpec.pretraining_runs=2',
                  "ExperimentSpec.arms=('ddep',)")
    finals = [p for p in graph.runs.values() if p.level == plan.FINAL]
    assert [p.name for p in finals] == [
        'segment-ddep-n5-s0', 'segment-ddep-n20-s0', 'segment-ddep-n5-s1',
        'segment-ddep-n5-s2']
    assert [p.needs for p in finals] == [
        ('denoise-ddep-s0',), ('denoise-ddep-s0',), ('denoise-ddep-s1',),
        ('denoise-ddep-s0',)]


def test_shards_are_all_runs_once_and_share_each_level():
    graph = _plan(*GRID, 'ExperimentSpec.label_counts=(5, 10, 20)')
    shards = [graph.shard(index, 4) for index in range(1, 5)]
    assert sorted(name for shard in shards for name in shard) == sorted(
        graph.runs)
    for level in range(4):
        sizes = [sum(p.name in shard for p in graph.at_level(level))
                 for shard in shards]
        assert max(sizes) - min(sizes) <= 1


def test_a_whole_fraction_is_no_count():
    graph = _plan('ExperimentSpec.label_counts=()',
                  'ExperimentSpec.label_fractions=(0.1, 1)')
    runs = [graph.find(f'segment-ddep-n{name}-s0').run
            for name in ('0.1', '1.0')]
    assert [(r.label_count, r.label_fraction) for r in runs] == [
        (0, 0.1), (0, 1.0)]


def test_a_part_of_an_experiment_needs_no_grid():
    """Fewer labels and seeds than where its rate was chosen, and that rate."""
    part = ['ExperimentSpec.sweep_at=7', 'ExperimentSpec.sweep_seeds=99']
    graph = _plan(*part)
    assert not any(p.level == plan.SWEEP for p in graph.runs.values())
    with pytest.raises(errors.UserError, match='sweep_at must be one of'):
        _plan(*part, *GRID)


HELD = [*GRID, "shapes/DatasetSpec.val_split=''",
        'ExperimentSpec.holdout=0.25', 'ExperimentSpec.label_counts=(8, 20)',
        'ExperimentSpec.weight_decays=(0.0, 1e-4)',
        'ExperimentSpec.sweep_at=20']


def test_rates_chosen_on_held_out_images_hold_for_all_settings(tmp_path):
    def score(actual):
        optimizer = actual.run.optimizer
        high = optimizer.learning_rate > 2e-3 and optimizer.weight_decay > 0
        return 0.4 + 0.1 * high
    whole, runner = _experiment(tmp_path, score, *HELD)
    whole.run()
    sweeps = [p for p in whole.plan.runs.values() if p.level == plan.SWEEP]
    assert len(sweeps) == 3 * 4 and not any(
        test for name, test in runner.asked if 'sweep' in name)
    assert {(p.run.holdout, p.run.label_count) for p in sweeps} == {(0.25, 20)}
    rows = [r for r in _rows(tmp_path / 'runs.csv') if r['role'] == 'final']
    assert len(rows) == 3 * 2 * 3  # Arms, settings, seeds.
    assert {(r['learning_rate'], r['weight_decay']) for r in rows} == {
        ('0.003', '0.0001')}
    assert all(r['test'] for r in rows)
    finals = [p for p in whole.plan.runs.values() if p.level == plan.FINAL]
    assert {p.run.holdout for p in finals} == {0.0}
    chosen = [r['run'] for r in _rows(tmp_path / 'runs.csv')
              if r['role'] == 'sweep' and r['chosen'] == '1']
    assert chosen == [f'sweep-{arm}-n20-s0-lr0.003-wd0.0001'
                      for arm in ('scratch', 'supervised', 'ddep')]


def test_a_failed_run_leaves_the_others_and_is_run_again_alone(tmp_path):
    broken = ['segment-ddep-n20-s1', 'denoise-ddep-s2']

    def score(actual):
        if actual.name == broken[0]:
            raise errors.TrainingStopped('not finite at step 3')
        if actual.name == broken[1]:
            raise MemoryError('no memory')
        return 0.4
    whole, runner = _experiment(tmp_path, score)
    with pytest.raises(errors.RunsFailed, match='2 of 10 runs failed'):
        whole.run()
    facts = json.loads((tmp_path / 'experiment.json').read_text())
    assert set(facts['failed']) == set(broken)
    # classify, 2 denoising runs, 3 supervised, 1 ddep.
    assert (facts['done'], facts['planned']) == (7, 10)
    asked = [name for name, _ in runner.asked]
    assert 'segment-ddep-n20-s2' not in asked and len(asked) == 9
    # A loss that was not finite would be so again; the memory may be there.
    broken[1] = ''
    with pytest.raises(errors.TrainingStopped, match='--only'):
        whole.run()
    asked = [name for name, _ in runner.asked[9:]]
    assert asked == ['denoise-ddep-s2', 'segment-ddep-n20-s2']
    broken[0] = ''
    whole.run_one('segment-ddep-n20-s1')
    whole.run()
    facts = json.loads((tmp_path / 'experiment.json').read_text())
    assert facts['failed'] == {} and facts['done'] == 10


def test_the_process_of_a_run_says_why_it_failed(tmp_path):
    """Its parent sees an exit code."""
    def score(actual):
        if actual.name == 'denoise-ddep-s0':
            whole.ledger.note_failure(actual.name, 'no memory', False)
            raise RuntimeError('it ended with exit code 1')
        return 0.4
    whole, _ = _experiment(tmp_path, score)
    with pytest.raises(errors.RunsFailed, match='no memory'):
        whole.run()
    facts = json.loads((tmp_path / 'experiment.json').read_text())
    assert facts['failed'] == {'denoise-ddep-s0': 'no memory'}


@pytest.mark.parametrize('stopped', [False, True])
def test_a_run_waits_for_one_that_failed_and_is_tried_again(
        tmp_path, monkeypatch, stopped):
    """Which Kubernetes does, after a while."""
    whole, _ = _experiment(tmp_path, lambda planned: 0.4)
    other, _ = _experiment(tmp_path, lambda planned: 0.4)
    whole.run_one('classify')
    whole.ledger.note_failure('denoise-ddep-s0', 'lost a disk', stopped)
    seconds = [0.0]

    def sleep(_, some):
        seconds[0] += some
        if seconds[0] == 300:
            other.run_one('denoise-ddep-s0')
    monkeypatch.setattr(runner_lib.Experiment, '_sleep', sleep)
    monkeypatch.setattr(runner_lib.time, 'monotonic', lambda: seconds[0])
    if stopped:  # Its loss would be so again.
        with pytest.raises(errors.NotReady, match='lost a disk'):
            whole.run_one('segment-ddep-n20-s0', wait=60)
        assert seconds == [0]
        return
    whole.run_one('segment-ddep-n20-s0', wait=60)
    assert seconds == [300]
    # What nobody tries again is not waited for long, nor what needs it.
    for need in ('denoise-ddep-s1', 'classify'):
        seconds[0] = 1000
        whole, _ = _experiment(tmp_path / need, lambda planned: 0.4)
        whole.ledger.note_failure(need, 'lost a disk', False)
        with pytest.raises(errors.NotReady, match='lost a disk'):
            whole.run_one('segment-ddep-n20-s1', wait=60)
        assert 1600 < seconds[0] < 2500


def test_tables_that_take_long_are_written_seldom(tmp_path, monkeypatch):
    """Of hundreds of runs in a bucket they take minutes."""
    seconds, written = [0.0], []

    def write_tables(ledger, exp_dir, label_set, done):
        seconds[0] += 5
        written.append(sum(map(ledger.is_done, ledger.plan.runs.values())))
        assert len(done) == written[-1]

    def score(planned):
        seconds[0] += 30
        return 0.4
    monkeypatch.setattr(runner_lib.time, 'monotonic', lambda: seconds[0])
    monkeypatch.setattr(runner_lib.tables, 'write', write_tables)
    whole, _ = _experiment(tmp_path, score)
    whole.run()
    assert written == [1, 5, 9, 10]  # At most every 100 seconds; at the end.


def test_shards_in_turn_do_what_one_machine_does(tmp_path):
    one, _ = _experiment(tmp_path / 'one', lambda planned: 0.4, *GRID)
    one.run()
    where, asked, told = tmp_path / 'many', [], []
    # As often as there are levels to wait for.
    for index in (2, 1, 2, 1, 2, 1, 2):
        part, runner = _experiment(where, lambda planned: 0.4, *GRID)
        try:
            part.run(shard=(index, 2))
        except errors.NotReady as error:
            told.append(str(error))
        asked += [(index, *run) for run in runner.asked]
    assert told and all('--wait' in text for text in told)
    assert {index for index, *_ in asked} == {1, 2}
    assert len({run[1:] for run in asked}) == len(asked) == 19  # Each once.
    assert (where / 'runs.csv').read_text() == (
        tmp_path / 'one' / 'runs.csv').read_text()


@pytest.mark.parametrize('param', [
    'ExperimentSpec.label_counts=(0,)', 'ExperimentSpec.label_counts=(20)',
    'ExperimentSpec.label_fractions=(1.5,)', 'ExperimentSpec.seeds=(0, 0)',
    'ExperimentSpec.label_fractions=(0.25, 0.2500001)',
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
    write.write_report(tmp_path)
    whole, _ = _experiment(
        tmp_path / 'nan', lambda planned: math.nan
        if planned.run.stage == 'segment' else 0.5, *GRID)
    with pytest.raises(errors.TrainingStopped, match='no learning rate'):
        whole.run()


def test_a_rate_chosen_later_is_not_said_of_a_run_trained_before(tmp_path):
    diverges = True

    def score(planned):
        if planned.run.optimizer.learning_rate < 2e-3:
            return 0.4
        if diverges:
            raise errors.TrainingStopped('not finite at step 3')
        return 0.6
    params = ['ExperimentSpec.learning_rates=(1e-3, 3e-3)',
              "ExperimentSpec.arms=('scratch',)"]
    whole, _ = _experiment(tmp_path, score, *params)
    whole.run()
    diverges = False
    whole.run_one('sweep-scratch-n20-s0-lr0.003')
    facts = json.loads((tmp_path / 'experiment.json').read_text())
    done = {row['run']: row for row in _rows(tmp_path / 'runs.csv')}
    # Seed 0 is the run of the grid; the others were trained at the other rate.
    assert 'segment-scratch-n20-s1' not in done
    assert facts['done'] == facts['planned'] - 2
    with pytest.raises(errors.UserError, match='learning_rate.*remove this'):
        whole.run()
    for seed in (1, 2):
        shutil.rmtree(tmp_path / f'runs/segment-scratch-n20-s{seed}')
    whole.run()
    chosen = [row['learning_rate'] for row in _rows(tmp_path / 'runs.csv')
              if row['chosen'] == '1']
    assert chosen == ['0.003'] * 3


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
    graph = _plan(run_dir=str(tmp_path))
    planned = graph.find('segment-ddep-n20-s1')
    with pytest.raises(errors.UserError, match='segment-none'):
        graph.find('segment-none')
    result = tmp_path / 'result.json'

    def run(code):
        runner = executors.by_command(
            [sys.executable, '-c', _CHILD, str(code), str(result)])
        runner.start(executors.Job(planned, planned, str(tmp_path), True))
        (_, error), = runner.outcomes(0)
        if error:
            raise error
    for code, error in ((2, errors.UserError), (3, errors.TrainingStopped),
                        (143, errors.Preempted), (1, RuntimeError)):
        with pytest.raises(error, match=planned.name):
            run(code)
    run(0)
    assert json.loads(result.read_text())['name'] == planned.name


def test_the_encoder_has_a_rate_in_the_grid(tmp_path):
    def score(planned):
        return 0.4 + 0.1 * (planned.run.optimizer.encoder_factor < 0.5)
    whole, _ = _experiment(tmp_path, score, *GRID,
                           'ExperimentSpec.encoder_factors=(1, 0.1)')
    whole.run()
    rows = [r for r in _rows(tmp_path / 'runs.csv') if r['stage'] == 'segment']
    sweeps = [r['run'] for r in rows if r['role'] == 'sweep'
              and r['arm'] == 'ddep']
    assert sweeps == [f'sweep-ddep-n20-s0-lr{rate}-ef{factor}'
                      for rate in (0.001, 0.003) for factor in (1, 0.1)]
    assert {r['encoder_factor'] for r in rows if r['chosen'] == '1'} == {'0.1'}


def test_controls_start_from_the_runs_of_what_they_control(tmp_path):
    whole, _ = _experiment(
        tmp_path, lambda planned: 0.4, 'ExperimentSpec.seeds=(0,)',
        "ExperimentSpec.arms=('supervised', 'ddep_shuffled', 'ddep_norms',"
        " 'ddep', 'dep_encoder')")
    runs = whole.plan.runs
    assert [name for name in runs if 'denoise' in name] == [
        'denoise-ddep-s0', 'denoise-dep-s0']
    names = ('ddep', 'ddep_shuffled', 'ddep_norms', 'dep_encoder')
    tuned = {name: runs[f'segment-{name}-n20-s0'].run for name in names}
    denoised = whole.plan.run_dir('denoise-ddep-s0')
    assert {name: run.decoder_control for name, run in tuned.items()} == {
        'ddep': '', 'ddep_shuffled': 'shuffled', 'ddep_norms': 'norms',
        'dep_encoder': ''}
    assert {tuned[name].init_decoder for name in names[:3]} == {denoised}
    assert {tuned[name].init_encoder for name in names[:3]} == {denoised}
    assert tuned['dep_encoder'].init_encoder == whole.plan.run_dir(
        'denoise-dep-s0')
    assert tuned['dep_encoder'].init_decoder == ''
    whole.run()
    names = [r['run'] for r in _rows(tmp_path / 'runs.csv')]
    assert len(names) == len(set(names))


def test_rates_are_chosen_by_the_mean_over_seeds(tmp_path):
    """The lower rate is best at the first seed, the higher one in the mean."""
    vals = {(0, 1e-3): 0.5, (0, 3e-3): 0.4, (1, 1e-3): 0.3, (1, 3e-3): 0.5}

    def score(planned):
        run = planned.run
        return vals.get((run.seed, run.optimizer.learning_rate), 0.2)
    params = [*GRID, "ExperimentSpec.arms=('scratch',)",
              'ExperimentSpec.sweep_seeds=2']
    whole, _ = _experiment(tmp_path, score, *params)
    whole.run()
    rows = _rows(tmp_path / 'runs.csv')
    assert [r['run'] for r in rows if r['chosen'] == '1'] == [
        'sweep-scratch-n20-s0-lr0.003', 'sweep-scratch-n20-s1-lr0.003',
        'segment-scratch-n20-s2']
    assert all(r['test'] for r in rows if r['chosen'] == '1')
    assert not any(r['test'] for r in rows if r['chosen'] == '0')
    assert {r['learning_rate'] for r in rows if r['seed'] == '2'} == {'0.003'}
    report = read.read_experiment(tmp_path)
    grid = tables.grid_rows(report)
    assert grid[1][-2:] == ['40.0', '45.0 (chosen)']
    assert [(s.count, s.mean) for s in stats.scores(report)] == [
        (3, pytest.approx(100 * (0.2 + 0.25 + 0.1) / 3))]


def test_jobs_of_one_run_each_leave_what_a_whole_experiment_does(tmp_path):
    """Of a grid one rate diverges: it counts as the worst."""
    def score(actual):
        if actual.run.optimizer.learning_rate == 1e-3:
            raise errors.TrainingStopped('not finite at step 3')
        return 0.4
    whole, _ = _experiment(tmp_path, score, *GRID)
    for name, planned in whole.plan.runs.items():
        job, _ = _experiment(tmp_path, score, *GRID)
        diverges = planned.level == plan.SWEEP and '-lr0.001' in name
        with (pytest.raises(errors.TrainingStopped) if diverges
              else contextlib.nullcontext()):
            job.run_one(name)
    facts = json.loads((tmp_path / 'experiment.json').read_text())
    assert facts['done'] + len(facts['failed']) == facts['planned']
    rows = files.read_csv(tmp_path / 'runs.csv')
    assert all(row['learning_rate'] != '0.001' for row in rows
               if row['chosen'] == '1')


def test_a_test_that_another_machine_made_is_seen(tmp_path):
    whole, _ = _experiment(tmp_path, lambda planned: 0.4)
    whole.run()
    name = 'segment-ddep-n20-s0'
    path = tmp_path / 'runs' / name / 'result.json'
    tested = path.read_text()
    path.write_text(json.dumps({**json.loads(tested), 'test': None,
                                'test_details': None}))
    other, _ = _experiment(tmp_path, lambda planned: 0.4)
    assert other.ledger.result(name)['test'] is None
    path.write_text(tested)
    other.write()
    row, = (row for row in files.read_csv(tmp_path / 'runs.csv')
            if row['run'] == name)
    assert float(row['test']) == 0.2


def test_one_image_is_not_all_of_them():
    graph = _plan('ExperimentSpec.label_counts=(1, 20)',
                  'ExperimentSpec.label_fractions=(1.0,)',
                  'ExperimentSpec.label_runs=(1, 2, 2)',
                  'ExperimentSpec.seeds=(0, 1)', *GRID)
    for labels in ('n1', 'n1.0'):
        final = graph.find(f'segment-ddep-{labels}-s0')
        assert final.sweep and all(f'-{labels}-' in name
                                   for name in final.sweep)
    assert 'segment-ddep-n1.0-s1' in graph.runs
    assert 'segment-ddep-n1-s1' not in graph.runs
    with pytest.raises(errors.UserError, match='one image and all of them'):
        _plan('ExperimentSpec.label_counts=(1, 20)',
              'ExperimentSpec.label_fractions=(1.0,)',
              'ExperimentSpec.sweep_at=1', *GRID)


def test_a_rate_that_failed_on_all_labels_has_not_the_subset_of_one(tmp_path):
    params = ['ExperimentSpec.label_counts=(1,)',
              'ExperimentSpec.label_fractions=(1.0,)',
              'ExperimentSpec.seeds=(0,)', *GRID]

    def score(actual):
        run = actual.run
        if (run.label_fraction, run.optimizer.learning_rate) == (1.0, 1e-3):
            raise errors.TrainingStopped('not finite at step 3')
        return 0.4
    whole, _ = _experiment(tmp_path, score, *params)
    whole.run()
    for path in (tmp_path / 'runs').glob('*-n1-s0*/result.json'):
        path.write_text(path.read_text().replace('sha0', 'of one'))
    again, _ = _experiment(tmp_path, score, *params)
    again.write()
    subsets = {row['run']: row['subset_sha256']
               for row in files.read_csv(tmp_path / 'runs.csv')}
    assert subsets['sweep-ddep-n1-s0-lr0.001'] == 'of one'
    assert subsets['sweep-ddep-n1.0-s0-lr0.001'] == 'sha0'
