"""A model of keras.applications as the encoder, through the launchers."""

import numpy as np
import pytest

from ddep_tf.models import encoder, weights

from commands import run

NAME = 'keras/MobileNetV3Small'
COMMON = ['--gin_file=model/keras.gin', '--gin_file=data/shapes.gin',
          f"--gin_param=EncoderSpec.name='{NAME}'",
          '--gin_param=RunSpec.crop_size=(32, 32)',
          '--gin_param=RunSpec.global_batch_size=2',
          '--gin_param=RunSpec.steps=2', '--gin_param=RunSpec.eager=True',
          '--gin_param=EvalSpec.samples=0',
          '--gin_param=shapes/DatasetSpec.limit=3']


@pytest.fixture(scope='module')
def denoised(tmp_path_factory):
    """A denoising run, below the weights that it starts from."""
    folder = tmp_path_factory.mktemp('runs')
    arrays = weights.export_arrays(encoder.build_encoder(NAME, (None, None)))
    rng = np.random.default_rng(0)
    weights.save_npz(folder / 'imagenet.npz', {
        key: rng.uniform(0.5, 2, array.shape).astype('f4')
        if key.endswith('moving_variance') else array
        for key, array in arrays.items()})
    code, _, err = run(
        'pretrain_decoder', *COMMON,
        f'--init_encoder={folder}/imagenet.npz', f'--run_dir={folder}/denoise')
    assert code == 0, err
    return folder


def test_it_is_frozen_while_the_decoder_learns(denoised):
    before, after = (weights.read_npz(denoised / name) for name in (
        'imagenet.npz', 'denoise/weights.npz'))
    for key, array in before.items():
        np.testing.assert_array_equal(after[key], array)
    table = (denoised / 'denoise' / 'variables.txt').read_text()
    assert f'{len(before)} loaded' in table and ', 0 left' in table


@pytest.mark.full
def test_it_goes_through_all_that_follows(denoised):
    segment = denoised / 'segment'
    code, _, err = run(
        'finetune', *COMMON,
        f'--init_encoder={denoised}/denoise',
        f'--init_decoder={denoised}/denoise', f'--run_dir={segment}')
    assert code == 0, err
    before, after = (weights.read_npz(denoised / name / 'weights.npz')
                     for name in ('denoise', 'segment'))
    for key in before:  # All is trained now, but for the statistics.
        if not key.startswith('head/'):
            same = np.array_equal(before[key], after[key])
            assert same == ('/moving_' in key), key
    code, out, err = run('evaluate', f'--run_dir={segment}')
    assert code == 0 and 'mean IoU' in out, err
    code, out, err = run('export', f'--run_dir={segment}',
                         f'--output={denoised}/out.npz')
    assert code == 0, err
    network = encoder.build_encoder(NAME, (32, 32),
                                    weights=denoised / 'out.npz')
    for key, array in weights.export_arrays(network).items():
        np.testing.assert_array_equal(array, after[key])


def test_weights_that_cannot_be_downloaded_are_one_line(tmp_path):
    code, _, err = run(
        'prepare_data', f'--set={NAME}', f'--data_dir={tmp_path}',
        KERAS_HOME=str(tmp_path), https_proxy='http://127.0.0.1:9')
    assert code == 2 and 'Traceback' not in err, err
    line = err.strip().splitlines()[-1]
    assert line.startswith('prepare_data.py: keras/MobileNetV3Small: Keras '
                           'cannot download its ImageNet weights')
    assert not list(tmp_path.rglob('*.npz'))
