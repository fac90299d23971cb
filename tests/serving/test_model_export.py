"""launch/export.py writes models that other programs open."""

import json
import os
import pathlib

import numpy as np
import pytest
import yaml

import ddep_tf
from ddep_tf import errors, files
from ddep_tf.data import image_files
from ddep_tf.serving import card, compare, export, formats

import commands
import segment_runs

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (45, 70, 3)).astype('u1')


def _export(folder, form, *args, **environment):
    return commands.run(
        'export', f'--run_dir={folder}/run', f'--format={form}',
        f'--output={folder}/{form}', *args, **environment)


def _check(folder, form, image=IMAGE):
    """The exported model, opened by ddep_tf, and its run agree."""
    model, run = (ddep_tf.load(folder / name) for name in (form, 'run'))
    (ids, probabilities), (expected_ids, expected) = (
        each.predict(image, probabilities=True) for each in (model, run))
    np.testing.assert_allclose(probabilities, expected, 0, 1e-3)
    assert (ids == expected_ids).mean() > 0.999
    assert len(np.unique(ids)) > 1
    assert model.class_names == run.class_names
    np.testing.assert_array_equal(model.palette, run.palette)
    return model


def test_a_keras_file_opens_with_keras_alone(tmp_path):
    """That it does is part of the command: see compare.py."""
    segment_runs.write(tmp_path / 'run', scale=0.5)
    code, out, err = _export(tmp_path, 'keras', '--image_size=45,70',
                             '--license=mit')
    assert code == 0 and '100.00 % of the ids agree' in out, err
    assert '45 x 70 pixels take' in out
    model = _check(tmp_path, 'keras')
    with pytest.raises(errors.UserError, match=r'images of \(45, 70\)'):
        model.predict(IMAGE[:40])

    folder = tmp_path / 'keras'
    assert {path.name for path in folder.iterdir()} == {
        'model.keras', 'model.json', 'README.md'}
    facts = files.read_json(folder / 'model.json')
    assert facts['sha256'] == {
        'model.keras': files.sha256(folder / 'model.keras')}
    assert facts['comparison']['difference'] < 1e-3
    assert facts['run']['sha256'] == files.sha256(
        tmp_path / 'run' / 'weights.npz')
    _, front, text = (folder / 'README.md').read_text().split('---\n', 2)
    front = yaml.safe_load(front)
    assert front['license'] == 'mit' and front['datasets'] == ['shapes']
    scores = front['model-index'][0]['results'][0]['metrics']
    assert [(each['type'], each['value']) for each in scores] == [
        ('mean_iou', 0.5), ('mean_iou', 0.25)]
    assert '--image_size=45,70' in text and 'RunSpec.steps = 4' in text
    assert '| 0 | background | #303030 | 50.0 |' in text
    assert '| 5 | ring | #f0e442 |  |' in text
    assert facts['run']['sha256'] in text


@pytest.mark.full
def test_a_saved_model_takes_any_size(tmp_path):
    segment_runs.write(tmp_path / 'run')
    image_files.write_png(tmp_path / 'photo.png', IMAGE)
    code, out, err = _export(tmp_path, 'saved_model',
                             f'--compare_images={tmp_path}/*.png')
    assert code == 0 and out.count('1 images: ') == 1, err
    model = _check(tmp_path, 'saved_model')
    assert model.predict(np.stack([IMAGE] * 2)[:, :7]).shape == (2, 7, 70)
    code, _, err = _export(tmp_path, 'saved_model')
    assert code == 2 and 'is not empty: name a new folder' in err


@pytest.mark.full
@pytest.mark.parametrize('form', ['onnx', 'litert'])
@pytest.mark.parametrize('encoder', ['tiny', 'keras/ConvNeXtTiny'])
def test_onnx_and_litert_take_any_size(tmp_path, form, encoder):
    if form == 'onnx':
        pytest.importorskip('tf2onnx', reason='needs ddep_tf[onnx]')
    segment_runs.write(tmp_path / 'run', encoder)
    code, out, err = _export(tmp_path, form)
    assert code == 0 and 'ids agree' in out, err
    model = _check(tmp_path, form)
    assert model.predict(IMAGE[:33, :20]).shape == (33, 20)


@pytest.mark.full
@pytest.mark.parametrize('encoder', ['keras/EfficientNetV2B0',
                                     'efficientnet_lite0'])
