"""Holds that paths go through files.py, so that each of them may be gs://."""

import ast
import pathlib

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What finds, opens or joins files without asking whether they are in a bucket.
BY_ITSELF = {
    'open', 'pathlib.Path', 'os.path', 'os.listdir', 'os.scandir', 'os.walk',
    'os.stat', 'os.remove', 'os.unlink', 'os.rename', 'os.replace', 'os.mkdir',
    'os.makedirs', 'glob', 'shutil', 'tempfile', 'np.load', 'np.save',
    'np.savez', 'Image.open', 'PIL.Image.open', 'tf.io.gfile', 'epath'}
HOME = {'ddep_tf/files.py', 'ddep_tf/buckets.py'}
ALLOWED = {
    ('ddep_tf/cli.py', 'glob'): 'device files of GPUs',
    ('ddep_tf/cli.py', 'os.path'): 'device files, and the name of the command',
    ('ddep_tf/compiling/compiler.py', 'pathlib.Path'):
        'a local file, where this package cannot be imported',
    ('ddep_tf/compiling/environment.py', 'shutil'): 'finds uv on the PATH',
    ('ddep_tf/data/sources/record_runs.py', 'open'):
        'reads some bytes of a large file on a disk',
    ('ddep_tf/experiments/shares.py', 'glob'): 'device files of GPUs',
    ('ddep_tf/runtime/place.py', 'tempfile'):
        'a folder of this worker, that is removed at the end',
    ('ddep_tf/experiments/worker.py', 'open'):
        'redirects a process to a local log, of files.appending',
    ('ddep_tf/runtime/tpu_chips.py', 'glob'): 'device files of TPUs',
    ('ddep_tf/runtime/tpu_chips.py', 'os.path'): 'device files of TPUs',
    ('ddep_tf/runtime/tpu_chips.py', 'pathlib.Path'): 'device files of TPUs',
    ('ddep_tf/runtime/tpu_install.py', 'os.path'): 'libtpu of this machine',
    ('ddep_tf/runtime/tpu_install.py', 'pathlib.Path'):
        'libtpu of this machine',
    ('ddep_tf/data/image_files.py', 'PIL.Image.open'):
        'of files that files.py opened',
    ('ddep_tf/data/sources/stream_source.py', 'PIL.Image.open'):
        'of bytes of a record',
    ('ddep_tf/data/prepare/imagenet21k.py', 'os.scandir'):
        'lists millions of unpacked images, on a local disk',
    ('ddep_tf/reports/claims_table.py', 'os.path'):
        'a link from a page to a folder: text, no file',
    ('ddep_tf/serving/compare.py', 'tempfile'):
        'hands arrays to another process of this machine',
    ('ddep_tf/serving/compare.py', 'np.savez'): 'in that folder',
    ('ddep_tf/serving/compare.py', 'np.load'): 'in that folder',
    ('ddep_tf/serving/plain_keras.py', 'np.savez'): 'in that folder',
    ('ddep_tf/serving/plain_keras.py', 'np.load'): 'in that folder',
    ('launch/quickstart.py', 'os.path'): 'of the launcher beside it',
    ('launch/benchmark.py', 'tempfile'): 'a folder that is removed at the end',
}


def _dotted(node):
    """Returns 'a.b' of an expression a.b, '' of any other expression."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f'{inner}.{node.attr}'
    return ''


def _uses(tree):
    """Yields (name, line) of what a module does to paths by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = f'{getattr(node, "module", "")}.{alias.name}'
                if alias.name in BY_ITSELF - {'open'} or name in BY_ITSELF:
                    yield alias.name, node.lineno
        elif isinstance(node, ast.Attribute) and _dotted(node) in BY_ITSELF:
            # As a type, or of the package's own folder, it opens nothing.
            if _dotted(node) != 'pathlib.Path':
                yield _dotted(node), node.lineno
        elif isinstance(node, ast.Call):
            own = node.args and _dotted(node.args[0]).endswith('__file__')
            name = _dotted(node.func)
            if name == 'open' or (name == 'pathlib.Path' and not own):
                yield name, node.lineno


def _found(path):
    return [(str(path.relative_to(ROOT)), name, line) for name, line in
            _uses(ast.parse(path.read_text(encoding='utf-8')))]


MODULES = sorted([*(ROOT / 'ddep_tf').rglob('*.py'),
                  *(ROOT / 'launch').glob('*.py')])


def test_modules_leave_paths_to_files():
    found = [use for path in MODULES for use in _found(path)
             if use[0] not in HOME]
    others = [use for use in found if use[:2] not in ALLOWED]
    assert not others, 'go through files.path, or say why not in ALLOWED'
    assert {use[:2] for use in found} == set(ALLOWED), 'an exception is unused'


@pytest.mark.parametrize('code, names', [
    ('open("a")', ['open']), ('import os\nos.path.join("a", "b")', ['os.path']),
    ('import pathlib\np = pathlib.Path("a")', ['pathlib.Path']),
    ('import glob', ['glob']), ('from os import path', ['path']),
    ('from etils import epath', ['epath']), ('np.load("a")', ['np.load']),
    ('tf.io.gfile.exists("a")', ['tf.io.gfile']),
    ('def f(p: pathlib.Path): pathlib.Path(__file__)', []),
    ('files.path("a").open()', []), ('os.pathsep', [])])
def test_what_counts_as_handling_paths(code, names):
    assert [name for name, _ in _uses(ast.parse(code))] == names
