"""The loop, end to end on embedded data."""

import dataclasses
import functools
import gc
import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, files, specs
from ddep_tf.data.sources import decoded_source
from ddep_tf.models import weights
from ddep_tf.objectives import segment
from ddep_tf.runtime import (
    build,
    class_weights,
    handover,
    inputs,
    run_folder,
    stop_signal,
)
from ddep_tf.training import optimizer, train

ONE = tf.distribute.OneDeviceStrategy('/cpu:0')


def _train(run, where, strategy=ONE, **kwargs):
    return train.train(run, '', str(where), '', strategy, **kwargs)


@pytest.fixture(scope='module')
def finished(make_run, tmp_path_factory):
    """A function that returns a copy of the finished run of a stage, which is
    trained once, and the result that training it returned."""
    @functools.cache
    def trained(stage):
        where = tmp_path_factory.mktemp(stage)
        return where, _train(make_run(stage), where)

    def copy(stage):
        where, result = trained(stage)
        target = tmp_path_factory.mktemp(f'{stage}-copy')
        shutil.copytree(where, target, dirs_exist_ok=True)
        return target, result
    return copy


def _arrays(where):
    return weights.read_npz(where / 'weights.npz')


def _losses(where):
    return [float(row['loss']) for row in files.read_csv(
        where / 'metrics.csv')]


def _assert_equal(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)


@pytest.mark.parametrize('stage', ['classify', 'denoise', 'segment'])
def test_a_run_leaves_what_it_promises(finished, stage):
    run_dir, result = finished(stage)
    for name in ('config.json', 'metrics.csv', 'validation.csv', 'result.json',
                 'weights.npz', 'weights.json', 'tensorboard', 'state'):
        assert (run_dir / name).exists(), name
    more = {'denoise': ['levels/0.22_denoised.png'], 'segment': [
        f'extremes/{name}_prediction.png' for name in (
            'worst_1', 'worst_2', 'best_1', 'best_2')]}.get(stage, [])
    assert sorted(path.name for path in run_dir.glob('per_image.csv')) == (
        ['per_image.csv'] if stage == 'segment' else [])
    assert all((run_dir / 'samples' / name).exists() for name in more)
    assert [row['step'] for row in files.read_csv(
        run_dir / 'metrics.csv')] == ['1', '2', '3', '4']
    assert np.isfinite(result['val'])
    assert result['test_details']['images'] == 6
    assert result == json.loads((run_dir / 'result.json').read_text())
    assert {'seed': 0, 'width': 1, 'label_fraction': 0.0, 'label_count': 0,
            'images': 6, 'subset_sha256': '', 'steps': 4}.items() <= (
                result.items())
    versions = result['versions']
    assert list(versions) == ['ddep_tf', 'tensorflow', 'keras',
                              'tensorflow-datasets', 'numpy', 'python']
    assert versions['tensorflow'] == tf.__version__
    assert versions['numpy'] == np.__version__ and all(versions.values())


def _held():
    """Returns the traced graphs and Keras variables that are in memory."""
    gc.collect()
    return [found for found in gc.get_objects()
            if type(found).__name__ in ('FuncGraph', 'Variable')]


def test_a_run_leaves_no_network_in_memory(make_run, tmp_path):
    keras.backend.clear_session()
    before = len(_held())
    _train(make_run('denoise', steps=1), tmp_path)
    keras.backend.clear_session()
    assert len(_held()) <= before


def test_a_finished_run_is_not_run_again(make_run, finished):
    run_dir, first = finished('segment')
    before = (run_dir / 'weights.npz').stat().st_mtime_ns
    assert _train(make_run('segment'), run_dir) == first
    assert (run_dir / 'weights.npz').stat().st_mtime_ns == before


def test_a_run_cut_off_behind_its_last_step_ends_alike(make_run, finished):
    run_dir, first = finished('segment')
    arrays = _arrays(run_dir)
    for name in ('result.json', 'weights.npz', 'weights.json'):
        (run_dir / name).unlink()
    again = _train(make_run('segment'), run_dir)
    for key in ('val', 'test', 'steps', 'subset_sha256'):
        assert again[key] == first[key]
    _assert_equal(arrays, _arrays(run_dir))
    assert len(files.read_csv(run_dir / 'validation.csv')) == 1


