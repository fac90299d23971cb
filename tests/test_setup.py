"""What is installed: requirements, a wheel's files, its commands."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile

import pytest

import ddep_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHONS = ('3.11', '3.12', '3.13')
# Of a checkout that has been used: never part of an archive.
LEFT_OVER = shutil.ignore_patterns('__pycache__', '*.egg-info')


def test_every_public_name_is_there():
    for name in ddep_tf.__all__:
        assert callable(getattr(ddep_tf, name))
    with pytest.raises(AttributeError):
        _ = ddep_tf.nonsense


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of what is packaged, for builds write beside it."""
    folder = tmp_path_factory.mktemp('source')
    for name in ('CHANGELOG.md', 'CITATION.cff', 'LICENSE', 'MANIFEST.in',
                 'README.md', 'pyproject.toml', 'setup.py',
                 'tpu-overrides.txt'):
        shutil.copy(ROOT / name, folder)
    for name in ('ddep_tf', 'gin', 'launch'):
        shutil.copytree(ROOT / name, folder / name, ignore=LEFT_OVER)
    return folder


def _build(kind, source, folder):
    """Builds an archive with this environment's setuptools: no network."""
    subprocess.run(
        [sys.executable, '-c', 'import sys; from setuptools import build_meta; '
         f'build_meta.build_{kind}(sys.argv[1])', str(folder)],
        cwd=source, check=True, capture_output=True)
    archive, = folder.iterdir()
    return archive


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory):
    return _build('wheel', source, tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='module')
def unpacked(wheel, tmp_path_factory):
    folder = tmp_path_factory.mktemp('unpacked')
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def _files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*')
            if path.is_file() and path.suffix != '.pyc'}


def test_a_wheel_holds_library_data_gin_files_and_launchers(source, unpacked):
    held = {name for name in _files(unpacked) if '.dist-info/' not in name}
    wanted = {f'ddep_tf/{name}' for name in _files(source / 'ddep_tf')}
    # In a checkout it leads to launch/, whose files a wheel holds there.
    wanted.remove('ddep_tf/launch/__init__.py')
    wanted |= {f'ddep_tf/gin_files/{name}' for name in _files(source / 'gin')}
    wanted |= {f'ddep_tf/launch/{name}' for name in _files(source / 'launch')}
    assert held == wanted
    assert 'ddep_tf/data/packaged/nuclei/README.md' in held
    license_file, = unpacked.glob('*.dist-info/**/LICENSE')
    assert license_file.read_text() == (ROOT / 'LICENSE').read_text()


def test_a_source_distribution_builds_the_same_wheel(source, wheel, tmp_path):
    archive = _build('sdist', source, tmp_path)
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / 'unpacked', filter='data')
    folder, = (tmp_path / 'unpacked').iterdir()
    (tmp_path / 'again').mkdir()
    again = _build('wheel', folder, tmp_path / 'again')
    assert (sorted(zipfile.ZipFile(again).namelist()) ==
            sorted(zipfile.ZipFile(wheel).namelist()))


