"""What a stage promises the rest of the package, held by each of them."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ddep_tf import errors, specs
from ddep_tf.data import transforms
from ddep_tf.data.sources import base as sources
from ddep_tf.evaluation import evaluator
from ddep_tf.objectives import base, registry
from ddep_tf.runtime import build, inputs

pytestmark = pytest.mark.quick

ONE = tf.distribute.OneDeviceStrategy('/cpu:0')


def test_each_stage_has_its_objective():
    assert tuple(registry.OBJECTIVES) == specs.STAGES
    with pytest.raises(errors.UserError, match='stage'):
        registry.objective_of('tune')


@pytest.fixture(name='stage', params=specs.STAGES)
def _stage(request):
    return request.param


def test_batches_are_what_the_signature_says(make_run, stage):
    run = make_run(stage)
    objective = registry.objective_of(stage)
    assert objective.decodes in sources.DECODES
    opened = inputs.open_inputs(run, '', ('train', 'val'))
    signature = objective.batch_signature(run, run.global_batch_size)
    for dataset in (inputs.train_dataset(run, opened['train']),
                    inputs.crop_dataset(run, opened['val'][0],
                                        run.global_batch_size)):
        batch = next(iter(dataset))
        # `position` leads back to the ids; no train step reads it.
        assert set(batch) == {*signature, 'position'}
        for name, expected in signature.items():
            assert expected.is_compatible_with(batch[name]), name


@pytest.mark.parametrize('changes, dtype', [
    ({}, 'uint8'), ({'scale': 0.5}, 'float32'), ({'short_side': 48}, 'float32'),
    ({'random_scale': (0.8, 1.2)}, 'float32'),
    ({'short_side': 48, 'round_images': True}, 'uint8')])
def test_images_travel_in_a_byte_where_no_bit_is_lost(make_run, changes,
                                                      dtype):
    run = make_run('segment')
    run = dataclasses.replace(
        run, data=(dataclasses.replace(run.data[0], **changes),))
    assert run.image_dtype == dtype
    train = inputs.train_dataset(run, inputs.open_labelled(run, ''))
    assert train.element_spec['image'].dtype == dtype
    lit = dataclasses.replace(run, augment=specs.AugmentSpec(hue=0.1))
    assert lit.image_dtype == 'float32'


@pytest.mark.parametrize('compiled', [False, True])
def test_a_byte_becomes_the_number_that_the_pipeline_gives(compiled):
    values = tf.cast(tf.range(256), tf.uint8)[None, :, None]
    expected, = transforms_of(values)
    found = tf.function(base.as_float, jit_compile=compiled)(values)
    assert found.numpy().max() == 1 and found.numpy().min() == -1
    if compiled:  # XLA rounds once less.
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)
    else:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(base.as_float(values), expected)


def transforms_of(values):
    """The pixels of an image as batches of float32 hold them."""
    dataset = tf.data.Dataset.from_tensors({'image': values})
    return [example['image'].numpy()
            for example in dataset.map(transforms.to_float)]


def test_what_is_measured_has_the_headline_and_rows(make_run, stage):
    run = make_run(stage)
    source, = inputs.open_inputs(run, '', ('val',))['val']
    objective = build.build_objective(run, build.build_network(run))
    result = evaluator.Evaluator(run, objective, ONE).measure(source)
    assert result['value'] == result[objective.headline]
    assert result['images'] == source.num_examples
    rows = objective.result_rows(result, ('a', 'b', 'c', 'd', 'e', 'f'))
    assert all(0 <= value <= 1 for _, value, ratio in rows
               if ratio and value == value)
    assert any(value == result['value'] for _, value, _ in rows)
    outputs = objective.network(tf.zeros((1, *run.crop_size, 3)))
    assert outputs.shape[-1] == objective.num_outputs(run)