def test_what_was_left_out_is_tested_by_the_weights_alone(
        make_run, finished):
    late, expected = finished('segment')
    untested = {**expected, 'test': None}
    del untested['test_details']
    files.write_json(late / 'result.json', untested)
    whole = (late / 'per_image.csv').read_bytes()
    (late / 'per_image.csv').unlink()
    shutil.rmtree(late / 'state')
    again = _train(make_run('segment'), late)
    assert again['test'] == expected['test']
    assert again['test_details'] == expected['test_details']
    assert len(files.read_csv(late / 'per_image.csv')) == 6
    assert (late / 'per_image.csv').read_bytes() == whole


def test_a_run_that_was_refused_is_mended_in_place(make_run, tmp_path):
    with pytest.raises(errors.UserError, match='99'):
        _train(make_run('segment', label_count=99), tmp_path)
    run = make_run('segment', label_count=2, eager=True, steps=1)
    result = _train(run, tmp_path, test=False)
    assert result['images'] == 2 and result['test'] is None
    assert not (tmp_path / 'per_image.csv').exists()


def test_another_config_is_refused_and_nothing_is_lost(make_run, finished):
    run_dir, _ = finished('segment')
    before = sorted(p.name for p in run_dir.rglob('*'))
    with pytest.raises(errors.UserError, match='seed'):
        _train(make_run('segment', seed=7), run_dir)
    assert sorted(p.name for p in run_dir.rglob('*')) == before


class _Killed(Exception):
    pass


def _cut_off_at(step, run, where, monkeypatch):
    """Trains a run until it is killed as it logs that step."""
    log = train.TrainingRun._log

    def die(training_run, row):
        if row['step'] == step:
            raise _Killed
        log(training_run, row)
    monkeypatch.setattr(train.TrainingRun, '_log', die)
    with pytest.raises(_Killed):
        _train(run, where)
    monkeypatch.undo()


# That of segment through its launcher: test_launchers.py.
@pytest.mark.parametrize('stage', [
    'denoise', pytest.param('segment', marks=pytest.mark.full)])
def test_two_and_two_steps_equal_four(make_run, finished, tmp_path,
                                      monkeypatch, stage):
    (whole, _), cut = finished(stage), tmp_path / 'cut'
    _cut_off_at(3, make_run(stage), cut, monkeypatch)
    _train(make_run(stage), cut)
    _assert_equal(_arrays(whole), _arrays(cut))
    assert _losses(whole) == _losses(cut)


@pytest.fixture(scope='module')
def validated(make_run, tmp_path_factory):
    """A run that validates twice, and its folder."""
    run = make_run('segment', eager=True, eval_every=2)
    where = tmp_path_factory.mktemp('validated')
    _train(run, where)
    return run, where


@pytest.mark.parametrize('asked_in', ['_validate', '_finish'])
def test_a_run_stopped_while_it_evaluates_ends_alike(
        validated, tmp_path, monkeypatch, asked_in):
    """It validates again: the best state is that of the run as a whole."""
    (run, whole), cut = validated, tmp_path / 'cut'
    stop = stop_signal.StopSignal()
    evaluate = getattr(train.TrainingRun, asked_in)

    def ask(training_run, *args):
        stop.asked = True
        return evaluate(training_run, *args)
    monkeypatch.setattr(train.TrainingRun, asked_in, ask)
    step = {'_validate': 2, '_finish': 4}[asked_in]
    with pytest.raises(errors.Preempted, match=f'saved at step {step}'):
        _train(run, cut, stop=stop)
    monkeypatch.undo()
    _train(run, cut)
    _assert_equal(_arrays(whole), _arrays(cut))
    assert (cut / 'validation.csv').read_text() == (
        whole / 'validation.csv').read_text()
    assert sorted(p.name for p in (cut / 'state').rglob('*.index')) == sorted(
        p.name for p in (whole / 'state').rglob('*.index'))


def test_denoising_moves_no_bit_of_a_frozen_encoder(make_run, tmp_path):
    run = make_run('denoise')
    network = build.build_network(run)
    before = {k: v.numpy() for k, v in weights.named_variables(
        network).items()}
    objective = build.build_objective(run, network)
    optimizer.add_optimizer(run, objective)
    batch = next(iter(inputs.train_dataset(run, inputs.open_labelled(run, ''))))
    for _ in range(3):
        objective.train_step(batch)
    moved = {k for k, v in weights.named_variables(network).items()
             if (v.numpy() != before[k]).any()}
    assert moved and all(k.startswith(('decoder/', 'head/')) for k in moved)
    assert len(moved) == sum(
        len(part.trainable_variables)
        for part in (network.decoder, network.head))


