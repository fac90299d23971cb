"""A TPU that is not there is one line."""

import pytest

from ddep_tf import errors
from ddep_tf.runtime import strategy


def test_without_credentials_google_is_not_asked(monkeypatch, tmp_path):
    """Zone and project are given: no metadata server is needed."""
    monkeypatch.setenv('NO_GCE_CHECK', 'true')
    monkeypatch.setenv('CLOUDSDK_CONFIG', str(tmp_path))
    monkeypatch.setenv('GCE_METADATA_IP', '127.0.0.1:1')
    with pytest.raises(errors.UserError,
                       match='^--tpu=my-tpu: .*Credentials.*--project'):
        strategy.get_strategy('tpu', 'my-tpu', 'us-central2-b', 'p')
