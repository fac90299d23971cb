"""One line where the TPU of this machine has no TensorFlow of its own."""

from importlib import metadata
import pathlib
import subprocess
import sys

import pytest

from ddep_tf import errors
from ddep_tf.runtime import tpu_install

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def installed(monkeypatch):
    """Returns a function that says which distributions are installed."""
    def install(**versions):
        def version(name):
            try:
                return versions[name.replace('-', '_')]
            except KeyError as error:
                raise metadata.PackageNotFoundError(name) from error
        monkeypatch.setattr(metadata, 'version', version)
    return install


@pytest.mark.parametrize('strategy, tpu', [
    ('tpu', ''), ('tpu', 'local'), ('auto', 'local')])
def test_a_local_tpu_needs_its_own_tensorflow_alone(installed, strategy, tpu):
    installed(tensorflow='2.20.0')
    with pytest.raises(errors.UserError, match='2.20.0 drives no TPU'):
        tpu_install.check(strategy, tpu)
    installed(tensorflow='2.20.0', tensorflow_tpu='2.20.0')
    with pytest.raises(errors.UserError, match='over each other'):
        tpu_install.check(strategy, tpu)
    installed(tensorflow_tpu='2.20.0')
    tpu_install.check(strategy, tpu)


@pytest.mark.parametrize('strategy, tpu', [
    ('tpu', 'grpc://10.0.0.1'), ('tpu', 'grpc://a:8470,grpc://b:8470'),
    ('tpu', 'name'), ('auto', ''), ('auto', 'name'), ('mirrored', ''),
    ('multi_worker', ''), ('one_device', '')])
def test_other_machines_and_devices_take_any_tensorflow(installed, strategy,
                                                        tpu):
    installed(tensorflow='2.20.0')
    tpu_install.check(strategy, tpu)


@pytest.mark.skipif(not tpu_install._version('tensorflow'),
                    reason='this environment has TensorFlow for TPUs')
def test_a_launcher_says_so_before_it_imports_tensorflow(tmp_path):
    done = subprocess.run(
        [sys.executable, '-X', 'importtime', str(ROOT / 'launch/finetune.py'),
         '--gin_file=model/tiny.gin', '--gin_file=data/shapes.gin',
         '--gin_file=stage/segment.gin', '--strategy=tpu',
         f'--run_dir={tmp_path / "run"}'],
        capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines()
            if not line.startswith('import time:')]
    assert done.returncode == 2 and len(said) == 1, said
    assert 'tensorflow-tpu' in said[0] and 'docs/install.md' in said[0]
    assert not any(line.endswith(' tensorflow')
                   for line in done.stderr.splitlines())
    assert not (tmp_path / 'run').exists()
