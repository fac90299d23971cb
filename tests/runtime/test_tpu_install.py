"""Which TensorFlow drives the TPU of this machine, and what it is told."""

from importlib import metadata
import os

import pytest

from ddep_tf import errors
from ddep_tf.runtime import tpu_chips, tpu_install

import tpu_machines

RUN = ('finetune.py', '--gin_file=model/tiny.gin',
       '--gin_file=data/shapes.gin', '--gin_file=stage/segment.gin')
PLUGIN = ('NEXT_PLUGGABLE_DEVICE_USE_C_API',
          'TF_PLUGGABLE_DEVICE_LIBRARY_PATH')
plain_tensorflow = pytest.mark.skipif(
    not tpu_install._version('tensorflow'),
    reason='this environment has TensorFlow for TPUs')


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


@pytest.fixture
def chips(monkeypatch):
    """Gives this machine chips."""
    monkeypatch.setattr(tpu_chips, 'kinds', lambda: ['v5e'] * 4)
    monkeypatch.setattr(tpu_chips, 'has_devices', lambda: True)


@pytest.fixture
def environment(monkeypatch):
    """The variables of the environment, given back after the test."""
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    for name in (*PLUGIN, 'TPU_LIBRARY_PATH', 'TPU_LOAD_LIBRARY'):
        os.environ.pop(name, None)
    return os.environ


@pytest.mark.parametrize('strategy, tpu', [
    ('tpu', ''), ('tpu', 'local'), ('auto', 'local')])
def test_a_local_tpu_needs_its_own_tensorflow_alone(installed, chips, strategy,
                                                    tpu):
    installed(tensorflow='2.20.0')
    with pytest.raises(errors.UserError, match='2.20.0 drives no TPU'):
        tpu_install.choose(strategy, tpu)
    installed(tensorflow='2.20.0', tensorflow_tpu='2.20.0')
    with pytest.raises(errors.UserError, match='over each other'):
        tpu_install.choose(strategy, tpu)
    installed(tensorflow_tpu='2.20.0')
    assert tpu_install.choose(strategy, tpu) == 'tpu'


@pytest.mark.parametrize('strategy, tpu, chosen', [
    ('tpu', 'grpc://10.0.0.1', 'tpu'), ('auto', 'name', 'tpu'),
    ('tpu', 'grpc://a:8470,grpc://b:8470', 'tpu'), ('auto', '', 'auto'),
    ('mirrored', '', 'mirrored'), ('multi_worker', '', 'multi_worker'),
    ('one_device', '', 'one_device')])
def test_other_machines_and_devices_take_any_tensorflow(
        installed, strategy, tpu, chosen):
    installed(tensorflow='2.20.0')
    assert tpu_install.choose(strategy, tpu) == chosen


def test_a_machine_without_chips_is_refused(installed):
    """Where libtpu would end the process by a signal."""
    installed(tensorflow_tpu='2.20.0')
    with pytest.raises(errors.UserError, match='no TPU chip'):
        tpu_install.choose('tpu', '')
    assert tpu_install.choose('auto', '') == 'auto'


def test_auto_takes_the_chips_of_this_machine(installed, chips, capsys):
    installed(tensorflow_tpu='2.20.0')
    assert tpu_install.choose('auto', '') == 'tpu'
    assert not capsys.readouterr().out
    assert tpu_install.choose('one_device', '') == 'one_device'


def test_auto_says_in_one_line_why_it_leaves_chips_alone(
        installed, chips, capsys):
    installed(tensorflow='2.20.0')
    assert tpu_install.choose('auto', '') == 'auto'
    line, = capsys.readouterr().out.splitlines()
    assert line.startswith('4 TPU chips (v5e) are not used: tensorflow 2.20.0')


def test_the_plugin_is_named_before_tensorflow_is_imported(
        environment, tmp_path, monkeypatch):
    package = tmp_path / 'libtpu'
    package.mkdir()
    (package / '__init__.py').write_text('raise ImportError("imported")')
    (package / 'libtpu.so').touch()
    monkeypatch.syspath_prepend(tmp_path)
    tpu_install.set_up('tpu', '')
    assert [environment[name] for name in PLUGIN] == [
        'true', str(package / 'libtpu.so')]
    assert 'TPU_LOAD_LIBRARY' not in environment


def test_what_the_user_has_set_stays(environment):
    environment[PLUGIN[1]] = ''  # Keeps TensorFlow from loading a plugin.
    tpu_install.set_up('tpu', 'local')
    assert environment[PLUGIN[1]] == ''


def test_without_libtpu_it_says_so(environment, monkeypatch):
    monkeypatch.setattr(tpu_install.importlib.util, 'find_spec',
                        lambda name: None)
    monkeypatch.setattr(tpu_install.pathlib.Path, 'is_file',
                        lambda path: False)
    with pytest.raises(errors.UserError, match='libtpu is not installed'):
        tpu_install.set_up('tpu', '')


@pytest.mark.parametrize('strategy, tpu', [
    ('tpu', 'grpc://10.0.0.1,grpc://10.0.0.2'), ('auto', ''),
    ('mirrored', ''), ('multi_worker', ''), ('one_device', '')])
def test_processes_without_use_for_chips_leave_them_alone(
        environment, strategy, tpu):
    """That includes the driver of other hosts: servers have the chips."""
    tpu_install.set_up(strategy, tpu)
    assert environment['TPU_LOAD_LIBRARY'] == '0'
    assert not set(PLUGIN) & set(environment)


@plain_tensorflow
def test_a_launcher_refuses_before_it_imports_tensorflow(tmp_path):
    done = tpu_machines.launch(
        tmp_path, *RUN, '--strategy=tpu', f'--run_dir={tmp_path / "run"}',
        options=('-X', 'importtime'))
    said = [line for line in done.stderr.splitlines()
            if not line.startswith('import time:')]
    assert done.returncode == 2 and len(said) == 1, said
    assert 'tensorflow-tpu' in said[0] and 'docs/tpu.md' in said[0]
    assert not any(line.endswith(' tensorflow')
                   for line in done.stderr.splitlines())
    assert not (tmp_path / 'run').exists()


@plain_tensorflow
def test_a_launcher_on_a_tpu_vm_says_that_it_trains_on_the_cpu(tmp_path):
    machine = tpu_machines.make(tmp_path / 'root', [tpu_machines.V5E] * 8,
                                ['vfio/0'])
    done = tpu_machines.launch(machine, *RUN, '--dry_run')
    assert done.returncode == 0, done.stderr
    assert '8 TPU chips (v5e) are not used: tensorflow' in done.stdout


def test_a_tpu_by_name_outside_of_google_cloud_is_one_line(tmp_path):
    done = tpu_machines.launch(
        tmp_path, *RUN, '--tpu=my-tpu', f'--run_dir={tmp_path / "run"}',
        GCE_METADATA_IP='127.0.0.1:1')
    said = done.stderr.splitlines()
    assert done.returncode == 2 and len(said) == 1, done.stderr
    assert '--tpu=my-tpu' in said[0] and 'grpc://HOST0' in said[0]
    assert 'free space' not in said[0]
