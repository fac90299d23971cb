"""Adam with its schedule, weight decay and the encoder's own rate."""

from collections.abc import Sequence
import functools
import math

import keras
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.objectives import base

_INITIAL_SCALE = 2.0 ** 15  # Of the loss, and
_GROW_EVERY = 2000          # as in Keras and PyTorch.


@keras.saving.register_keras_serializable('ddep_tf')
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then cosine decay to 0 at the last step, or constant.

    Args:
      learning_rate: at the end of the warm-up.
      steps: of the whole run.
      warmup_steps: in which the rate rises linearly from 0.
      kind: 'cosine' [S] or 'constant'.
    """

    def __init__(self, learning_rate: float, steps: int,
                 warmup_steps: int = 0, kind: str = 'cosine'):
        self.learning_rate = learning_rate
        self.steps = steps
        self.warmup_steps = warmup_steps
        self.kind = kind

    def __call__(self, step) -> tf.Tensor:
        """Returns the learning rate of `step`, a float32 scalar."""
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.learning_rate, tf.float32)
        if self.kind == 'cosine':
            span = max(self.steps - self.warmup_steps, 1)
            done = tf.clip_by_value((step - self.warmup_steps) / span, 0., 1.)
            rate = rate * 0.5 * (1.0 + tf.cos(math.pi * done))
        if self.warmup_steps:
            rate = rate * tf.minimum((step + 1.0) / self.warmup_steps, 1.0)
        return rate

    def get_config(self):
        return {'learning_rate': self.learning_rate, 'steps': self.steps,
                'warmup_steps': self.warmup_steps, 'kind': self.kind}


class Adam(keras.optimizers.Adam):
    """Adam whose rate and weight decay depend on the variable.

    Attributes:
      schedule: the Schedule of the learning rate.

    Args:
      spec: OptimizerSpec.
      steps: length of the run, for the schedule.
      encoder_variables: those whose rate is multiplied by
        `spec.encoder_factor`.
    """

    def __init__(self, spec: specs.OptimizerSpec, steps: int,
                 encoder_variables: Sequence[keras.Variable] = ()):
        schedule = Schedule(spec.learning_rate, steps, spec.warmup_steps,
                            spec.schedule)
        super().__init__(schedule, beta_1=spec.beta_1, beta_2=spec.beta_2,
                         epsilon=spec.epsilon)
        self.schedule = schedule
        self._spec = spec
        self._encoder_ids = frozenset(id(v) for v in encoder_variables)

    def build(self, variables):
        super().build(variables)
        # An update is given the bare tf.Variable, so what depends on the
        # Keras variable is looked up by its index.
        self._factors = [self._spec.encoder_factor
                         if id(v) in self._encoder_ids else 1.0
                         for v in variables]
        self._decays = [self._spec.weight_decay if _is_kernel(v) else 0.0
                        for v in variables]

    def apply(self, grads, trainable_variables=None):
        # Keras' own step, in one operation a variable: in place, without
        # copies of the gradient, of which there are several else. What all
        # variables share is computed once: they are hundreds.
        step = tf.cast(self.iterations.value + 1, tf.float32)
        betas = [tf.constant(beta) for beta in (self.beta_1, self.beta_2)]
        # In a partial, since checkpoints would have a dict as a part.
        self._move = functools.partial(
            tf.raw_ops.ResourceApplyAdam, use_locking=True,
            beta1_power=betas[0] ** step, beta2_power=betas[1] ** step,
            beta1=betas[0], beta2=betas[1],
            epsilon=tf.constant(self.epsilon))
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        # Keras has no public name for it; its own optimizers use this one.
        index = self._get_variable_index(variable)
        learning_rate = tf.cast(learning_rate, tf.float32)
        if self._factors[index] != 1:
            learning_rate *= self._factors[index]
        if self._decays[index]:
            decay = self._decays[index] * variable
            if self._spec.weight_decay_form == 'coupled':
                gradient = gradient + decay
            else:
                rate = tf.cast(learning_rate, variable.dtype)
                self.assign_sub(variable, rate * decay)
        moments = (slots[index].value.handle
                   for slots in (self._momentums, self._velocities))
        self._move(var=variable.handle, lr=learning_rate, grad=gradient,
                   **dict(zip('mv', moments, strict=True)))


class ScaledAdam(Adam):
    """Adam of a loss that is multiplied by a scale, which adapts itself:
    gradients in float16 would be rounded to 0 else.

    Keras' LossScaleOptimizer branches around the update, in which replicas
    speak to each other: under a MirroredStrategy that fails.

    The scale is halved, to 1 at least, by a step whose gradients are not
    finite on some replica. Such a step moves no variable; it counts as one of
    the run's steps, whose gradients were 0. After _GROW_EVERY others in a row
    the scale is doubled.

    Attributes:
      scale: float32 variable.
      good_steps: int32 variable, the finite steps since the last that was not.
    """

    def build(self, variables: Sequence[keras.Variable]) -> None:
        super().build(variables)
        self.scale = self.add_variable(
            (), keras.initializers.Constant(_INITIAL_SCALE), 'float32',
            aggregation='none', name='scale')
        self.good_steps = self.add_variable(
            (), 'zeros', 'int32', aggregation='none', name='good_steps')

    def scale_loss(self, loss: tf.Tensor) -> tf.Tensor:
        """Returns the loss that gradients are taken of."""
        return loss * self.scale.value

    def apply(self, grads, trainable_variables=None):
        """Takes a step by this replica's gradients of the scaled loss."""
        norm = tf.linalg.global_norm([g for g in grads if g is not None])
        overflows = tf.cast(~tf.math.is_finite(norm), tf.float32)
        finite = base.replica_sum(overflows) <= 0
        scale = self.scale.value
        unscaled = [g if g is None else
                    tf.where(finite, g / scale, tf.zeros_like(g))
                    for g in grads]
        self._adapt(finite)
        super().apply(unscaled, trainable_variables)

    def _adapt(self, finite):
        scale = tf.convert_to_tensor(self.scale.value)
        steps = tf.where(finite, self.good_steps.value + 1, 0)
        grown = tf.where(steps % _GROW_EVERY == 0, 2 * scale, scale)
        self.scale.assign(
            tf.where(finite, grown, tf.maximum(scale / 2, 1.0)))
        self.good_steps.assign(steps)

    def update_step(self, gradient, variable, learning_rate):
        moves = tf.cast(self.good_steps.value > 0, tf.float32)
        super().update_step(gradient, variable, learning_rate * moves)


def add_optimizer(run: specs.RunSpec, objective: base.Objective) -> None:
    """Gives an objective its optimizer, built, to train with."""
    kind = ScaledAdam if run.precision == specs.FLOAT16 else Adam
    objective.optimizer = kind(run.optimizer, run.steps,
                               objective.network.encoder.trainable_variables)
    objective.optimizer.build(objective.trained_variables)


def _is_kernel(variable):
    """Biases, norm scales, class tokens, position embeddings do not decay."""
    return variable.name.endswith('kernel')
