import numpy as np
import pytest
import tensorflow as tf

import ddep_tf
from ddep_tf import specs
from ddep_tf.objectives import noise

pytestmark = pytest.mark.quick


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return (rng.uniform(-1, 1, (2, 8, 9, 3)).astype(np.float32),
            rng.standard_normal((2, 8, 9, 3)).astype(np.float32))


@pytest.mark.parametrize('kind', ['scaled', 'simple'])
@pytest.mark.parametrize('target', ['noise', 'image'])
def test_corrupt_equals_its_formula(pair, kind, target):
    x, e = pair
    noisy, wanted = ddep_tf.corrupt(x, e, 0.3, kind, target)
    root = np.sqrt(1.09) if kind == 'scaled' else 1.0
    np.testing.assert_allclose(noisy, (x + 0.3 * e) / root, atol=1e-6)
    np.testing.assert_array_equal(wanted, e if target == 'noise' else x)


def test_corrupt_takes_one_stddev_an_example(pair):
    x, e = pair
    noisy, _ = ddep_tf.corrupt(x, e, np.array([0.0, 2.0], np.float32))
    np.testing.assert_array_equal(noisy[0], x[0])
    np.testing.assert_allclose(noisy[1], (x[1] + 2 * e[1]) / np.sqrt(5),
                               atol=1e-6)


@pytest.mark.parametrize('kwargs, named', [
    ({'kind': 'sqrt'}, 'kind'), ({'target': 'x'}, 'target'),
    ({'stddev': -0.1}, 'stddev'), ({'stddev': float('nan')}, 'stddev'),
    ({'stddev': float('inf')}, 'stddev')])
def test_bad_arguments_are_named(pair, kwargs, named):
    with pytest.raises(ValueError, match=named):
        ddep_tf.corrupt(*pair, **kwargs)


def test_other_shapes_are_refused(pair):
    with pytest.raises(ValueError, match='shape'):
        ddep_tf.corrupt(pair[0], pair[1][:, :4])


@pytest.mark.parametrize('kind', ['scaled', 'simple'])
def test_the_true_noise_gives_back_the_clean_image(pair, kind):
    x, e = pair
    stddev = tf.constant([0.2, 1.5])
    noisy, target = noise.corrupt(x, e, stddev, kind)
    clean = noise.clean_from(noisy, target, stddev, kind, 'noise')
    np.testing.assert_allclose(clean, x, atol=1e-5)


def _levels(level):
    spec = specs.NoiseSpec(level=level)
    stddevs = [noise.draw_stddev(tf.constant([5, i]), spec).numpy()
               for i in range(400)]
    return 1.0 / (1.0 + np.square(stddevs))


def test_a_range_of_levels_is_uniform_in_s():
    from scipy import stats
    levels = np.sqrt(1.0 / _levels('range') - 1.0)
    assert stats.kstest(levels, 'uniform', (0.2, 0.1)).pvalue > 0.01


def test_uniform_levels_are_uniform_in_g():
    from scipy import stats
    assert stats.kstest(_levels('uniform'), 'uniform').pvalue > 0.01


def test_cosine_levels_follow_the_cosine():
    from scipy import stats
    # g = cos^2(pi v / 2) with v uniform: the arcsine distribution.
    assert stats.kstest(_levels('cosine'), 'arcsine').pvalue > 0.01


def test_draw_is_a_function_of_each_seed():
    """As earlier versions drew it, example by example, in tf.data."""
    seeds = tf.constant([[1, 2], [7, -3], [1, 2], [2 ** 31 - 1, 0]])
    drawn = tf.function(lambda seeds: noise.draw((4, 5, 3), seeds))(seeds)
    assert drawn.shape == (4, 4, 5, 3)
    alone = tf.data.Dataset.from_tensor_slices(seeds).map(
        lambda seed: tf.random.stateless_normal((4, 5, 3), seed))
    for found, expected in zip(drawn, alone):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1


def test_compiled_noise_is_a_function_of_each_seed():
    """XLA draws other numbers, but as few of them depend on the batch."""
    draw = tf.function(lambda seeds: noise.draw((4, 5, 3), seeds),
                       jit_compile=True)
    seeds = tf.constant([[1, 2], [7, -3]])
    np.testing.assert_array_equal(draw(seeds), draw(seeds[::-1])[::-1])
