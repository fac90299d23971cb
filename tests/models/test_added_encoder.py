"""The encoder of CONTRIBUTING.md, written out and run as its text says."""

import os
import pathlib
import re
import sys

import keras
import numpy as np
import pytest

from ddep_tf import errors, specs
from ddep_tf.models import encoder, registry, segmenter, weights
from ddep_tf.runtime import build, export

import commands

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / 'CONTRIBUTING.md'
NAME = 'my_package.plain_cnn:PLAIN_CNN'
DOWN = 'stages.2.down.conv.weight'
SMALL = ['--gin_file=plain_cnn.gin', '--gin_file=data/shapes.gin',
         '--gin_param=RunSpec.crop_size=(32, 32)',
         '--gin_param=RunSpec.global_batch_size=2',
         '--gin_param=RunSpec.steps=2', '--gin_param=RunSpec.eager=True',
         '--gin_param=EvalSpec.samples=0',
         '--gin_param=shapes/DatasetSpec.limit=3']


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The files of the guide, in a folder on the module path."""
    blocks = re.findall(r'`(\S+\.(?:py|gin))`:\n\n```\w*\n(.*?)```',
                        GUIDE.read_text(encoding='utf-8'), re.DOTALL)
    assert [name for name, _ in blocks] == [
        'my_package/plain_cnn.py', 'plain_cnn.gin']
    for name, text in blocks:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding='utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ('my_package.plain_cnn', 'my_package'):
        sys.modules.pop(name, None)


def _launch(folder, launcher, *args):
    paths = [str(folder), os.environ.get('PYTHONPATH', '')]
    code, out, err = commands.run(
        launcher, *args, cwd=folder,
        PYTHONPATH=os.pathsep.join(filter(None, paths)))
    assert code == 0, err
    return out


def test_trains_through_all_stages_and_is_found_by_a_runs_config(package):
    for launcher, *args in (
            ['pretrain_encoder', '--run_dir=classify'],
            ['pretrain_decoder', '--run_dir=denoise',
             '--init_encoder=classify'],
            ['finetune', '--run_dir=segment', '--init_encoder=denoise',
             '--init_decoder=denoise']):
        _launch(package, launcher, *SMALL, *args)
    first, last = (weights.read_npz(package / run / 'weights.npz')
                   for run in ('classify', 'denoise'))
    encoder_keys = {key for key in first if not key.startswith('fc.')}
    assert encoder_keys == {
        f'stages.{s}.{part}.{leaf}' for s in (2, 4, 8, 16)
        for part in ('down', 'body')
        for leaf in ('conv.weight', 'norm.weight', 'norm.bias')}
    for key in encoder_keys:  # Frozen, and written in the same layout.
        np.testing.assert_array_equal(last[key], first[key])
    # No gin file says where the encoder is.
    assert 'mean IoU' in _launch(package, 'evaluate',
                                 '--run_dir=segment')

    path = package / 'plain_cnn.npz'
    assert set(export.export(package / 'classify', path)) == set(first)
    model = encoder.build_classifier(NAME, 6, image_size=(32, 32))
    report = weights.load_vit_npz(model, path)
    assert report == weights.LoadReport(sorted(first), [], [])
    for key, value in weights.export_arrays(model).items():
        np.testing.assert_array_equal(value, first[key])


def test_an_experiment_plans_it(package):
    out = _launch(package, 'experiment', '--dry_run', f'--data_dir={package}',
                  '--gin_file=experiments/demo_shapes.gin',
                  '--gin_file=plain_cnn.gin')
    assert '10 runs' in out and 'device hours' in out


def test_files_are_loaded_strictly_in_its_own_layout(package):
    model = encoder.build_classifier(NAME, 5, image_size=(32, 32))
    arrays = weights.export_arrays(model)
    variables = weights.named_variables(model)
    assert arrays[DOWN].shape == (32, 3, 3, 3)
    np.testing.assert_array_equal(
        arrays[DOWN].transpose(2, 3, 1, 0), variables[DOWN].numpy())
    np.testing.assert_array_equal(arrays['fc.weight'].T,
                                  variables['fc.weight'].numpy())
    path = package / 'weights.npz'
    weights.save_npz(path, arrays)
    body = encoder.build_encoder(NAME, (64, 32), weights=path)
    np.testing.assert_array_equal(weights.export_arrays(body)[DOWN],
                                  arrays[DOWN])
    assert weights.load_vit_npz(body, path).unused == ['fc.bias', 'fc.weight']
    other = encoder.build_classifier(NAME, 7, image_size=(32, 32))
    report = weights.load_vit_npz(other, path, head='skip')
    assert report.missing == report.unused == ['fc.bias', 'fc.weight']
    key = 'stages.16.body.norm.bias'
    for wrong, named in (
            ({k: v for k, v in arrays.items() if k != key}, key),
            ({**arrays, 'stages.32.conv.weight': np.ones(1, 'f4')},
             'stages.32'),
            ({**arrays, DOWN: arrays[DOWN].transpose(2, 3, 1, 0)}, DOWN)):
        weights.save_npz(path, wrong)
        for net in (model, body):
            with pytest.raises(errors.UserError, match=named):
                weights.load_vit_npz(net, path)


def test_a_saved_network_keeps_its_keys(package):
    net = segmenter.build_segmenter(NAME, 3, image_size=(32, 32))
    arrays = weights.export_arrays(net)
    assert arrays['decoder/entry/conv/kernel'].shape == (3, 3, 256, 128)
    net.save(package / 'net.keras')
    again = keras.models.load_model(package / 'net.keras')
    assert again.encoder.entry_name == NAME
    loaded = weights.export_arrays(again)
    assert list(loaded) == list(arrays)
    for key, value in arrays.items():
        np.testing.assert_array_equal(loaded[key], value)


@pytest.mark.parametrize('changes', [{'accumulate': 2}, {'remat': True}])
def test_its_batch_norm_sees_whole_batches_once(package, make_run, changes):
    path = package / 'my_package/plain_cnn.py'
    group = "layers.GroupNorm(channels // 16, name=f'{name}.norm')"
    text = path.read_text(encoding='utf-8')
    assert group in text
    path.write_text(text.replace(
        group, "keras.layers.BatchNormalization(name=f'{name}.norm')"),
        encoding='utf-8')
    changes = {'encoder': specs.EncoderSpec(name=NAME), **changes}
    frozen = make_run('denoise', **changes)
    build.build_objective(frozen, build.build_network(frozen))
    for run in (make_run('denoise', train_encoder=True, **changes),
                make_run('segment', **changes),
                make_run('classify', **changes)):
        network = build.build_network(run)
        with pytest.raises(errors.UserError, match='batch normalization'):
            build.build_objective(run, network)


@pytest.mark.parametrize('name, message', [
    ('my_package.plain_cnn:OTHER', 'no EncoderEntry OTHER'),
    ('my_package.plain_cnn:CHANNELS', 'no EncoderEntry CHANNELS'),
    ('my_package.missing:PLAIN_CNN', 'no module my_package.missing'),
    ('missing.plain_cnn:PLAIN_CNN', 'no module missing.*PYTHONPATH'),
    ('my_package.plain_cnn', 'r50_vit_b16, tiny, small, efficientnet_lite0, '
     'efficientnet_lite0_stem'),
    (':PLAIN_CNN', 'r50_vit_b16, tiny, small, efficientnet_lite0, '
     'efficientnet_lite0_stem')])
def test_unknown_names_are_refused(package, name, message):
    with pytest.raises(errors.UserError, match=message):
        registry.find(name)


def test_a_module_that_its_file_lacks_is_no_wrong_name(package):
    (package / 'my_package' / 'broken.py').write_text('import not_installed')
    with pytest.raises(ModuleNotFoundError, match='not_installed') as caught:
        registry.find('my_package.broken:ENTRY')
    assert not isinstance(caught.value, errors.UserError)


def test_maps_of_wrong_size_are_refused(package):
    path = package / 'my_package' / 'plain_cnn.py'
    text = path.read_text(encoding='utf-8')
    for old, new, message in (
            ("maps[f'stride{stride}']", "maps[f's{stride}']", 'stride2.*none'),
            ('{2: 32, 4: 64,', '{4: 32, 2: 64,', 'stride2 must be a map')):
        assert old in text
        name = f'wrong_{len(new)}'
        path.with_name(f'{name}.py').write_text(text.replace(old, new),
                                                encoding='utf-8')
        with pytest.raises(errors.UserError, match=message):
            encoder.build_encoder(f'my_package.{name}:PLAIN_CNN', (32, 32))
