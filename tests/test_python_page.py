"""docs/python.md, run as it is written."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import ddep_tf

import segment_runs

PAGE = pathlib.Path(__file__).resolve().parent.parent / 'docs' / 'python.md'


def _run(heading, folder, monkeypatch):
    """Runs the first block below a heading in a folder; returns its names."""
    text = PAGE.read_text(encoding='utf-8').partition(f'\n## {heading}\n')[2]
    code = re.search(r'```python\n(.*?)```', text, re.DOTALL).group(1)
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(compile(code, str(PAGE), 'exec'), names)
    return names


def test_a_trained_model_is_used(tmp_path, monkeypatch):
    segment_runs.write(tmp_path / 'runs' / 'segment')
    names = _run('Use a trained model', tmp_path, monkeypatch)
    assert names['ids'].shape == (75, 94)
    assert names['batch'].shape == (2, 75, 94)
    assert [each.shape for each in names['several']] == [(75, 94), (50, 94)]
    assert names['picture'].shape == (75, 94, 3)


def test_keras_trains_saves_and_loads(tmp_path, monkeypatch):
    names = _run('Train with Keras', tmp_path, monkeypatch)
    network, again, images = (names[key] for key in (
        'network', 'again', 'images'))
    history = network.history.history['loss']
    assert np.isfinite(history).all() and len(history) == 2
    np.testing.assert_array_equal(again(images), network(images))
    # The denoiser's encoder stayed as it was, and its decoder did not.
    fresh = ddep_tf.build_segmenter('tiny', 3, image_size=(64, 64))
    kernel = 'block1.conv1'
    assert not np.allclose(
        names['denoiser'].decoder.get_layer(kernel).kernel,
        fresh.decoder.get_layer(kernel).kernel)
    # A process that has not built one opens the file too.
    done = subprocess.run(
        [sys.executable, '-c', 'import keras; import ddep_tf.models.segmenter; '
         'print(keras.saving.load_model("segmenter.keras").name)'],
        capture_output=True, text=True, check=False)
    assert done.stdout.strip() == 'network', done.stderr


@pytest.fixture
def bfloat16():
    keras.mixed_precision.set_global_policy('mixed_bfloat16')
    yield
    keras.mixed_precision.set_global_policy('float32')


@pytest.mark.full
def test_keras_trains_on_a_dataset_in_mixed_precision(bfloat16):
    network = ddep_tf.build_segmenter('tiny', 3, image_size=(32, 32))
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (4, 32, 32, 3)).astype('f4')
    masks = (images[..., 0] > 0).astype('i4')
    data = tf.data.Dataset.from_tensor_slices((images, masks)).batch(2)
    network.compile('adam', keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=255))
    losses = network.fit(data.repeat(4), epochs=2, verbose=0).history['loss']
    assert losses[1] < losses[0]
    assert network(images).dtype == tf.float32
    assert {variable.dtype for variable in network.variables} == {'float32'}
    assert network.encoder.get_layer('conv_root').compute_dtype == 'bfloat16'


def test_keras_runs_on_tensorflow_whatever_the_environment_says():
    subprocess.run(
        [sys.executable, '-c', 'import ddep_tf; '
         'ddep_tf.build_segmenter("tiny", 3, image_size=(32, 32))'],
        env={**os.environ, 'KERAS_BACKEND': 'jax'}, capture_output=True,
        check=True)


def test_a_keras_that_runs_on_another_backend_is_named(monkeypatch):
    monkeypatch.setattr(keras.config, 'backend', lambda: 'jax')
    with pytest.raises(ImportError, match='Keras runs on jax'):
        ddep_tf.build_segmenter('tiny', 3)
    assert ddep_tf.mean_iou([[1]]) == 1  # Which needs none.
