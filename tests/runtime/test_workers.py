"""Which errors of TensorFlow mean that a worker or a TPU is gone."""

import pytest
import tensorflow as tf

from ddep_tf import errors
from ddep_tf.runtime import strategy, workers

import remote_hosts

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('error', [
    tf.errors.UnavailableError(None, None, 'Connection reset by peer'),
    tf.errors.AbortedError(None, None, 'worker restarted')])
def test_a_lost_worker_is_named(error):
    with pytest.raises(errors.WorkerLost, match='reset|restarted'), (
            workers.losses_named()):
        raise error


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
