"""Decoder denoising pretraining: the mean squared error of the noise [R]."""

import tensorflow as tf

from ddep_tf.objectives import base, noise


class Denoise(base.Objective):
    """Predicts the noise, or the clean image, from noisy images.

    With `train_encoder=False` (DDeP) the encoder runs as at inference and
    outside the tape: neither its weights nor its statistics can change. With
    True it is trained too (DeP).

    Args:
      network: Network with three output channels.
      spec: NoiseSpec.
      train_encoder: see above.
    """

    stage = 'denoise'
    sample_kinds = ('clean', 'noisy', 'denoised')

    def __init__(self, network, spec, train_encoder=False, **kwargs):
        super().__init__(network, **kwargs)
        self.spec = spec
        self.train_encoder = train_encoder

    @classmethod
    def from_run(cls, run, network):
        objective = cls(network, run.noise, run.train_encoder)
        objective.build(None)
        return objective

    @classmethod
    def num_outputs(cls, run):
        del run
        return 3

    @classmethod
    def describe(cls, run):
        trained = 'trained' if run.train_encoder else 'frozen'
        return f'{cls.stage}, encoder {trained}'

    @classmethod
    def example_fn(cls, run):
        """Adds noise_seed, [2] int32, and noise_stddev, a scalar.

        Both depend on the example and step alone, and not on the replicas.
        The noise itself is drawn from the seed on the device.
        """
        def add_seed(example, seed):
            return {**example, 'noise_seed': seed,
                    'noise_stddev': noise.draw_stddev(seed, run.noise)}
        return add_seed

    @classmethod
    def batch_signature(cls, run, batch_size):
        return {'image': base.image_signature(run, batch_size),
                'noise_seed': tf.TensorSpec((batch_size, 2), tf.int32),
                'noise_stddev': tf.TensorSpec((batch_size,), tf.float32)}

    @classmethod
    def result_rows(cls, result, class_names):
        return [('denoising loss', result['loss'], False)]

    @property
    def trained_variables(self):
        if self.train_encoder:
            return self.network.trainable_variables
        return (self.network.decoder.trainable_variables +
                self.network.head.trainable_variables)

    def prepared(self, batch):
        """See base. Adds the noise, [B, H, W, 3] float32."""
        drawn = noise.draw(batch['image'].shape[1:], batch['noise_seed'])
        return {**super().prepared(batch), 'noise': drawn}

    def predict_target(self, x_noisy: tf.Tensor, training: bool) -> tf.Tensor:
        """Returns the network's prediction, [B, H, W, 3] float32."""
        encoding = training and self.train_encoder
        features = self.network.encode(x_noisy, training=encoding)
        if not self.train_encoder:
            features = tf.nest.map_structure(tf.stop_gradient, features)
        return self.network.decode(features, training=training)

    def batch_loss(self, batch, training, divisor=None):
        """See base. `batch`: image and noise [B, H, W, 3], noise_stddev [B]."""
        x_noisy, target = self._corrupt(batch)
        prediction = self.predict_target(x_noisy, training)
        return base.global_mean(tf.square(prediction - target),
                                divisor), {}

    def reconstruct(self, batch) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns (x_noisy, clean estimate), [B, H, W, 3] float32 each."""
        x_noisy, _ = self._corrupt(batch)
        prediction = self.predict_target(x_noisy, training=False)
        return x_noisy, noise.clean_from(
            x_noisy, prediction, batch['noise_stddev'], self.spec.kind,
            self.spec.target)

    def sample_images(self, batch):
        batch = self.prepared(batch)
        x_noisy, estimate = self.reconstruct(batch)
        return {'clean': batch['image'], 'noisy': x_noisy,
                'denoised': estimate}

    @property
    def sample_levels(self):
        return noise.levels(self.spec)

    def at_level(self, batch, level):
        stddev = tf.fill(tf.shape(batch['noise_stddev']), level)
        return {**batch, 'noise_stddev': stddev}

    def _corrupt(self, batch):
        return noise.corrupt(
            batch['image'], batch['noise'], batch['noise_stddev'],
            self.spec.kind, self.spec.target)
