"""The sample pictures of a run that denoises."""

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import evaluator, samples
from ddep_tf.objectives import denoise
from ddep_tf.runtime import inputs

pytestmark = pytest.mark.quick
ONE = tf.distribute.get_strategy()


class _Clear:
    """Stands in for a network: it finds no noise."""

    def encode(self, images, training):
        del training
        return images

    def decode(self, features, training):
        del training
        return tf.zeros_like(features)


@pytest.fixture
def folder(make_run, tmp_path):
    run = make_run('denoise', noise=specs.NoiseSpec(stddev=0.2, kind='simple'))
    source, = inputs.open_inputs(run, '', ('val',))['val']
    objective = denoise.Denoise(_Clear(), run.noise)
    samples.write(run, evaluator.Evaluator(run, objective, ONE), source,
                  tmp_path)
    return tmp_path / 'samples'


def _read(path):
    with Image.open(path) as image:
        return np.asarray(image, float) / 127.5 - 1


def test_an_image_is_denoised_at_several_levels(folder):
    clean, = map(_read, folder.glob('*_clean.png'))
    plain, = map(_read, folder.glob('*_noisy.png'))
    levels = sorted(float(path.name.split('_')[0])
                    for path in folder.glob('levels/*_noisy.png'))
    assert levels == [0.1, 0.2, 0.4]
    # Where no noise was cut off: the same noise, in proportion.
    within = (abs(plain) < 0.5) & (abs(clean) < 0.5)
    assert within.sum() > 300
    for level in levels:
        noisy = _read(folder / f'levels/{level:g}_noisy.png')
        np.testing.assert_allclose(
            (noisy - clean)[within], level / 0.2 * (plain - clean)[within],
            atol=0.05)
        np.testing.assert_array_equal(
            _read(folder / f'levels/{level:g}_denoised.png'), noisy)
    assert len(list(folder.glob('levels/*'))) == 6


@pytest.mark.parametrize('example_id', [
    '../x', '/etc/passwd', 'a\0b', '..', '.', 'CON', 'a/b\\c', '<b>"&',
    'e\u0301', '\udcff', 'x' * 300, '\u00e9' * 150, 'line\nbreak'])
def test_no_id_leads_out_of_the_folder(tmp_path, example_id):
    folder = tmp_path / 'run' / 'samples'
    pixels = np.full((2, 3), 7, np.uint8)
    samples.write_pictures(folder, samples.file_name(example_id),
                           {'prediction': pixels})
    written, = (path for path in tmp_path.rglob('*') if path.is_file())
    assert written.parent == folder and written.suffix == '.png'
    with Image.open(written) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize('example_id, name', [
    ('img (1)', 'img (1)'), ('cafe\u0301', 'cafe\u0301'),
    ('\u0e01\u0e49\u0e32', '\u0e01\u0e49\u0e32'), ('a/b\\c', 'a_b_c'),
    ('line\n', 'line_'), ('\udce9', '_')])
def test_ids_are_file_names_where_they_can_be(example_id, name):
    assert samples.file_name(example_id) == name


def test_long_ids_keep_different_names():
    one, other = (samples.file_name('x' * 250 + end) for end in 'ab')
    assert one != other and len(one) == len(other) == 200
    assert samples.file_name('x' * 200) == 'x' * 200
