"""Operations counted from the graph against formulas written by hand."""

import dataclasses

import pytest

from ddep_tf import errors, specs
from ddep_tf.experiments import cost

DATA = (specs.DatasetSpec('set', num_classes=21),)
SIZE = 224


@dataclasses.dataclass(frozen=True)
class Net:
    """An encoder, and a decoder of one width.

    Attributes:
      name: of the encoder.
      root: channels of its first convolution.
      units: of its stages.
      layers, hidden, mlp: of its transformer.
      entry, blocks: channels of the decoder.
    """
    name: str
    root: int
    units: tuple[int, int, int]
    layers: int
    hidden: int
    mlp: int
    entry: int
    blocks: tuple[int, int, int, int]

    def run(self, stage, width=1, **fields):
        return specs.RunSpec(
            stage, DATA, specs.EncoderSpec(self.name), specs.DecoderSpec(
                width, self.entry, self.blocks), **fields)

    def at_root(self):
        return _conv(SIZE // 2, 7, 3, self.root)

    def resnet(self):
        total, inputs, side = self.at_root(), self.root, SIZE // 4
        for stage, units in enumerate(self.units):
            width = self.root * 2 ** stage
            for unit in range(units):
                result = side // 2 if stage and unit == 0 else side
                total += _conv(side, 1, inputs, width)
                total += _conv(result, 3, width, width)
                total += _conv(result, 1, width, 4 * width)
                if unit == 0:
                    total += _conv(result, 1, inputs, 4 * width)
                inputs, side = 4 * width, result
        return total + _conv(SIZE // 16, 1, inputs, self.hidden)

    def scores(self, tokens):
        """Attention's, and the values that they weigh."""
        return self.layers * 2 * 2 * tokens * tokens * self.hidden

    def transformer(self, tokens):
        projections = 4 * self.hidden  # Query, key, value, output.
        return self.scores(tokens) + self.layers * 2 * tokens * self.hidden * (
            projections + 2 * self.mlp)

    def encoder(self):
        return self.resnet() + self.transformer((SIZE // 16) ** 2)

    def at_entry(self, width):
        return _conv(SIZE // 16, 3, self.hidden, self.entry * width)

    def levels(self, width):
        """Yields (side, channels of the skip, channels) of each block."""
        for level, skip, base in zip((8, 4, 2, 1), (
                8 * self.root, 4 * self.root, self.root, 0), self.blocks):
            yield SIZE // level, skip, base * width

    def at_skips(self, width):
        """What the decoder does to the encoder's skips."""
        return sum(_conv(side, 3, skip, channels)
                   for side, skip, channels in self.levels(width))

    def decoder(self, width):
        total, below = self.at_entry(width), self.entry * width
        for side, skip, channels in self.levels(width):
            total += _conv(side, 3, below + skip, channels)
            total += _conv(side, 3, channels, channels)
            below = channels
        return total

    def head(self, width, outputs):
        return _conv(SIZE, 3, self.blocks[-1] * width, outputs)


TINY = Net('tiny', 32, (1, 2, 1), 2, 48, 96, 64, (48, 32, 32, 16))
PAPER = Net('r50_vit_b16', 64, (3, 4, 9), 12, 768, 3072, 512,
            (256, 128, 64, 16))
NETS = [TINY, pytest.param(PAPER, marks=pytest.mark.full)]


def _conv(side, kernel, inputs, outputs):
    """A multiply-add is 2, at every pixel of the result."""
    return 2 * side * side * kernel * kernel * inputs * outputs


@pytest.mark.parametrize('net', NETS)
@pytest.mark.parametrize('width', [
    1, 2, pytest.param(3, marks=pytest.mark.full)])
def test_denoising_with_a_frozen_encoder(net, width):
    found = cost.count(net.run('denoise', width))
    decoder = net.decoder(width) + net.head(width, 3)
    assert found.forward_flops == net.encoder() + decoder
    # Backward twice the forward, but nothing for what the encoder gave.
    assert found.train_flops == (found.forward_flops + 2 * decoder
                                 - net.at_entry(width) - net.at_skips(width))


@pytest.mark.parametrize('net', NETS)
def test_everything_trained_is_three_forward_passes_but_for_the_image(net):
    for run, outputs in ((net.run('segment'), 21),
                         (net.run('denoise', train_encoder=True), 3)):
        found = cost.count(run)
        assert found.forward_flops == (net.encoder() + net.decoder(1)
                                       + net.head(1, outputs))
        # The root's gradient to the image is not asked for.
        assert found.train_flops == 3 * found.forward_flops - net.at_root()


@pytest.mark.parametrize('net', NETS)
def test_the_classifier_reads_its_class_token(net):
    found = cost.count(net.run('classify'))
    tokens = (SIZE // 16) ** 2 + 1
    assert found.forward_flops == (
        net.resnet() + net.transformer(tokens) + 2 * net.hidden * 21)
    assert found.train_flops == 3 * found.forward_flops - net.at_root()


@pytest.mark.parametrize('net', NETS)
def test_operations_grow_with_the_pixels_of_the_crop(net):
    """Convolutions in proportion, attention with their square."""
    small, large = (cost.count(net.run('segment', crop_size=size))
                    for size in ((224, 224), (448, 224)))
    scores = net.scores(196)
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
    run = TINY.run('denoise', global_batch_size=8, steps=1000)
    found = cost.count(run)
    assert found.step_flops == 8 * found.train_flops
    assert found.run_flops == 8000 * found.train_flops
    # 275 TFLOP/s in an hour at two fifths.
    assert cost.device_hours(275e12 * 3600, 'tpu_v4', 0.4) == pytest.approx(
        2.5)
    other = cost.count(TINY.run('denoise', seed=3))
    assert other.parameters == found.parameters


def test_what_is_trained_and_what_stays_on_disk():
    from ddep_tf.runtime import build
    run = TINY.run('denoise', steps=1000, checkpoint_every=500, keep=2)
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
    head, row = cost.table([('wide', TINY.run('denoise', 3))], 'tpu_v4', 0.4)
    assert len(head) == len(row) and row[0] == 'wide'
    assert row[1:4] == ['denoise, encoder frozen', 'tiny, 3x',
                        '224 x 224']
    text = ' '.join(cost.sentences('tpu_v4', 0.4))
    assert 'multiply-add counts as 2' in text and '117.6 PFLOPs' in text