def test_a_keras_file_takes_any_size(tmp_path, encoder):
    segment_runs.write(tmp_path / 'run', encoder)
    code, out, err = _export(tmp_path, 'keras')
    assert code == 0 and 'ids agree' in out, err
    model = _check(tmp_path, 'keras')
    assert model.predict(IMAGE[:33, :20]).shape == (33, 20)


@pytest.mark.parametrize('args, message', [
    (['--format=keras', '--image_size=10'], '--image_size must be HEIGHT'),
    (['--format=keras', '--image_size=0,5'], '--image_size must be HEIGHT'),
    (['--format=tflite'], 'format'),
    (['--format=onnx'], 'not a run folder')])
def test_mistakes_are_one_line(tmp_path, args, message):
    code, _, err = commands.run('export', f'--run_dir={tmp_path}',
                                f'--output={tmp_path}/out', *args)
    assert code == 2 and message in err and 'Traceback' not in err


def test_a_missing_package_names_the_extra(tmp_path, monkeypatch):
    def gone(name):
        raise ImportError(f'No module named {name!r}')
    monkeypatch.setattr(formats.importlib, 'import_module', gone)
    for use in (lambda: formats.FORMATS['onnx'].write(None, tmp_path),
                lambda: formats.FORMATS['onnx'].open(tmp_path)):
        with pytest.raises(errors.UserError, match=r'ddep_tf\[onnx\]'):
            use()


def _wrong(images):
    """A model of two classes that says the same of every pixel."""
    shape = (*images.shape[:3], 2)
    return (np.zeros(shape[:3], 'u1'),
            np.broadcast_to(np.float32([0.9, 0.1]), shape))


def _slightly_wrong(images):
    ids, probabilities = _wrong(images)
    return ids, probabilities + np.float32([-2e-3, 2e-3])


def _other_ids(images):
    ids, probabilities = _wrong(images)
    return ids + 1, probabilities


def _not_finite(images):
    ids, probabilities = _wrong(images)
    return ids, probabilities * np.nan


def _broken(images):
    raise RuntimeError('no kernel of this operation\nhere')


@pytest.mark.parametrize('found, message', [
    (_slightly_wrong, 'by 0.002, where 0.001 is allowed'),
    (_other_ids, 'by inf'), (_not_finite, 'by nan'),
    (_broken, 'does not run .no kernel of this operation.')])
def test_a_model_that_differs_is_refused(found, message):
    form = formats.Format('model.x', None, lambda path: found)
    with pytest.raises(errors.UserError, match=message):
        compare.compare(_wrong, form, pathlib.Path('model.x'), [IMAGE])
    same = formats.Format('model.x', None, lambda path: _wrong)
    measured = compare.compare(_wrong, same, pathlib.Path('model.x'), [IMAGE])
    assert (measured.difference, measured.agreement) == (0, 1)


def test_nothing_is_left_of_a_refused_model(tmp_path, monkeypatch):
    segment_runs.write(tmp_path / 'run')
    image_files.write_png(tmp_path / 'photo.png', IMAGE)
    arguments = (tmp_path / 'run', tmp_path / 'out', 'saved_model', None,
                 [str(tmp_path / 'photo.png')])
    written = []
    monkeypatch.setitem(formats.FORMATS, 'saved_model', formats.Format(
        'x', lambda model, path: written.append(path.write_text('x')),
        lambda path: _wrong))
    with pytest.raises(errors.UserError, match='differs from the run'):
        export.export(*arguments)
    assert written and set(os.listdir(tmp_path)) == {'run', 'photo.png'}

    def fail(model, path):
        raise ValueError('no such operation\nin this format')
    monkeypatch.setitem(formats.FORMATS, 'saved_model',
                        formats.Format('x', fail, None))
    with pytest.raises(errors.UserError, match=r'\(no such operation\)'):
        export.export(*arguments)
    assert set(os.listdir(tmp_path)) == {'run', 'photo.png'}


def test_names_of_classes_are_no_markup(make_run):
    facts = {'format': 'onnx', 'image_size': None,
             'class_names': ['a|b', '<img src=x>', '[x](y)\n# z'],
             'palette': [[0, 0, 0]] * 3, 'sha256': {},
             'run': {'sha256': ''},
             'comparison': {'images': 1, 'difference': 0, 'agreement': 1}}
    text = card.text(facts, make_run('segment'), {'val': 0.5}, 'mit', '', '')
    for name in (r'a\|b', r'\<img src\=x\>', r'\[x\]\(y\) \# z'):
        assert f'| {name} |' in text
    json.dumps(yaml.safe_load(text.split('---\n')[1]))
