"""Weights leave a run as a published file, and come back bit for bit."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.models import encoder, weights
from ddep_tf.runtime import build, export, run_folder
from ddep_tf.training import train

import numpy_encoder
import published
import saved_runs

ONE = tf.distribute.OneDeviceStrategy('/cpu:0')
POSITIONS = 'Transformer/posembed_input/pos_embedding'


def _assert_same(model, run_dir):
    """Every variable of `model` is that of the run, bit for bit."""
    arrays = weights.read_npz(run_dir / 'weights.npz')
    for key, variable in weights.named_variables(model).items():
        assert variable.numpy().tobytes() == arrays[key].tobytes(), key


def _with_pre_logits(make_run, size):
    """A run of a crop that is not square, with pre_logits of that size."""
    run = make_run('classify', steps=1, crop_size=(32, 48))
    return dataclasses.replace(run, encoder=dataclasses.replace(
        run.encoder, representation_size=size))


@pytest.mark.parametrize('size', [0, 8])
def test_a_classify_run_is_a_published_file(make_run, tmp_path, size):
    run, run_dir = _with_pre_logits(make_run, size), tmp_path / 'run'
    if size:  # One is really trained: it takes half a minute.
        train.train(run, '', str(run_dir), '', ONE)
    else:
        saved_runs.save_random(run, run_dir)
    path = tmp_path / 'out.npz'
    keys = export.export(run_dir, path)
    truth = numpy_encoder.random_arrays((2, 3), num_classes=6,
                                        representation_size=size)
    exported = weights.read_npz(path)
    assert set(exported) == set(keys) == set(truth)
    assert {k: v.size for k, v in exported.items()} == (
        {k: v.size for k, v in truth.items()})
    # The grid is not square: the file alone could not tell it.
    assert weights.position_grid_of(path) == (2, 3)
    fresh = encoder.build_classifier('tiny', 6, size or None, (32, 48))
    report = weights.load_vit_npz(fresh, path, head='strict')
    assert report == weights.LoadReport(sorted(truth), [], [])
    _assert_same(fresh, run_dir)
    again = run_folder.read_run(run_dir)
    assert again == run
    _assert_same(build.load_network(again, run_dir, ONE), run_dir)


def test_another_run_exports_its_encoder(make_run, tmp_path):
    run_dir = tmp_path / 'run'
    saved_runs.save_random(make_run('denoise', crop_size=(32, 48)), run_dir)
    path = tmp_path / 'out.npz'
    export.export(run_dir, path)
    truth = numpy_encoder.random_arrays((2, 3))
    assert set(weights.read_npz(path)) == set(truth) - {'cls'}
    fresh = encoder.build_encoder('tiny', (32, 48))
    report = weights.load_vit_npz(fresh, path)
    assert (report.unused, report.missing) == ([], [])
    _assert_same(fresh, run_dir)


def test_all_of_a_run_equals_the_run(make_run, tmp_path):
    run_dir = tmp_path / 'run'
    saved_runs.save_random(make_run('denoise', crop_size=(32, 48)), run_dir)
    path = tmp_path / 'out.npz'
    export.export(run_dir, path, 'all')
    assert path.read_bytes() == (run_dir / 'weights.npz').read_bytes()
    facts = json.loads(path.with_suffix('.json').read_text())
    ours = json.loads((run_dir / 'weights.json').read_text())
    assert facts == {**ours, 'part': 'all'}
    run = make_run('segment', crop_size=(64, 64), init_encoder=str(path),
                   init_decoder=str(path))
    network = build.build_network(run)
    build.graft(run, network)
    assert weights.position_grid(network) == (2, 3)
    arrays = weights.read_npz(path)
    for key, variable in weights.named_variables(network).items():
        if not key.startswith('head/'):
            np.testing.assert_array_equal(variable, arrays[key])


@pytest.mark.parametrize('stage', ['denoise', 'segment'])
def test_an_exported_encoder_starts_a_run_of_another_crop(make_run, tmp_path,
                                                          stage):
    source = saved_runs.save_random(make_run('classify', crop_size=(32, 48)),
                       tmp_path / 'run')
    path = tmp_path / 'out.npz'
    export.export(tmp_path / 'run', path)
    run = make_run(stage, init_encoder=str(path), crop_size=(64, 64))
    network = build.build_network(run)
    build.graft(run, network)
    assert weights.position_grid(network) == (2, 3)
    truth = weights.named_variables(source)
    for key, variable in weights.named_variables(network.encoder).items():
        np.testing.assert_array_equal(variable, truth[key])


def test_refuses(make_run, tmp_path):
    with pytest.raises(errors.UserError, match='not a run folder'):
        export.export(tmp_path, tmp_path / 'x.npz')
    run_dir = tmp_path / 'run'
    saved_runs.save_random(make_run('classify'), run_dir)
    taken = tmp_path / 'taken.npz'
    taken.write_text('kept')
    for output, part, named in (
            (taken, 'all', 'exists'), (tmp_path / 'x.txt', 'all', 'npz'),
            (run_dir / 'weights.npz', 'all', 'exists'),
            (tmp_path / 'x.npz', 'head', 'part'),
            (tmp_path / 'none' / 'x.npz', 'all', 'none')):
        with pytest.raises(errors.UserError, match=named):
            export.export(run_dir, output, part)
    assert taken.read_text() == 'kept'
    (run_dir / 'weights.json').unlink()
    with pytest.raises(errors.UserError, match='not finished'):
        export.export(run_dir, tmp_path / 'x.npz')


@pytest.mark.parametrize('classes, grid, size', [
    pytest.param(21843, (14, 14), 768, marks=pytest.mark.full),
    (1000, (24, 24), 0)])
def test_published_files_start_runs_at_full_size(make_run, tmp_path, classes,
                                                 grid, size):
    """Of both kinds, at another crop: the file's position grid is kept."""
    path = tmp_path / 'R50+ViT-B_16.npz'
    arrays = published.arrays(classes, grid, size)
    weights.save_npz(path, arrays)
    run = make_run('denoise', init_encoder=str(path), crop_size=(64, 96))
    run = dataclasses.replace(run, encoder=dataclasses.replace(
        run.encoder, name='r50_vit_b16'))
    network = build.build_network(run)
    rows = build.graft(run, network)
    path.unlink()
    assert weights.position_grid(network) == grid
    left = {key for key, _, state in rows if state == 'left'}
    top = {'cls', *(key for key in arrays
                    if key.startswith(('head/', 'pre_logits/')))}
    assert left == top
    for key, variable in weights.named_variables(network.encoder).items():
        np.testing.assert_array_equal(variable,
                                      arrays[key].reshape(variable.shape))


def test_pre_logits_by_the_spec(make_run):
    run = make_run('classify')
    for size, expected in ((0, False), (8, True)):
        spec = dataclasses.replace(run.encoder, representation_size=size)
        for stage, has in (('classify', expected), ('denoise', False)):
            network = build.build_network(
                make_run(stage, encoder=spec))
            shapes = {key: tuple(v.shape) for key, v in
                      weights.named_variables(network).items()}
            assert ('pre_logits/kernel' in shapes) == has
            assert not has or shapes['pre_logits/kernel'] == (48, 8)
    with pytest.raises(errors.UserError, match='at least 0'):
        dataclasses.replace(run.encoder, representation_size=-1)
    spec = specs.EncoderSpec('efficientnet_lite0', representation_size=8)
    for stage in specs.STAGES:
        with pytest.raises(errors.UserError, match='own head'):
            build.build_network(make_run(stage, encoder=spec))
