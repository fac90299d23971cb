"""Loading, exporting and grafting weights; damaged and wrong files."""

import json
import pickle

import numpy as np
import pytest

from ddep_tf import specs
from ddep_tf.models import encoder, segmenter, weights

import numpy_encoder

pytestmark = pytest.mark.quick

POSITIONS = 'Transformer/posembed_input/pos_embedding'
ROOT = 'conv_root/kernel'


def _encoder(**kwargs):
    return encoder.build_encoder('tiny', (32, 32), **kwargs)


def _network(outputs=3, name='tiny', **kwargs):
    spec = specs.DecoderSpec(entry_channels=32,
                             block_channels=(32, 16, 16, 16), **kwargs)
    return segmenter.build_network(specs.EncoderSpec(name), spec, outputs,
                                   (32, 32))


@pytest.fixture(name='arrays')
def tiny_arrays():
    return numpy_encoder.random_arrays((2, 2), num_classes=3,
                                       representation_size=4)


def _saved(tmp_path, arrays):
    path = tmp_path / 'weights.npz'
    weights.save_npz(path, arrays)
    return path


def _assert_equal(ours, truth):
    assert list(ours) == list(truth)
    for key, value in truth.items():
        np.testing.assert_array_equal(ours[key], value)


def test_encoder_reports_what_it_loads(tmp_path, arrays):
    path = _saved(tmp_path, arrays)
    top = ['head/bias', 'head/kernel', 'pre_logits/bias', 'pre_logits/kernel']
    report = weights.load_vit_npz(_encoder(), path)
    assert report.loaded == sorted(set(arrays) - {'cls', *top})
    assert (report.unused, report.missing) == (['cls', *top], [])
    report = weights.load_vit_npz(_encoder(class_token=True), path)
    assert 'cls' in report.loaded and report.unused == top


def test_classifier_strict_and_skip(tmp_path, arrays):
    path = _saved(tmp_path, arrays)
    model = encoder.build_classifier('tiny', 3, 4, (32, 32))
    report = weights.load_vit_npz(model, path)
    assert report == weights.LoadReport(sorted(arrays), [], [])

    other = encoder.build_classifier('tiny', 7, 5, (32, 32))
    before = weights.export_arrays(other)
    with pytest.raises(ValueError, match='head/kernel'):
        weights.load_vit_npz(other, path)
    _assert_equal(weights.export_arrays(other), before)
    report = weights.load_vit_npz(other, path, head='skip')
    top = ['head/bias', 'head/kernel', 'pre_logits/bias', 'pre_logits/kernel']
    assert report.missing == top and report.unused == top
    after = weights.export_arrays(other)
    for key in top:
        np.testing.assert_array_equal(after[key], before[key])
    np.testing.assert_array_equal(after[ROOT], arrays[ROOT])


def test_classifier_without_pre_logits(tmp_path, arrays):
    model = encoder.build_classifier('tiny', 3, image_size=(32, 32))
    kept = {k: v for k, v in arrays.items() if 'pre_logits' not in k}
    kept['head/kernel'] = np.zeros((48, 3), 'f4')
    assert weights.load_vit_npz(model, _saved(tmp_path, kept)).unused == []
    with pytest.raises(ValueError, match='pre_logits'):
        weights.load_vit_npz(
            encoder.build_classifier('tiny', 3, 4, (32, 32)),
            tmp_path / 'weights.npz')
    with pytest.raises(ValueError, match='head'):
        weights.load_vit_npz(model, tmp_path / 'weights.npz', head='drop')


def test_classifier_never_drops_pre_logits(tmp_path):
    """Even of the tokens' width: the head was trained on their output."""
    arrays = numpy_encoder.random_arrays((2, 2), num_classes=3,
                                         representation_size=48)
    path = _saved(tmp_path, arrays)
    model = encoder.build_classifier('tiny', 3, image_size=(32, 32))
    before = weights.export_arrays(model)
    with pytest.raises(ValueError, match='pre_logits'):
        weights.load_vit_npz(model, path)
    _assert_equal(weights.export_arrays(model), before)
    report = weights.load_vit_npz(model, path, head='skip')
    assert report.missing == ['head/bias', 'head/kernel']


