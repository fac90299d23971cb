"""Operations counted from the graph against formulas written by hand."""

import pytest

from ddep_tf import errors, specs
from ddep_tf.experiments import cost

NET = specs.EncoderSpec('r50_vit_b16')
DATA = (specs.DatasetSpec('set', num_classes=21),)
SIZE = 224


def _conv(side, kernel, inputs, outputs):
    """A multiply-add is 2, at every pixel of the result."""
    return 2 * side * side * kernel * kernel * inputs * outputs


def _root():
    return _conv(SIZE // 2, 7, 3, 64)


def _resnet():
    total, inputs, side = _root(), 64, SIZE // 4
    for width, units in ((64, 3), (128, 4), (256, 9)):
        for unit in range(units):
            result = side // 2 if width > 64 and unit == 0 else side
            total += _conv(side, 1, inputs, width)
            total += _conv(result, 3, width, width)
            total += _conv(result, 1, width, 4 * width)
            if unit == 0:
                total += _conv(result, 1, inputs, 4 * width)
            inputs, side = 4 * width, result
    return total


def _transformer(tokens, layers=12, units=768, hidden=3072):
    projections = 4 * 2 * tokens * units * units  # Query, key, value, output.
    attention = 2 * 2 * tokens * tokens * units   # Scores, weighted values.
    return layers * (projections + attention
                     + 2 * 2 * tokens * units * hidden)


def _encoder():
    return (_resnet() + _conv(SIZE // 16, 1, 1024, 768)
            + _transformer((SIZE // 16) ** 2))


def _entry(width):
    return _conv(SIZE // 16, 3, 768, 512 * width)


def _decoder(width):
    total, below = _entry(width), 512 * width
    for side, skip, base in ((SIZE // 8, 512, 256), (SIZE // 4, 256, 128),
                             (SIZE // 2, 64, 64), (SIZE, 0, 16)):
        channels = base * width
        total += _conv(side, 3, below + skip, channels)
        total += _conv(side, 3, channels, channels)
        below = channels
    return total


def _head(width, outputs):
    return _conv(SIZE, 3, 16 * width, outputs)


def _run(stage, width=1, **fields):
    return specs.RunSpec(stage, DATA, NET, specs.DecoderSpec(width), **fields)


@pytest.mark.parametrize('width', [1, 2, 3])
def test_denoising_with_a_frozen_encoder(width):
    found = cost.count(_run('denoise', width))
    decoder = _decoder(width) + _head(width, 3)
    assert found.forward_flops == _encoder() + decoder
    # Backward twice the forward, but nothing for what the encoder gave.
    assert found.train_flops == (found.forward_flops + 2 * decoder
                                 - _entry(width))


def test_everything_trained_is_three_forward_passes_but_for_the_image():
    for run, head in ((_run('segment'), 21),
                      (_run('denoise', train_encoder=True), 3)):
        found = cost.count(run)
        assert found.forward_flops == (_encoder() + _decoder(1)
                                       + _head(1, head))
        # The root's gradient to the image is not asked for.
        assert found.train_flops == 3 * found.forward_flops - _root()


def test_the_classifier_reads_its_class_token():
    found = cost.count(_run('classify'))
    tokens = (SIZE // 16) ** 2 + 1
    assert found.forward_flops == (
        _resnet() + _conv(SIZE // 16, 1, 1024, 768) + _transformer(tokens)
        + 2 * 768 * 21)
    assert found.train_flops == 3 * found.forward_flops - _root()


def test_operations_grow_with_the_pixels_of_the_crop():
    """Convolutions in proportion, attention with their square."""
    small, large = (cost.count(_run('segment', crop_size=size))
                    for size in ((224, 224), (448, 224)))
    scores = 12 * 2 * 2 * 768 * 196 ** 2
    # The position embedding of 14 x 14 is that of the crop in either.
    assert (large.forward_flops - 4 * scores
            == 2 * (small.forward_flops - scores))


def test_depthwise_convolutions_count_each_channel_once():
    import keras
    import tensorflow as tf

    from ddep_tf.experiments import flops
    layer = keras.layers.DepthwiseConv2D(3, padding='same', use_bias=False)
    layer.build((1, 8, 8, 5))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return y, *tape.gradient(y, [x, layer.trainable_weights[0]])

    traced = step.get_concrete_function(tf.TensorSpec((1, 8, 8, 5)))
    forward, *backward = traced.graph.structured_outputs
    once = 2 * 8 * 8 * 3 * 3 * 5
    assert flops.flops([forward]) == once
    assert flops.flops(backward) == 2 * once


def test_matrix_products_are_those_of_tensorflows_own_profiler():
    """Its counter knows forward operations alone, and of few types."""
    import tensorflow as tf

    from ddep_tf.experiments import flops
    graph = tf.Graph()
    with graph.as_default():
        image = tf.zeros((2, 9, 11, 3)) * tf.random.normal((), seed=1)
        kernel = tf.random.normal((5, 3, 3, 7), seed=2)
        x = tf.nn.conv2d(image, kernel, 2, 'SAME')
        x = tf.matmul(tf.reshape(x, (60, 7)), tf.random.normal((4, 7), seed=3),
                      transpose_b=True)
        found = flops.by_type([x])
    options = (tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
               .with_empty_output().order_by('name').build())
    by_name = tf.compat.v1.profiler.profile(graph, options=options, cmd='op')
    known = {node.name: node.total_float_ops - sum(
        child.total_float_ops for child in node.children)
             for node in _nodes(by_name)}
    assert found == {kind: known[kind] for kind in ('Conv2D', 'MatMul')}


def _nodes(node):
    yield node
    for child in node.children:
        yield from _nodes(child)


def test_a_run_is_its_images_and_device_hours_its_peak():
    run = _run('denoise', global_batch_size=8, steps=1000)
    found = cost.count(run)
    assert found.step_flops == 8 * found.train_flops
    assert found.run_flops == 8000 * found.train_flops
    # 275 TFLOP/s in an hour at two fifths.
    assert cost.device_hours(275e12 * 3600, 'tpu_v4', 0.4) == pytest.approx(
        2.5)
    assert cost.count(_run('denoise', seed=3)).parameters == found.parameters


def test_what_is_trained_and_what_stays_on_disk():
    from ddep_tf.runtime import build
    run = _run('denoise', steps=1000, checkpoint_every=500, keep=2)
    found, network = cost.count(run), build.build_network(run)
    assert found.parameters == network.count_params()
    trained = (network.decoder.count_params() + network.head.count_params())
    assert found.trained_parameters == trained
    # Weights, and two states of them with Adam's two moments.
    assert cost.disk(run) == 4 * (3 * found.parameters + 4 * trained)


@pytest.mark.parametrize('chip, utilisation, match', [
    ('abacus', 0.4, 'chip must be one of'), ('tpu_v4', 0.0, 'utilisation'),
    ('tpu_v4', 1.5, 'utilisation')])
def test_what_no_chip_is_or_does_is_refused(chip, utilisation, match):
    with pytest.raises(errors.UserError, match=match):
        cost.table([], chip, utilisation)


def test_the_table_names_each_run_and_its_definitions():
    head, row = cost.table([('wide', _run('denoise', 3))], 'tpu_v4', 0.4)
    assert len(head) == len(row) and row[0] == 'wide'
    assert row[1:4] == ['denoise, encoder frozen', 'r50_vit_b16, 3x',
                        '224 x 224']
    text = ' '.join(cost.sentences('tpu_v4', 0.4))
    assert 'multiply-add counts as 2' in text and '117.6 PFLOPs' in text