def test_a_frozen_encoder_keeps_its_dropout_off(make_run):
    run = make_run('denoise')
    run = dataclasses.replace(
        run, encoder=dataclasses.replace(run.encoder, dropout=0.9))
    objective = build.build_objective(run, build.build_network(run))
    batch = next(iter(inputs.train_dataset(run, inputs.open_labelled(run, ''))))
    batch = objective.prepared(batch)
    first, _ = objective.batch_loss(batch, training=True)
    second, _ = objective.batch_loss(batch, training=True)
    assert float(first) == float(second)


def test_dep_trains_the_encoder(make_run):
    run = make_run('denoise', train_encoder=True)
    network = build.build_network(run)
    objective = build.build_objective(run, network)
    optimizer.add_optimizer(run, objective)
    kernel = weights.named_variables(network)['conv_root/kernel']
    before = kernel.numpy()
    batch = next(iter(inputs.train_dataset(run, inputs.open_labelled(run, ''))))
    objective.train_step(batch)
    assert (kernel.numpy() != before).any()


@pytest.mark.parametrize('stage', [
    *(pytest.param(stage, marks=pytest.mark.full)
      for stage in ('classify', 'denoise')), 'segment'])
def test_two_replicas_equal_one(make_run, finished, tmp_path, two, stage):
    assert two.num_replicas_in_sync == 2
    run_dir, _ = finished(stage)
    run = make_run(stage)
    if stage == 'denoise':  # Nothing is measured, which takes longer.
        run = dataclasses.replace(run, data=(dataclasses.replace(
            run.data[0], val_split='', test_split=''),))
    _train(run, tmp_path, two)
    one, other = _arrays(run_dir), _arrays(tmp_path)
    # Adam's first steps are of the size of the learning rate, whatever the
    # gradient: where it is nil, rounding decides its sign.
    close = [np.isclose(one[k], other[k], atol=2e-5).mean() for k in one]
    assert np.mean(close) > 0.97
    np.testing.assert_allclose(_losses(run_dir), _losses(tmp_path), rtol=1e-4)


@pytest.mark.parametrize('loss', [
    specs.LossSpec(), specs.LossSpec(class_weights=(1, 2, 0, 4, 5, 0.1)),
    specs.LossSpec(focal_gamma=2.0, label_smoothing=0.1),
    specs.LossSpec(dice_weight=1.0)])
