"""From an export to a trained model: imported, checked, denoised, fine-tuned.

In this process and eagerly; tests/launch/test_own_images.py does the same by
the launchers.
"""

import json

import numpy as np
from PIL import Image
import pytest
import tensorflow as tf

from ddep_tf import configure
from ddep_tf.data.checking import check_folder
from ddep_tf.evaluation import predict
from ddep_tf.runtime import run_folder
from ddep_tf.training import train

import exports

ONE = tf.distribute.OneDeviceStrategy('/cpu:0')


def trained(stage, data_dir, run_dir, **init):
    run, operative = configure.load_run(
        stage, ['model/tiny.gin', 'data/folder_unlabelled.gin',
                f'stage/{stage}.gin'],
        [f'{stage}/RunSpec.crop_size=(32, 32)', f'{stage}/RunSpec.steps=2',
         f'{stage}/RunSpec.global_batch_size=2', 'RunSpec.eager=True'],
        data_dir, **init)
    train.train(run, operative, str(run_dir), str(data_dir), ONE)
    return run_dir


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('own')
    exports.coco(folder / 'in', exports.photos(folder / 'in', 8)[:6])
    exports.run(folder / 'in', folder / 'data', val=0.3, seed=1)
    return folder / 'data'


def test_an_export_becomes_a_model_that_knows_its_classes(data, tmp_path):
    spec = configure.load_run('segment', ['data/folder.gin'], (),
                              data)[0].data[0]
    assert not check_folder.check(spec, data).problems
    denoise = trained('denoise', data, tmp_path / 'denoise')
    segment = trained('segment', data, tmp_path / 'segment',
                      init_decoder=str(denoise))
    result = json.loads((segment / 'result.json').read_text())
    assert result['images'] == len(list((data / 'images/train').iterdir()))
    assert json.loads((denoise / 'result.json').read_text())['images'] == (
        result['images'] + 2)
    run = run_folder.read_run(segment)
    (data / 'classes.json').rename(tmp_path / 'classes.json')  # Not needed.
    photo = exports.photo(tmp_path / 'new.jpg', 5, (50, 30))
    predict.predict_files(segment, run, [photo], tmp_path / 'out', ONE)
    ids = np.asarray(Image.open(tmp_path / 'out/new.png'))
    colors = np.asarray(Image.open(tmp_path / 'out/new_colour.png'))
    palette = [list(bytes.fromhex(c.color[1:])) for c in spec.classes]
    assert ids.shape == (30, 50)
    np.testing.assert_array_equal(colors, np.array(palette)[ids])
