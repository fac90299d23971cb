"""How two runs differ: against other formulas, and against themselves."""

import dataclasses

import numpy as np
import pytest

from ddep_tf import errors, files
from ddep_tf.evaluation import similarity
from ddep_tf.models import weights
from ddep_tf.runtime import strategy
from ddep_tf.training import train

import commands


def _gram_cka(first, second):
    """By its definition: HSIC of the centered Gram matrices."""
    center = np.eye(len(first)) - 1 / len(first)
    one, other = (center @ x @ x.T @ center for x in (first, second))
    return np.trace(one @ other) / np.sqrt(
        np.trace(one @ one) * np.trace(other @ other))


def test_cka_is_that_of_gram_matrices():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 5)) + 3
    second = first[:, :3] ** 2 + rng.normal(size=(40, 3))
    assert similarity.cka(first, second) == pytest.approx(
        _gram_cka(first, second))
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert similarity.cka(first, 2 * first @ rotation - 1) == pytest.approx(1)
    assert np.isnan(similarity.cka(first, np.ones((40, 2))))


@pytest.fixture(scope='module', name='runs')
def _runs(make_run, tmp_path_factory):
    """Folders of a denoising run and of a fine-tuning that starts from it."""
    where = tmp_path_factory.mktemp('runs')
    one = strategy.get_strategy('one_device')
    denoised, tuned = where / 'denoise', where / 'segment'
    train.train(make_run('denoise', steps=1, eager=True), '', denoised, '',
                one)
    train.train(make_run('segment', steps=1, eager=True,
                         init_encoder=str(denoised),
                         init_decoder=str(denoised)), '', tuned, '', one)
    return tuned, denoised


def test_parts_of_two_runs(runs):
    one = strategy.get_strategy('one_device')
    tuned, denoised = runs
    rows = similarity.compare(tuned, denoised, '', one, 2)
    assert [row.part for row in rows] == list(similarity.PARTS)
    first, second = (weights.read_npz(path / 'weights.npz')
                     for path in (tuned, denoised))
    keys = [f'decoder/block2/conv{i}/kernel' for i in (1, 2)]
    row = next(row for row in rows if row.part == 'decoder/block2')
    squares = [sum(np.sum(arrays[key].astype(float) ** 2) for key in keys)
               for arrays in (first, second)]
    assert (row.first, row.second) == pytest.approx(tuple(np.sqrt(squares)))
    apart = np.sqrt(sum(np.sum((first[key].astype(float) - second[key]) ** 2)
                        for key in keys))
    assert row.distance == pytest.approx(apart / row.first) and apart > 0
    assert 0.5 < row.cosine < 1 and 0.1 < row.alignment < 1
    for row in similarity.compare(tuned, tuned, '', one, 2):
        assert (row.distance, row.cosine, row.alignment) == pytest.approx(
            (0, 1, 1))


def test_another_network_is_refused(runs, make_run, tmp_path):
    one = strategy.get_strategy('one_device')
    run = make_run('denoise', steps=1, eager=True)
    train.train(dataclasses.replace(run, decoder=dataclasses.replace(
        run.decoder, width_multiplier=2)), '', tmp_path, '', one)
    with pytest.raises(errors.UserError, match='another network'):
        similarity.compare(runs[0], tmp_path, '', one, 2)


def test_the_command_prints_the_parts(runs):
    tuned, denoised = map(str, runs)
    code, out, err = commands.run('compare_runs', f'--run_dir={tuned}',
                                  f'--other={denoised}', '--count=2')
    assert code == 0, err
    assert 'CKA' in out and 'decoder/block4' in out
    code, _, err = commands.run('compare_runs', f'--run_dir={tuned}',
                                f'--other={files.path(tuned).parent}')
    assert code == 2 and 'is not a run folder' in err
