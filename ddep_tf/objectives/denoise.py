"""Decoder denoising pretraining: the mean squared error of the noise [R]."""

import tensorflow as tf

from ddep_tf.objectives import base, noise


class Denoise(base.Objective):
    """Predicts noise, or the clean image, from noisy images.

    With `train_encoder=False` (DDeP) the encoder runs as at inference and
    outside the tape: neither its weights nor its statistics can move. With
    True it is trained too (DeP).
    """

    metric_names = ('loss',)

    def __init__(self, network, spec, train_encoder=False, **kwargs):
        super().__init__(network, **kwargs)
        self.spec = spec
        self.train_encoder = train_encoder

    @property
    def trained(self):
        if self.train_encoder:
            return self.network.trainable_variables
        return (self.network.decoder.trainable_variables +
                self.network.head.trainable_variables)

    def predict_target(self, x_noisy, training):
        """Returns the network's prediction, [B, H, W, 3] float32."""
        encoding = training and self.train_encoder
        features = self.network.encoder(x_noisy, training=encoding)
        if not self.train_encoder:
            features = tf.nest.map_structure(tf.stop_gradient, features)
        return self.network.decode(features, training=training)

    def batch_loss(self, batch, training):
        """See base. `batch`: image and noise [B, H, W, 3], noise_stddev [B]."""
        x_noisy, target = noise.corrupt(
            batch['image'], batch['noise'], batch['noise_stddev'],
            self.spec.kind, self.spec.target)
        prediction = self.predict_target(x_noisy, training)
        return base.global_mean(tf.square(prediction - target)), {}

    def restore(self, batch):
        """Returns (x_noisy, clean estimate), [B, H, W, 3] float32 each."""
        x_noisy, _ = noise.corrupt(
            batch['image'], batch['noise'], batch['noise_stddev'],
            self.spec.kind, self.spec.target)
        prediction = self.predict_target(x_noisy, training=False)
        return x_noisy, noise.clean_from(
            x_noisy, prediction, batch['noise_stddev'], self.spec.kind,
            self.spec.target)
