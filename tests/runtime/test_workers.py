"""Which errors of TensorFlow mean that a worker or a TPU is gone."""

import errno
import sys

import pytest
import tensorflow as tf

from ddep_tf import cli, errors
from ddep_tf.runtime import strategy, workers

import remote_hosts

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('error', [
    tf.errors.UnavailableError(None, None, 'Connection reset by peer'),
    tf.errors.AbortedError(None, None, 'worker restarted'),
    tf.errors.CancelledError(None, None, 'step reset by a peer')])
def test_a_lost_worker_is_named(error, monkeypatch, capsys):
    with pytest.raises(errors.WorkerLost, match='reset|restarted'), (
            workers.losses_named()):
        raise error

    def evaluate():
        raise error
    monkeypatch.setattr(sys, 'argv', ['evaluate.py'])
    with pytest.raises(SystemExit) as ended:
        cli.main(evaluate)
    assert ended.value.code == cli.WORKER_LOST
    assert 'a worker or TPU was lost' in capsys.readouterr().err


@pytest.mark.parametrize('number, code', [
    (errno.ESTALE, cli.WORKER_LOST), (errno.EIO, cli.WORKER_LOST),
    (errno.ETIMEDOUT, cli.WORKER_LOST), (errno.ENOSPC, cli.USER_ERROR),
    (errno.EACCES, cli.USER_ERROR)])
def test_a_folder_that_fails_for_a_while_is_no_mistake(
        monkeypatch, capsys, number, code):
    def read():
        raise OSError(number, 'so it is', '/mnt/shared/x')
    monkeypatch.setattr(sys, 'argv', ['finetune.py'])
    with pytest.raises(SystemExit) as ended:
        cli.main(read)
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert '/mnt/shared/x: so it is' in said
    assert ('start again' in said) == (code == cli.WORKER_LOST)


def test_whatever_is_said_of_a_host_that_is_gone_means_that(monkeypatch):
    gone = f'localhost:{remote_hosts.free_port()}'
    monkeypatch.setattr(strategy, '_driven', [gone])
    with pytest.raises(errors.WorkerLost, match=f'{gone} does not answer'), (
            workers.losses_named()):
        raise tf.errors.InvalidArgumentError(
            None, None, 'Primary device is not remote')


@pytest.mark.parametrize('error', [
    tf.errors.InternalError(None, None, 'an assertion of its own'),
    tf.errors.UnavailableError(None, None, 'gs://bucket/x: 503'),
    errors.UserError('a mistake')])
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as raised, workers.losses_named():
        raise error
    assert raised.value is error
