"""States that were cut off or altered on the disk."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.runtime import strategy, workers
from ddep_tf.training import checkpoint

import remote_hosts

STEPS = (5, 10, 15)


class _Part(tf.Module):
    def __init__(self, size=3000):
        super().__init__()
        self.weight = tf.Variable(tf.zeros(size))


def _state(folder, size=3000, keep=3):
    """Returns a State of a stand-in for an objective, and its variable."""
    objective = _Part(size)
    objective.optimizer = _Part()
    return checkpoint.State(folder, objective, keep, folder), objective.weight


def _value(step):
    return np.random.default_rng(step).normal(size=3000).astype(np.float32)


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A folder with the states of STEPS."""
    folder = tmp_path_factory.mktemp('saved')
    state, weight = _state(folder)
    assert state.restore() == 0
    for step in STEPS:
        weight.assign(_value(step))
        state.step.assign(step)
        state.save(0.0)
    return folder


@pytest.fixture
def run_dir(saved, tmp_path):
    shutil.copytree(saved, tmp_path / 'run')
    return tmp_path / 'run'


def _restored(run_dir):
    """Restores; returns the step, after a look at the value of that step."""
    state, weight = _state(run_dir)
    step = state.restore()
    np.testing.assert_array_equal(weight.numpy(), _value(step))
    return state, step


def _cut(path, keep):
    path.write_bytes(path.read_bytes()[:int(keep * path.stat().st_size)])


def _flip(path, place):
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 0xff
    path.write_bytes(data)


def _parts(run_dir, step):
    return [run_dir / 'state' / f'ckpt-{step}{suffix}'
            for suffix in ('.data-00000-of-00001', '.index')]


@pytest.mark.parametrize('part', [0, 1])
@pytest.mark.parametrize('damage, amount', [
    *((_cut, keep) for keep in (0, 0.01, 0.5, 0.99)),
    *((_flip, place) for place in (0.02, 0.3, 0.6)),
    (lambda path, _: path.unlink(), 0)])
def test_the_state_before_a_damaged_one_is_used(
        run_dir, capsys, part, damage, amount):
    damage(_parts(run_dir, 15)[part], amount)
    if not _parts(run_dir, 15)[1].exists():  # It was never finished.
        assert _restored(run_dir)[1] == 10
        return
    state, step = _restored(run_dir)
    said = capsys.readouterr().out
    assert step == 10 and 'ckpt-15 is damaged' in said and 'ckpt-10' in said
    assert not list((run_dir / 'state').glob('ckpt-15*'))
    assert list((run_dir / 'state' / 'damaged').iterdir())
    # It goes on as if the damaged one had never been.
    state.step.assign(15)
    state.save(0.0)
    assert tf.train.latest_checkpoint(run_dir / 'state').endswith('ckpt-15')


def test_two_damaged_states_are_both_set_aside(run_dir):
    _cut(_parts(run_dir, 15)[0], 0.5)
    _flip(_parts(run_dir, 10)[0], 0.5)
    assert _restored(run_dir)[1] == 5


def test_without_a_whole_state_nothing_is_trained_anew(run_dir):
    for step in STEPS:
        _cut(_parts(run_dir, step)[0], 0.5)
    state, _ = _state(run_dir)
    with pytest.raises(errors.UserError, match='ckpt-5 is damaged.*state/'):
        state.restore()
    assert _parts(run_dir, 5)[0].exists()


def test_a_damaged_list_of_states_loses_none(run_dir):
    (run_dir / 'state' / 'checkpoint').write_text('nonsense')
    state, step = _restored(run_dir)
    assert step == 15
    state.step.assign(20)
    state.save(0.0)  # The oldest is removed, as the list says again.
    assert sorted(path.name for path in (run_dir / 'state').glob('*.index')
                  ) == ['ckpt-10.index', 'ckpt-15.index', 'ckpt-20.index']


def test_a_state_of_another_network_is_no_damage(run_dir):
    state, _ = _state(run_dir, size=7)
    with pytest.raises(errors.UserError, match='of another network'):
        state.restore()
    assert _parts(run_dir, 15)[0].exists()


def test_a_full_disk_is_named_and_the_last_state_stays(make_disk):
    small_disk = make_disk('64k')
    state, weight = _state(small_disk)
    state.restore()
    weight.assign(_value(1))
    for step in (1, 2, 3):  # Each takes 24 KB.
        state.step.assign(step)
        try:
            state.save(0.0)
        except errors.UserError as error:
            text = str(error)
            break
    assert f'{small_disk / "state"}: the state of step {step}' in text
    assert 'No space left on device' in text and 'Op:' not in text
    assert '{{' not in text and 'node' not in text
    left = sorted(path.name for path in (small_disk / 'state').iterdir())
    assert not any(f'ckpt-{step}' in name for name in left), left
    again, value = _state(small_disk)
    assert again.restore() == step - 1
    np.testing.assert_array_equal(value.numpy(), _value(1))


def test_a_host_that_is_gone_while_a_state_is_saved_is_no_full_disk(
        run_dir, monkeypatch):
    state, _ = _restored(run_dir)
    state.step.assign(20)
    gone = f'localhost:{remote_hosts.free_port()}'
    monkeypatch.setattr(strategy, '_driven', [gone])

    def write(*args, **kwargs):  # What is said of a variable of that host.
        raise tf.errors.UnknownError(None, None, 'Failed to connect')

    monkeypatch.setattr(tf.train.CheckpointManager, 'save', write)
    with pytest.raises(errors.WorkerLost, match=f'{gone} does not answer'), (
            workers.losses_named()):
        state.save(0.0)


@pytest.mark.parametrize('value, higher', [(0.7, True), (0.1, False)])
def test_of_equal_values_the_first_state_is_the_best(tmp_path, value, higher):
    # float32 rounds both values towards the worse.
    state, _ = _state(tmp_path)
    state.restore()
    for step in STEPS:
        state.step.assign(step)
        state.save_if_best(value, higher)
    kept = [path.name for path in tmp_path.rglob('best/ckpt-*.index')]
    assert kept == ['ckpt-5.index']
