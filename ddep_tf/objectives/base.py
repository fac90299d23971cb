"""What the objectives share: a stage of the method, and its training step."""

from collections.abc import Callable, Mapping
import functools
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.models import segmenter

Shares = tuple[tf.Tensor, dict[str, tf.Tensor]]
Divisor: TypeAlias = int | tf.Tensor
Row = tuple[str, float, bool]


class Objective(keras.Model):
    """A stage: its network, its batches, its loss and how it is judged.

    A subclass is all that the rest of the package knows of a stage. It names
    the variables it trains, and returns the sum of its loss over this
    replica's share of the batch, divided by a number on which all replicas
    agree: summed over the replicas, the gradients are those of one replica
    that holds the whole batch.

    Attributes:
      stage: name of the stage, one of specs.STAGES.
      decodes: what a source has to decode for it: 'nothing' beside the image,
        its 'class' or its 'mask'.
      has_decoder: whether the network has a decoder, which then denoises or
        segments; without one it classifies.
      whole_images: judged by the confusion matrix of whole images; otherwise
        by `eval_step` on center crops.
      headline: the measured number that stands for all others.
      higher_is_better: the direction of `headline`.
      metric_names: what `train_step` reports.
      sample_kinds: the pictures that `sample_images` makes.
      accumulate: in how many parts, one after the other, a step takes the
        gradients of its batch, which it must divide.

    Args:
      network: keras.Model with an attribute `encoder`.
    """

    stage = ''
    decodes = 'nothing'
    has_decoder = True
    whole_images = False
    headline = 'loss'
    higher_is_better = False
    metric_names: tuple[str, ...] = ('loss',)
    sample_kinds: tuple[str, ...] = ()

    def __init__(self, network: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self.accumulate = 1
        self._gradients_fn = self._gradients
        # First step with a non-finite loss or gradient, -1 if there is none.
        self.first_bad_step = self.add_weight(
            name='first_bad_step', shape=(), dtype='int64', trainable=False,
            initializer=keras.initializers.Constant(-1))

    @classmethod
    def from_run(cls, run: specs.RunSpec, network: keras.Model) -> 'Objective':
        """Returns the objective of a run, built, without an optimizer."""
        del run
        objective = cls(network)
        objective.build(None)
        return objective

    @classmethod
    def num_outputs(cls, run: specs.RunSpec) -> int:
        """Returns the channels of the network's output.

        Raises:
          UserError: the run's first data set does not say.
        """
        raise NotImplementedError

    @classmethod
    def build_network(cls, run: specs.RunSpec,
                      position_grid: tuple[int, int]) -> keras.Model:
        """Builds the network, randomly initialized.

        Args:
          run: RunSpec.
          position_grid: (rows, columns) of the position embedding.

        Returns:
          A Network of encoder, decoder and head, for images of any size.
        """
        return segmenter.build_network(
            run.encoder, run.decoder, cls.num_outputs(run), (None, None),
            position_grid=position_grid)

    @classmethod
    def describe(cls, run: specs.RunSpec) -> str:
        """Returns the stage, and how this run trains it, for a table."""
        del run
        return cls.stage

    @classmethod
    def example_fn(cls, run: specs.RunSpec) -> Callable | None:
        """Returns what completes an example, (example, seed) -> example.

        It runs in tf.data, after the augmentation; None adds nothing.
        """
        del run
        return None

    @classmethod
    def batch_signature(cls, run: specs.RunSpec,
                        batch_size: int) -> dict[str, tf.TensorSpec]:
        """Returns the specs of the tensors that `train_step` takes, as they
        travel to a device."""
        raise NotImplementedError

    @classmethod
    def result_rows(cls, result: Mapping[str, Any],
                    class_names: tuple[str, ...]) -> list[Row]:
        """Returns what was measured as rows (name, value, is a ratio)."""
        raise NotImplementedError

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """The variables that the optimizer changes."""
        return self.network.trainable_variables

    def prepared(self, batch: Mapping[str, tf.Tensor]
                 ) -> dict[str, tf.Tensor]:
        """Returns a batch as `batch_loss` takes it, made on the device from
        what has travelled there: images are float32 in [-1, 1]."""
        return {**batch, 'image': as_float(batch['image'])}

    def batch_loss(self, batch: Mapping[str, tf.Tensor], training: bool,
                   divisor: Divisor | None = None) -> Shares:
        """Returns (this replica's share of the loss, dict of metric shares).

        Shares add up over the replicas. All are float32 scalars.

        Args:
          batch: this replica's part of the global batch, `prepared`.
          training: whether dropout and the like are on.
          divisor: what `divisor` returns of the batch; None computes it here,
            which XLA cannot where there are several replicas.
        """
        raise NotImplementedError

    def divisor(self, batch: Mapping[str, tf.Tensor]) -> Divisor:
        """Returns what each part of the global batch divides its share of the
        loss by: numbers on which all replicas agree before any computes its
        loss. `batch` is this replica's, with all its parts."""
        del batch
        return num_replicas() * self.accumulate

    def sample_images(self, batch: Mapping[str, tf.Tensor]
                      ) -> dict[str, tf.Tensor]:
        """Returns pictures of a batch, {kind: [B, H, W, 3] in [-1, 1]}.

        For objectives with `sample_kinds`. The pictures of one that is judged
        on whole images are its predictions.
        """
        raise NotImplementedError

    @property
    def sample_levels(self) -> tuple[float, ...]:
        """The levels of noise that pictures are made at beside its own."""
        return ()

    def at_level(self, batch: Mapping[str, tf.Tensor],
                 level: float) -> dict[str, tf.Tensor]:
        """Returns a batch at one of `sample_levels`."""
        raise NotImplementedError

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)

    def build(self, input_shape):
        self.built = True

    def train_step(self, batch: Mapping[str, tf.Tensor]
                   ) -> dict[str, tf.Tensor]:
        """Takes one optimizer step.

        Args:
          batch: this replica's part of the global batch, see
            `batch_signature`.

        Returns:
          dict of float32 scalars, each this replica's share: sum them.
        """
        batch = self.prepared(batch)
        # Replicas speak to each other before and after, not in, what XLA
        # may compile.
        scale = self.optimizer.scale_loss(tf.ones(()))
        loss, metrics, gradients = self._gradients_fn(
            batch, self.divisor(batch), scale)
        self._mark_bad_step(loss, gradients, scale)
        self.optimizer.apply(gradients, self.trained_variables)
        return {'loss': loss, **metrics}

    def compile_gradients(self) -> None:
        """Has XLA compile the loss and its gradients in `train_step`."""
        compiled = tf.function(self._gradients, jit_compile=True)
        # In a partial, since checkpoints would have a tf.function as a part.
        self._gradients_fn = functools.partial(compiled)

    def _gradients(self, batch, divisor, scale):
        """Returns the shares of loss and metrics, and the gradients of `scale`
        times the loss."""
        if self.accumulate == 1:
            return self._part_gradients(batch, divisor, scale)
        parts = {name: tf.reshape(
            tensor, [self.accumulate, -1, *tensor.shape[1:]])
            for name, tensor in batch.items()}

        def add_part(i, totals):
            found = self._part_gradients(
                {name: part[i] for name, part in parts.items()}, divisor,
                scale, tf.UnconnectedGradients.ZERO)
            return i + 1, tf.nest.map_structure(tf.add, totals, found)

        zeros = (tf.zeros(()),
                 {name: tf.zeros(()) for name in self.metric_names[1:]},
                 [tf.zeros(v.shape, v.dtype) for v in self.trained_variables])
        # A loop of one at a time, which frees what a part needed.
        return tf.while_loop(
            lambda i, _: i < self.accumulate, add_part, (0, zeros),
            parallel_iterations=1, maximum_iterations=self.accumulate)[1]

    def _part_gradients(self, batch, divisor, scale,
                        unconnected=tf.UnconnectedGradients.NONE):
        variables = [v.value for v in self.trained_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss, metrics = self.batch_loss(batch, True, divisor)
            scaled = scale * loss
        return loss, metrics, tape.gradient(
            scaled, variables, unconnected_gradients=unconnected)

    def eval_step(self, batch: Mapping[str, tf.Tensor]
                  ) -> dict[str, tf.Tensor]:
        """Returns the metric shares of `train_step`, and changes nothing."""
        loss, metrics = self.batch_loss(self.prepared(batch), training=False)
        return {'loss': loss, **metrics}

    def _mark_bad_step(self, loss, gradients, scale):
        norm = tf.linalg.global_norm([g for g in gradients if g is not None])
        # Those of a scaled loss may overflow: its scale is then halved.
        finite = tf.math.is_finite(loss) & (
            tf.math.is_finite(norm) | (scale > 1))
        bad = replica_sum(tf.cast(~finite, tf.float32)) > 0
        known = self.first_bad_step.value
        # Counted from 1, as the log does.
        step = tf.cast(self.optimizer.iterations.value, tf.int64) + 1
        self.first_bad_step.assign(
            tf.where(bad & (known < 0), step, known))


def num_classes(run: specs.RunSpec) -> int:
    """Returns the classes of a run's first data set. UserError if none."""
    data = run.data[0]
    if data.num_classes < 1:
        raise errors.UserError(
            f'DatasetSpec.num_classes of {data.name!r} must be above 0: set '
            'it, or give the folder a classes.json')
    return data.num_classes


def image_signature(run: specs.RunSpec, batch_size: int) -> tf.TensorSpec:
    """Returns the spec of a batch of crops, [B, h, w, 3]."""
    return tf.TensorSpec((batch_size, *run.crop_size, 3), run.image_dtype)


def as_float(image: tf.Tensor) -> tf.Tensor:
    """Returns images that may be uint8 as float32 in [-1, 1]."""
    if image.dtype != tf.uint8:
        return image
    # The bits that tf.data gives. A plain division by a constant becomes a
    # product in a function, and differs in the last digit.
    image = tf.math.divide_no_nan(tf.cast(image, tf.float32), 127.5) - 1.0
    return tf.clip_by_value(image, -1.0, 1.0)  # XLA rounds to above 1.


def replica_sum(value: tf.Tensor) -> tf.Tensor:
    """Returns the sum of a tensor over all replicas, the same on each."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def num_replicas() -> int:
    """Returns the number of replicas that train in step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def global_mean(values: tf.Tensor, divisor: Divisor | None) -> tf.Tensor:
    """Returns this replica's share of the mean of `values` over the batch.

    Args:
      values: any shape.
      divisor: as of `Objective.batch_loss`.
    """
    return tf.reduce_mean(values) / (divisor or num_replicas())
