"""What a wheel holds, and what stands in the public API."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

import ddep_tf

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_every_public_name_is_there():
    for name in ddep_tf.__all__:
        assert callable(getattr(ddep_tf, name))
    with pytest.raises(AttributeError):
        ddep_tf.nonsense  # pylint: disable=pointless-statement


def test_a_wheel_holds_library_and_gin_files(tmp_path):
    import shutil
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('setup.py', 'README.md'):
        shutil.copy(ROOT / name, source)
    for name in ('ddep_tf', 'gin', 'launch'):
        shutil.copytree(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, '-c', 'import setuptools, runpy, sys; '
         'sys.argv = ["setup.py", "bdist_wheel", "-d", sys.argv[1]]; '
         'runpy.run_path("setup.py")', str(tmp_path)],
        cwd=source, check=True, capture_output=True)
    wheel, = tmp_path.glob('*.whl')
    held = set(zipfile.ZipFile(wheel).namelist())
    for path in (ROOT / 'ddep_tf').rglob('*.py'):
        assert str(path.relative_to(ROOT)) in held
    for path in (ROOT / 'ddep_tf/data/packaged').rglob('*.*'):
        assert str(path.relative_to(ROOT)) in held
    for path in (ROOT / 'gin').rglob('*.gin'):
        assert f'ddep_tf/gin_files/{path.relative_to(ROOT / "gin")}' in held
    for path in (ROOT / 'launch').glob('*.py'):
        assert f'ddep_tf/launch/{path.name}' in held
    assert not any(name.startswith(('gin/', 'launch/')) for name in held)
