"""--reuse: the same runs are taken over, others are not."""

import pytest

from ddep_tf import configure, errors, files
from ddep_tf.experiments import executors, reuse
from ddep_tf.experiments import runner as runner_lib
from ddep_tf.runtime import run_folder

import pretended

pytestmark = pytest.mark.quick

PARAMS = ["ExperimentSpec.arms=('supervised', 'ddep')",
          'ExperimentSpec.seeds=(0, 1)']
RUNS = ['classify', 'denoise-ddep-s0', 'denoise-ddep-s1',
        'segment-supervised-n20-s0', 'segment-ddep-n20-s0',
        'segment-supervised-n20-s1', 'segment-ddep-n20-s1']


def _run(where, *params, reused=()):
    """Runs an experiment; returns the names of the runs that it trained."""
    spec, stages, operative = configure.load_experiment(
        ['experiments/demo_shapes.gin'], [*PARAMS, *params])
    trainer = pretended.Trainer(
        lambda planned: 0.4 + planned.run.optimizer.learning_rate)
    whole = runner_lib.Experiment(
        spec, stages, operative, str(where), '', executors.Serial(trainer),
        finished=reuse.Finished(reused))
    whole.run()
    return [name for name, _ in trainer.asked]


def _rows(where):
    return files.read_csv(where / 'runs.csv')


def test_the_same_runs_are_taken_over(tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    assert _run(one) == RUNS
    denoised = one / 'runs' / 'denoise-ddep-s0'
    (denoised / 'samples').mkdir()
    (denoised / 'samples' / 'a.png').write_bytes(b'picture')
    (denoised / 'state').mkdir()
    assert _run(two, reused=[one]) == []
    assert _rows(two) == _rows(one)
    taken = two / 'runs' / 'denoise-ddep-s0'
    assert (taken / 'samples' / 'a.png').read_bytes() == b'picture'
    assert not (taken / 'state').exists()
    # They are this experiment's from now on, wherever the other one goes.
    run = run_folder.read_run(two / 'runs' / RUNS[-1])
    assert run.init_decoder == str(two / 'runs' / 'denoise-ddep-s1')
    one.rename(tmp_path / 'gone')
    assert _run(two) == []
    assert _run(tmp_path / 'three', reused=[two]) == []


def test_what_differs_and_all_that_starts_from_it_is_trained(tmp_path):
    one = tmp_path / 'one'
    _run(one)
    length = 'denoise/RunSpec.steps=7'
    assert _run(tmp_path / 'longer', length, reused=[one]) == [
        name for name in RUNS if 'ddep' in name]
    # Of two experiments, each has what the other lacks.
    assert _run(tmp_path / 'both', length, 'ExperimentSpec.seeds=(0, 1, 2)',
                reused=[one, tmp_path / 'longer']) == [
        'denoise-ddep-s2', 'segment-supervised-n20-s2', 'segment-ddep-n20-s2']
    assert _run(tmp_path / 'rate', 'segment/OptimizerSpec.learning_rate=0.5',
                reused=[one]) == RUNS[3:]


def test_a_grid_is_taken_over_and_its_best_run_is_tested(tmp_path):
    grid = 'ExperimentSpec.learning_rates=(1e-3, 3e-3)'
    one = tmp_path / 'one'
    trained = _run(one, grid)
    best = 'sweep-ddep-n20-s0-lr0.003'
    assert trained.count(best) == 2  # Trained, and later tested.
    assert _run(tmp_path / 'two', grid, reused=[one]) == []
    assert _rows(tmp_path / 'two') == _rows(one)
    # What was not tested there is no final run here.
    result = one / 'runs' / best / run_folder.RESULT
    found = files.read_json(result)
    files.write_json(result, {**found, 'test': None, 'test_details': None})
    assert _run(tmp_path / 'three', grid, reused=[one]) == [best]
    assert _rows(tmp_path / 'three') == _rows(one)


def test_a_run_that_is_going_on_stays_and_unfinished_ones_are_left(tmp_path):
    one, two = tmp_path / 'one', tmp_path / 'two'
    _run(one)
    _run(two)
    for folder, name in ((one, RUNS[6]), (two, RUNS[6]), (two, RUNS[4]),
                         (two, RUNS[3])):
        (folder / 'runs' / name / run_folder.RESULT).unlink()
    state = two / 'runs' / RUNS[4] / 'state'
    state.mkdir()
    (state / 'checkpoint').touch()
    assert _run(two, reused=[one]) == [RUNS[4], RUNS[6]]


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match='--reuse .*none'):
        reuse.Finished([tmp_path / 'none'])
    assert not (tmp_path / 'none').exists()


def _with_weights(where):
    for folder in (where / 'runs').iterdir():
        (folder / run_folder.WEIGHTS).write_bytes(b'weights')


@pytest.mark.parametrize('cut', ['write_config', 'write_result'])
def test_a_copy_that_is_cut_short_is_made_again(tmp_path, monkeypatch, cut):
    one, two, three = (tmp_path / name for name in ('one', 'two', 'three'))
    _run(one)
    _with_weights(one)

    def stop(*_):
        raise KeyboardInterrupt
    for where in (two, three):
        with monkeypatch.context() as patched:
            patched.setattr(run_folder, cut, stop)
            with pytest.raises(KeyboardInterrupt):
                _run(where, reused=[one])
    assert _run(two, reused=[one]) == []
    assert all((folder / run_folder.WEIGHTS).exists()
               for folder in (two / 'runs').iterdir())
    assert _run(three) == RUNS  # Without --reuse they are trained.


def test_other_workers_wait_for_the_copy_of_the_first(tmp_path, monkeypatch):
    one = tmp_path / 'one'
    _run(one)
    run = run_folder.read_run(one / 'runs' / 'classify')
    target = tmp_path / 'taken'
    chief, other = (reuse.Finished([one], is_chief)
                    for is_chief in (True, False))
    monkeypatch.setattr(reuse, '_WAIT_SECONDS', 0)
    with pytest.raises(errors.WorkerLost, match='taken'):
        other.take(run, target, False)
    assert not target.exists()
    # The chief makes it while the other one waits, or has made it.
    monkeypatch.setattr(reuse, '_WAIT_SECONDS', 60)
    expected = one / 'runs' / 'classify'
    assert other.take(run, target, False, lambda _: chief.take(
        run, target, False)) == expected
    assert run_folder.read_result(target)
    assert [each.take(run, target, False) for each in (other, chief)] == [
        expected, expected]
    # Where a training has begun, both go on with it.
    (target / 'state').mkdir()
    (target / 'state' / 'checkpoint').touch()
    assert [each.take(run, target, False) for each in (other, chief)] == [
        None, None]