def test_round_trip_is_exact(tmp_path):
    for net in (_network(norm='batch'), _network(name='efficientnet_lite0'),
                encoder.build_classifier('tiny', 3, 4, (32, 48))):
        rng = np.random.default_rng(1)
        for variable in weights.named_variables(net).values():
            variable.assign(rng.normal(size=variable.shape))
        arrays = weights.export_arrays(net)
        assert len(arrays) == len(net.weights)
        path = _saved(tmp_path, arrays)
        _assert_equal(weights.read_npz(path), arrays)
        for variable in net.weights:
            variable.assign(np.zeros(variable.shape))
        weights.load_arrays(net, weights.read_npz(path), path)
        _assert_equal(weights.export_arrays(net), arrays)
        assert [p.name for p in tmp_path.iterdir()] == ['weights.npz']


def test_load_arrays_takes_exactly_the_models_keys():
    net = _network()
    arrays = weights.export_arrays(net)
    with pytest.raises(ValueError, match='strange'):
        weights.load_arrays(net, {**arrays, 'strange': np.zeros(1)})
    del arrays['head/bias']
    with pytest.raises(ValueError, match='head/bias'):
        weights.load_arrays(net, arrays)


def _with(key, value):
    return lambda arrays: {**arrays, key: value}


BAD = {
    'missing': (lambda arrays: {k: v for k, v in arrays.items() if k != ROOT},
                ROOT),
    'misshapen': (_with(ROOT, np.zeros((7, 7, 3, 16), 'f4')), ROOT),
    'transposed': (_with('embedding/kernel', np.zeros((512, 48), 'f4')),
                   'embedding/kernel'),
    'nan': (_with(ROOT, np.full((7, 7, 3, 32), np.nan, 'f4')), ROOT),
    'infinite': (_with(ROOT, np.full((7, 7, 3, 32), np.inf, 'f4')), ROOT),
    'too large for float32': (_with(ROOT, np.full((7, 7, 3, 32), 1e200)),
                              ROOT),
    'text': (_with(ROOT, np.full((7, 7, 3, 32), 'x')), ROOT),
    'positions of no square': (
        _with(POSITIONS, np.zeros((1, 7, 48), 'f4')), 'pos_embedding'),
    'positions of other channels': (
        _with(POSITIONS, np.zeros((1, 10, 32), 'f4')), 'pos_embedding'),
    'positions of one axis': (
        _with(POSITIONS, np.zeros(48, 'f4')), 'pos_embedding'),
    'unknown': (_with('block9/unit1/conv1/kernel', np.zeros(1, 'f4')),
                'block9'),
}


@pytest.mark.parametrize('case', BAD)
def test_wrong_arrays_are_named_and_change_nothing(tmp_path, arrays, case):
    spoil, message = BAD[case]
    path = tmp_path / 'bad.npz'
    np.savez(path, **spoil(arrays))
    model = _encoder()
    before = weights.export_arrays(model)
    with pytest.raises(ValueError, match=message) as caught:
        weights.load_vit_npz(model, path)
    assert str(path) in str(caught.value)
    _assert_equal(weights.export_arrays(model), before)


class Trap:
    """Raises when unpickled."""

    def __reduce__(self):
        return exec, ('raise SystemExit("unpickled")',)


