"""What the three objectives share: one step of training on one replica."""

import keras
import tensorflow as tf


class Objective(keras.Model):
    """A network with a loss of its own.

    A subclass names the variables it trains, and gives the sum of its loss
    over this replica's share of the batch divided by a number that all
    replicas agree on. So the gradients that the optimizer adds up over the
    replicas are those of one replica with the whole batch.
    """

    metric_names = ('loss',)  # What `train_step` reports.

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        # First step with a non-finite loss or gradient, -1 if there is none.
        self.first_bad_step = self.add_weight(
            name='first_bad_step', shape=(), dtype='int64', trainable=False,
            initializer=keras.initializers.Constant(-1))

    @property
    def trained(self):
        """The variables that the optimizer changes."""
        return self.network.trainable_variables

    def batch_loss(self, batch, training):
        """Returns (this replica's share of the loss, dict of metric shares).

        Shares add up over the replicas. Both float32 scalars.
        """
        raise NotImplementedError

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)

    def build(self, input_shape):
        self.built = True

    def train_step(self, batch):
        """One optimizer step.

        Args:
          batch: dict of this replica's part of the global batch.

        Returns:
          dict of float32 scalars, each this replica's share: sum them.
        """
        variables = self.trained
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            loss, metrics = self.batch_loss(batch, training=True)
        gradients = tape.gradient(loss, [v.value for v in variables])
        self._mark_bad_step(loss, gradients)
        self.optimizer.apply(gradients, variables)
        return {'loss': loss, **metrics}

    def eval_step(self, batch):
        """Returns the metric shares of `train_step`, and changes nothing."""
        loss, metrics = self.batch_loss(batch, training=False)
        return {'loss': loss, **metrics}

    def _mark_bad_step(self, loss, gradients):
        norm = tf.linalg.global_norm([g for g in gradients if g is not None])
        finite = tf.math.is_finite(loss) & tf.math.is_finite(norm)
        bad = replica_sum(tf.cast(~finite, tf.float32)) > 0
        known = self.first_bad_step.value
        step = tf.cast(self.optimizer.iterations.value, tf.int64)
        self.first_bad_step.assign(
            tf.where(bad & (known < 0), step, known))


def replica_sum(value):
    """Returns the sum of a scalar over all replicas, as every one sees it."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def num_replicas():
    """Returns the number of replicas that train in step, an int."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def global_mean(values):
    """Returns this replica's share of the mean of `values` over the batch."""
    return tf.reduce_mean(values) / num_replicas()