def test_two_replicas_have_the_loss_of_the_global_batch(two, loss):
    """One has an image without labels and one of a single labelled pixel; in
    parts too, one image each, and compiled by XLA."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32)
    label = rng.integers(0, 6, (4, 32, 32)).astype(np.int32)
    label[:2] = 255
    label[1, 3, 4] = 2
    with two.scope():
        objective = segment.Segment(keras.Sequential(
            [keras.Input((32, 32, 3)), keras.layers.Conv2D(6, 1)]), loss)
    batch = {'image': tf.constant(image), 'label': tf.constant(label)}
    scale = tf.ones(())
    value, _, gradients = objective._gradients(
        batch, objective.divisor(batch), scale)
    expected = [value, *gradients]
    parts = next(iter(two.experimental_distribute_dataset(
        tf.data.Dataset.from_tensors(batch).unbatch().batch(4))))

    def sums(function):
        @tf.function
        def step(batch):
            shares = two.run(lambda part: function(
                part, objective.divisor(part), scale), args=(batch,))
            return [two.reduce('SUM', share, None)
                    for share in (shares[0], *shares[2])]
        return step(parts)

    plain = sums(objective._gradients)
    objective.accumulate = 2
    parts_of_one = sums(objective._gradients)
    objective.compile_gradients()
    for found in (plain, parts_of_one, sums(objective._gradients_fn)):
        for one, other in zip(found, expected):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_any_loss_and_augmentation_resumes_and_says_its_weights(
        make_run, tmp_path, monkeypatch):
    run = make_run(
        'segment', eager=True, label_count=3, loss=specs.LossSpec(
            class_weights='balanced', label_smoothing=0.1, focal_gamma=1.0,
            dice_weight=0.5),
        augment=specs.AugmentSpec(True, True, 0.1, 0.1, 0.1, 0.1))
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    result = _train(run, whole)
    source, = inputs.open_labelled(run, '')
    weights_ = class_weights.balanced(class_weights.pixel_counts(source, 6))
    assert result['class_weights'] == list(weights_)
    facts = files.read_json(whole / 'weights.json')
    assert facts['spec']['loss']['class_weights'] == list(weights_)
    assert files.read_json(whole / 'config.json')['loss'][
        'class_weights'] == 'balanced'
    _cut_off_at(3, run, cut, monkeypatch)
    _train(run, cut)
    _assert_equal(_arrays(whole), _arrays(cut))
    assert _losses(whole) == _losses(cut)


@pytest.mark.parametrize('stage, changes', [
    ('classify', {}), ('segment', {'accumulate': 2})])
def test_a_run_with_dropout_resumes_to_the_same_bits(
        make_run, tmp_path, monkeypatch, stage, changes):
    run = make_run(stage, encoder=specs.EncoderSpec('tiny', dropout=0.5),
                   eager=True, **changes)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    _train(run, whole)
    _cut_off_at(3, run, cut, monkeypatch)
    _train(run, cut)
    assert _losses(whole) == _losses(cut)
    _assert_equal(_arrays(whole), _arrays(cut))


def test_a_run_in_16_bits_resumes_and_leaves_float32(
        make_run, tmp_path, monkeypatch):
    run = make_run('denoise', precision=specs.FLOAT16, eager=True)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    _train(run, whole)
    _cut_off_at(3, run, cut, monkeypatch)
    _train(run, cut)
    _assert_equal(_arrays(whole), _arrays(cut))
    assert _losses(whole) == _losses(cut)
    assert {a.dtype for a in _arrays(whole).values()} == {np.dtype('f4')}
    state = tf.train.load_checkpoint(
        tf.train.latest_checkpoint(str(whole / 'state')))
    saved = state.get_variable_to_dtype_map()
    assert any('scale' in name for name in saved)
    assert not {tf.float16, tf.bfloat16} & set(saved.values())
    assert keras.config.dtype_policy().name == specs.FLOAT32


def test_a_non_finite_loss_stops_and_keeps_the_last_good_state(
        make_run, tmp_path):
    run = make_run('segment', steps=20, checkpoint_every=1)
    run = dataclasses.replace(run, optimizer=dataclasses.replace(
        run.optimizer, learning_rate=1e38, schedule='constant'))
    with pytest.raises(errors.TrainingStopped) as stopped:
        _train(run, tmp_path)
    good = int(tf.train.latest_checkpoint(
        str(tmp_path / 'state')).rpartition('-')[2])
    assert f'not finite at step {good + 1}:' in str(stopped.value)
    assert not (tmp_path / 'weights.npz').exists()
    assert not (tmp_path / 'result.json').exists()
    rows = files.read_csv(tmp_path / 'metrics.csv')
    assert all(np.isfinite(float(row['loss'])) for row in rows)


@pytest.mark.full
def test_two_replicas_compile_with_xla(make_run, finished, tmp_path, two):
    plain, _ = finished('denoise')
    _train(make_run('denoise', jit_compile=True), tmp_path, two)
    np.testing.assert_allclose(_losses(tmp_path), _losses(plain), rtol=1e-3)


def test_stages_hand_over(make_run, finished, tmp_path):
    first, _ = finished('classify')
    _train(make_run('denoise', steps=1, init_encoder=str(first)),
           tmp_path / 'b')
    run = make_run('segment', init_encoder=str(tmp_path / 'b'),
                   init_decoder=str(tmp_path / 'b'))
    network = build.build_network(run)
    rows = build.graft(run, network)
    states = {key: state for key, _, state in rows if state != 'left'}
    arrays = _arrays(tmp_path / 'b')
    for key, variable in weights.named_variables(network).items():
        assert states[key] == ('new' if key.startswith('head/') else 'loaded')
        if not key.startswith('head/'):
            np.testing.assert_array_equal(variable.numpy(), arrays[key])
    facts = json.loads((tmp_path / 'b' / 'weights.json').read_text())
    assert facts['position_grid'] == [2, 2] and facts['stage'] == 'denoise'
    encoder = _arrays(first)
    for key in encoder:
        if not key.startswith(('head/', 'cls')):
            np.testing.assert_array_equal(encoder[key], arrays[key])


@pytest.mark.parametrize('changes, named', [
    ({'label_count': 99}, '99'), ({'label_fraction': 1e-4}, 'fraction'),
    ({'init_decoder': '/nowhere'}, 'nowhere')])
def test_bad_input_is_named_before_anything_is_trained(
        make_run, tmp_path, changes, named):
    with pytest.raises(errors.UserError, match=named):
        _train(make_run('segment', **changes), tmp_path)
    assert not (tmp_path / 'metrics.csv').exists()


def _handed(run, where):
    """Writes what a run would leave, untrained; returns where as str."""
    where.mkdir()
    handover.write(where / run_folder.WEIGHTS, weights.export_arrays(
        build.build_network(run)), {'position_grid': [2, 2]})
    return str(where)


def _table(run):
    """Returns {state: list of keys} of what a run takes over."""
    rows = build.graft(run, build.build_network(run))
    return {state: [key for key, _, s in rows if s == state]
            for state in ('loaded', 'new', 'left')}


def test_encoder_and_decoder_of_two_files(make_run, tmp_path):
    run = make_run('segment',
                   init_encoder=_handed(make_run('denoise'), tmp_path / 'a'),
                   init_decoder=_handed(make_run('denoise'), tmp_path / 'b'))
    one, other = _arrays(tmp_path / 'a'), _arrays(tmp_path / 'b')
    network = build.build_network(run)
    build.graft(run, network)
    for key, variable in weights.named_variables(network).items():
        if not key.startswith('head/'):
            source = other if key.startswith('decoder/') else one
            np.testing.assert_array_equal(variable, source[key])
    table, head = _table(run), ['head/kernel', 'head/bias']
    # Left of one file and loaded from the other is loaded; of both, left once.
    assert sorted(table['loaded']) == sorted(set(one) - set(head))
    assert table['new'] == head and table['left'] == head


def test_the_table_of_one_file_and_of_none(make_run, tmp_path):
    first = _handed(make_run('classify'), tmp_path / 'a')
    second = _handed(make_run('denoise'), tmp_path / 'b')
    named = list(weights.named_variables(build.build_network(
        make_run('segment'))))
    ours = [k for k in named if k.startswith(('decoder/', 'head/'))]
    assert _table(make_run('segment')) == {'loaded': [], 'new': named,
                                           'left': []}
    table = _table(make_run('segment', init_encoder=first))
    assert table['new'] == ours
    assert sorted(table['left']) == ['cls', 'head/bias', 'head/kernel']
    table = _table(make_run('segment', init_encoder=first,
                            init_decoder=second))
    assert table['new'] == ['head/kernel', 'head/bias']
    assert sorted(table['left']) == ['cls', 'head/bias', 'head/kernel']
    assert sorted(table['loaded']) == sorted(set(named) - set(table['new']))


def test_a_batch_that_does_not_divide_is_refused(make_run, tmp_path, two):
    with pytest.raises(errors.UserError, match='replicas'):
        _train(make_run('segment', global_batch_size=3), tmp_path, two)


def test_sets_of_different_classes_are_refused(make_run, tmp_path):
    shapes, = make_run('segment').data
    few = dataclasses.replace(shapes, label_set='')
    with pytest.raises(errors.UserError, match=r'6, .*, 6, .shapes'):
        _train(make_run('segment', data=(shapes, few)), tmp_path)


def test_decoding_once_gives_the_same_run(make_run, tmp_path, monkeypatch):
    run = make_run('segment', steps=6, label_count=5)  # Each is seen twice.
    held = []
    decode = inputs.decoded_once

    def watched(*args):
        held.extend(decode(*args))
        return held
    monkeypatch.setattr(inputs, 'decoded_once', watched)
    _train(run, tmp_path / 'once')
    assert {type(source) for source in held} == {decoded_source.DecodedSource}
    monkeypatch.setattr(decoded_source, 'HOLD_BYTES', 0)
    held.clear()
    _train(run, tmp_path / 'each')
    assert decoded_source.DecodedSource not in {type(s) for s in held}
    assert _losses(tmp_path / 'once') == _losses(tmp_path / 'each')
    _assert_equal(_arrays(tmp_path / 'once'), _arrays(tmp_path / 'each'))