def _run(folder, *arguments):
    """Runs Python on the unpacked wheel, from an empty folder."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True,
        text=True, check=False,
        env={**os.environ, 'PYTHONPATH': str(folder)})


@pytest.mark.parametrize('launcher', sorted(
    path.stem for path in (ROOT / 'launch').glob('*.py')))
def test_a_wheel_has_every_command(unpacked, launcher):
    done = _run(unpacked, '-m', f'ddep_tf.launch.{launcher}', '--help')
    assert done.returncode == 0 and '\n  --' in done.stdout, done.stderr


def test_a_command_of_a_wheel_takes_its_own_gin_files(unpacked, tmp_path):
    done = _run(unpacked, '-m', 'ddep_tf.launch.finetune', '--dry_run',
                '--gin_file=model/tiny.gin', '--gin_file=data/shapes.gin',
                '--gin_file=stage/segment.gin',
                '--gin_param=segment/RunSpec.crop_size=(32, 32)')
    assert done.returncode == 0, done.stderr
    assert 'decoder/entry/conv/kernel' in done.stdout
    where = _run(unpacked, '-c', 'from ddep_tf import configure; '
                 'print(configure._find("model/tiny.gin"))')
    assert where.stdout.startswith(str(unpacked)), where.stderr


EXTRAS = {  # What each brings.
    '': 'tensorflow', 'docs': 'mkdocs-material', 'gpu': 'nvidia-cudnn-cu12',
    'lint': 'ruff', 'mlflow': 'mlflow', 'onnx': 'onnxruntime', 'test': 'pytest',
    'video': 'opencv-python-headless', 'wandb': 'wandb'}


@pytest.fixture(scope='module')
def index():
    """A package index; skips where none answers."""
    try:
        urllib.request.urlopen('https://pypi.org/simple/pip/', timeout=10)
    except OSError as error:
        pytest.skip(f'needs the network: pypi.org does not answer ({error})')


@pytest.fixture(scope='module', autouse=True)
def resolving(request, source):
    """Processes that resolve all extras together, 'all', and what a TPU VM
    installs, 'tpu'. They mostly wait, while other tests of this file run."""
    started = {}
    if any(item.get_closest_marker('network')
           for item in request.session.items):
        started = {'all': _resolving(source, PYTHONS[-1], 'setup.py',
                                     '--all-extras'),
                   'tpu': _resolving_tpu(source, '3.12')}
    yield started
    for process in started.values():
        process.kill()


@pytest.fixture(scope='module')
def resolving_each(source, index):
    """Processes that resolve one extra, {(python, extra): process}, or what a
    TPU VM installs, {(python, 'tpu'): process}."""
    started = {}
    for python in PYTHONS:
        for extra in EXTRAS:
            started[python, extra] = _resolving(
                source, python, 'setup.py',
                *(['--extra', extra] if extra else []))
        started[python, 'tpu'] = _resolving_tpu(source, python)
    yield started
    for process in started.values():
        process.kill()


def _resolving_tpu(source, python):
    wanted = source / 'wanted.in'
    wanted.write_text(f'{source}\ntensorflow-tpu==2.20.*\n')
    return _resolving(source, python, str(wanted), '--overrides',
                      'tpu-overrides.txt')


def _resolving(source, python, *arguments):
    """Starts uv on what setup.py asks for."""
    return subprocess.Popen(
        [sys.executable, '-m', 'uv', 'pip', 'compile', '--quiet',
         '--no-header', '--no-annotate', '--python-version', python,
         '--python-platform', 'x86_64-manylinux_2_31', *arguments],
        cwd=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _resolved(process):
    """Returns {distribution: version} that uv would install."""
    out, err = process.communicate()
    assert process.returncode == 0, err
    return dict(line.split('==') for line in out.splitlines() if '==' in line)


def _assert_of_2_20(versions, *names):
    for name in ('tf-keras', 'tf-models-official', *names):
        assert versions[name].startswith('2.20.'), name


def _assert_one_tensorflow(versions):
    """Of a TPU VM."""
    assert 'libtpu' in versions and 'tensorflow' not in versions
    _assert_of_2_20(versions, 'tensorflow-tpu', 'tensorflow-text')


@pytest.mark.network
def test_all_extras_resolve_together(index, resolving):
    versions = _resolved(resolving['all'])
    assert set(EXTRAS.values()) <= set(versions)
    _assert_of_2_20(versions, 'tensorflow')


@pytest.mark.network
def test_a_tpu_vm_gets_one_tensorflow(index, resolving):
    _assert_one_tensorflow(_resolved(resolving['tpu']))


@pytest.mark.full
@pytest.mark.network
@pytest.mark.parametrize('python', PYTHONS)
def test_each_extra_resolves(resolving_each, python):
    for extra, brought in EXTRAS.items():
        versions = _resolved(resolving_each[python, extra])
        assert brought in versions, extra
        _assert_of_2_20(versions, 'tensorflow')
    _assert_one_tensorflow(_resolved(resolving_each[python, 'tpu']))