def _damage(path, arrays, how):
    np.savez(path, **arrays)
    whole = path.read_bytes()
    if how == 'cut':
        path.write_bytes(whole[:len(whole) // 2])
    elif how == 'flipped':
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + b'\xff\x00\xff'
                         + whole[middle + 3:])
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'text':
        path.write_text('no weights')
    elif how == 'npy':
        np.save(path.open('wb'), np.zeros(3))
    elif how == 'pickle':
        path.write_bytes(pickle.dumps(Trap()))
    elif how == 'object':
        np.savez(path, **{**arrays, ROOT: np.array(Trap(), dtype=object)})
    elif how == 'folder':
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize('how', ['cut', 'flipped', 'empty', 'text', 'npy',
                                 'pickle', 'object', 'folder'])
def test_damaged_files_are_named(tmp_path, arrays, how):
    path = tmp_path / 'damaged.npz'
    _damage(path, arrays, how)
    model = _encoder()
    before = weights.export_arrays(model)
    with pytest.raises(ValueError, match='damaged.npz'):
        weights.load_vit_npz(model, path)
    _assert_equal(weights.export_arrays(model), before)


def test_failed_save_keeps_what_was_there(tmp_path, monkeypatch):
    path = _saved(tmp_path, {'a': np.ones(3, 'f4')})
    old = path.read_bytes()

    def full(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(ValueError, match='weights.npz.*No space'):
        weights.save_npz(path, {'a': np.zeros(3, 'f4')})
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ['weights.npz']


def test_equal_arrays_give_equal_files_and_any_key_is_allowed(tmp_path):
    arrays = {'file': np.ones(3, 'f4'), 'a/b': np.float32(2).reshape(())}
    first = _saved(tmp_path, arrays).read_bytes()
    assert _saved(tmp_path, arrays).read_bytes() == first
    _assert_equal(weights.read_npz(tmp_path / 'weights.npz'), arrays)
    assert list(weights.read_npz(tmp_path / 'weights.npz', ['a/b'])) == ['a/b']
    with pytest.raises(ValueError, match='strange'):
        weights.read_npz(tmp_path / 'weights.npz', ['strange'])


def _states(rows):
    return {state: {key for key, _, s in rows if s == state}
            for state in ('loaded', 'new', 'left')}


def test_graft_encoder_leaves_the_rest(tmp_path):
    source, net = _network(3), _network(5)
    arrays = weights.export_arrays(source)
    before = weights.export_arrays(net)
    _saved(tmp_path, arrays)
    rows = weights.graft(net, tmp_path, 'encoder')
    states = _states(rows)
    ours = {key for key in arrays if key.startswith(('decoder/', 'head/'))}
    assert states == {'loaded': set(arrays) - ours, 'new': ours, 'left': ours}
    after = weights.export_arrays(net)
    for key, value in after.items():
        truth = before if key in ours else arrays
        np.testing.assert_array_equal(value, truth[key])
    table = weights.format_table(rows).splitlines()
    assert len(table) == len(rows) + 1
    assert table[-1] == f'{len(arrays) - len(ours)} loaded, {len(ours)} new, '\
        f'{len(ours)} left'


def test_graft_decoder_never_takes_the_head(tmp_path):
    source, net = _network(3, norm='batch'), _network(3, norm='batch')
    arrays = weights.export_arrays(source)
    path = _saved(tmp_path, arrays)
    states = _states(weights.graft(net, path, 'decoder'))
    assert states['loaded'] == {k for k in arrays if k.startswith('decoder/')}
    assert 'decoder/entry/norm/moving_mean' in states['loaded']
    assert 'head/kernel' in states['new'] & states['left']
    after = weights.export_arrays(net)
    np.testing.assert_array_equal(after['decoder/block4/conv2/kernel'],
                                  arrays['decoder/block4/conv2/kernel'])
    assert not np.array_equal(after['head/kernel'], arrays['head/kernel'])


def test_graft_takes_classifiers_and_real_files(tmp_path, arrays):
    path = _saved(tmp_path, arrays)
    states = _states(weights.graft(_network(), path, 'encoder'))
    assert {'cls', 'head/kernel', 'pre_logits/bias'} <= states['left']
    model = encoder.build_classifier('tiny', 9, image_size=(32, 32))
    states = _states(weights.graft(model, path, 'encoder'))
    assert 'cls' in states['loaded']
    assert states['new'] == {'head/kernel', 'head/bias'}


def test_graft_refuses(tmp_path):
    net = _network()
    with pytest.raises(ValueError, match='weights.npz'):
        weights.graft(net, tmp_path, 'encoder')
    path = _saved(tmp_path, weights.export_arrays(_network(width_multiplier=2)))
    before = weights.export_arrays(net)
    with pytest.raises(ValueError, match='decoder/entry/conv/kernel'):
        weights.graft(net, path, 'decoder')
    _assert_equal(weights.export_arrays(net), before)
    with pytest.raises(ValueError, match='part'):
        weights.graft(net, path, 'head')
    with pytest.raises(ValueError, match='decoder'):
        weights.graft(encoder.build_classifier('tiny', 2), path, 'decoder')


def test_position_grid_of(tmp_path):
    positions = {POSITIONS: np.ones((1, 7, 48), 'f4')}
    path = _saved(tmp_path, positions)
    with pytest.raises(ValueError, match='square'):
        weights.position_grid_of(path)
    facts = path.with_suffix('.json')
    facts.write_text(json.dumps({'position_grid': [2, 3]}))
    assert weights.position_grid_of(path) == (2, 3)
    assert weights.position_grid_of(tmp_path) == (2, 3)
    facts.unlink()
    _saved(tmp_path, {POSITIONS: np.ones((1, 10, 48), 'f4')})
    assert weights.position_grid_of(path) == (3, 3)
    _saved(tmp_path, {'a': np.ones(2, 'f4')})
    assert weights.position_grid_of(path) is None
