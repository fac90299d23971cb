"""Prediction on files, shared out over replicas."""

import numpy as np
from PIL import Image
import tensorflow as tf

from ddep_tf import specs
from ddep_tf.evaluation import predict, predictor

import segment_runs


def test_two_replicas_write_what_one_does(two, tmp_path, monkeypatch,
                                          capsys):
    """Of images of several sizes, and a file that cannot be read: the same
    files, but for the rounding of probabilities."""
    run, _ = segment_runs.write(tmp_path / 'run', evaluation=specs.EvalSpec(
        tile=(32, 32), flip=True))
    rng = np.random.default_rng(0)
    (tmp_path / 'photos').mkdir()
    for name, size in {'a': (40, 33), 'c': (20, 70), 'd': (64, 64),
                       'e': (40, 33), 'f': (33, 40)}.items():
        Image.fromarray(rng.integers(0, 256, (*size, 3)).astype('u1')).save(
            tmp_path / 'photos' / f'{name}.png')
    (tmp_path / 'photos' / 'b.png').write_bytes(b'none')
    rounds, whole = [], predictor.Predictor.predict
    monkeypatch.setattr(
        predictor.Predictor, 'predict', lambda self, groups, *rest: (
            rounds.append(len(groups)), whole(self, groups, *rest))[1])
    kinds = ('ids', 'probabilities', 'summary')
    one = tf.distribute.OneDeviceStrategy('/cpu:0')
    for folder, strategy in ('one', one), ('two', two):
        predict.predict_files(tmp_path / 'run', run, [tmp_path / 'photos'],
                              tmp_path / folder, strategy, kinds)
        assert '1 of 6 skipped' in capsys.readouterr().out
    assert rounds == 5 * [1] + [1, 2, 2]
    names = sorted(path.name for path in (tmp_path / 'one').iterdir())
    assert len(names) == 11
    assert names == sorted(path.name for path in (tmp_path / 'two').iterdir())
    for name in names:
        alone, shared = tmp_path / 'one' / name, tmp_path / 'two' / name
        if name.endswith('.npz'):
            np.testing.assert_allclose(
                *(np.load(path)['probabilities'] for path in (alone, shared)),
                atol=1e-3)
        else:
            assert alone.read_bytes() == shared.read_bytes(), name
