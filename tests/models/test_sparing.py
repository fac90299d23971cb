"""A decoder that computes again what is cheap has the same gradients."""

import kept
import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.models import segmenter

SIDE = 32


def _network(**changes):
    return segmenter.build_segmenter(
        'tiny', 3, image_size=(SIDE, SIDE), decoder=specs.DecoderSpec(
            entry_channels=32, block_channels=(32, 16, 16, 16), **changes))


def _maps(network):
    maps = {name: tf.random.stateless_normal((2, *symbol.shape[1:]), (0, i))
            for i, (name, symbol) in enumerate(network.decoder.input.items())}
    return {name: tf.Variable(each) for name, each in maps.items()}


@pytest.mark.parametrize('changes', [
    {}, {'align_corners': True}, {'image_skip': True}, {'norm': 'batch'}])
def test_gradients_are_those_of_the_layers(changes):
    network = _network(**changes)
    maps = _maps(network)
    sources = [*maps.values(), *(
        each.value for each in network.decoder.trainable_variables)]

    @tf.function
    def gradients(decode):
        with tf.GradientTape() as tape:
            found = decode({name: tf.convert_to_tensor(each)
                            for name, each in maps.items()}, training=True)
            loss = tf.reduce_sum(found * found)
        return found, *tape.gradient(loss, sources)

    for found, expected in zip(gradients(network._trained_decoder),
                               gradients(network.decoder), strict=True):
        most = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * most)


def test_only_what_goes_into_norms_is_kept():
    network = _network()
    names, maps = zip(*_maps(network).items(), strict=True)
    found = kept.elements(
        lambda *values: network._trained_decoder(
            dict(zip(names, values, strict=True)), training=True),
        *map(tf.convert_to_tensor, maps),
        variables=[each.value
                   for each in network.decoder.trainable_variables])

    # [2, H, W, C] of the entry and blocks 1 to 4; the output is the loss's.
    norms = sum(2 * side ** 2 * channels for side, channels in (
        (2, 32), *((4, 32), (8, 16), (16, 16), (32, 16)) * 2))
    output = 2 * 32 ** 2 * 16
    assert norms + output <= found <= 1.02 * (norms + output)
