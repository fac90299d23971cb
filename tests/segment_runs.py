"""A finished segment run that was never trained."""

import keras
import numpy as np

from ddep_tf import specs
from ddep_tf.models import weights
from ddep_tf.runtime import build, handover, run_folder


def write(run_dir, encoder='tiny', evaluation=None, **data):
    """Writes the run folder of an encoder; `data` are fields of DatasetSpec.

    Its head has large weights, so that the classes differ.

    Returns:
      (RunSpec, network).
    """
    run = specs.RunSpec(
        stage='segment', encoder=specs.EncoderSpec(name=encoder),
        data=(specs.DatasetSpec(name='shapes', source='shapes',
                                label_set='shapes', num_classes=6, **data),),
        evaluation=evaluation or specs.EvalSpec(),
        decoder=specs.DecoderSpec(entry_channels=16,
                                  block_channels=(16, 16, 16, 16)),
        crop_size=(32, 48), steps=4)
    # Or a picture of few pixels has but one class now and then.
    keras.utils.set_random_seed(0)
    network = build.build_network(run)
    rng = np.random.default_rng(0)
    network.head.kernel.assign(rng.normal(size=network.head.kernel.shape))
    run_folder.open_run(run_dir, run, 'RunSpec.steps = 4\n')
    handover.write(
        run_dir / run_folder.WEIGHTS, weights.export_arrays(network),
        {'stage': 'segment', 'steps': 4, 'data': ['shapes'],
         'init_encoder': '', 'init_decoder': 'runs/denoise',
         'position_grid': weights.position_grid(network), 'commit': 'abc'})
    run_folder.write_result(run_dir, {
        'val': 0.5, 'test': 0.25, 'images': 3,
        'test_details': {'iou': [0.5] * 5 + [float('nan')]}})
    return run, network
