"""Holds the doors between the rooms (who may import whom)."""

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / 'ddep_tf'
EVERYWHERE = {'spec_base', 'specs', 'errors'}
DOORS = {
    'spec_base': set(), 'specs': set(), 'errors': set(), 'metrics': set(),
    'configure': {'plan'},
    'data': set(), 'models': set(), 'plan': set(),
    'objectives': {'models'},
    'evaluate': {'data', 'models', 'metrics'},
    'runtime': {'data', 'models', 'objectives', 'evaluate', 'metrics'},
    'predict': {'data', 'models', 'evaluate', 'runtime'},
    'experiment': {'plan', 'runtime', 'experiment_tables'},
    'experiment_tables': {'plan', 'runtime'},
    # Counts what the graph of a run's own train step computes.
    'cost': {'cost_graph'},
    'cost_graph': {'runtime', 'objectives', 'models'},
    'describe': {'plan', 'cost', 'data'},
    # Reads and writes files of weights: of the models their .npz alone.
    'export': {'models', 'runtime'},
    'report': set(), 'engines': {'plan'},
    '__init__': set(),
}


def _room(path):
    relative = path.relative_to(PACKAGE)
    name = relative.parts[0].removesuffix('.py')
    return 'report' if name.startswith('report') else name


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f'{node.module}.{alias.name}'


FILES = sorted(PACKAGE.rglob('*.py'))


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(
    p.relative_to(PACKAGE)))
def test_rooms_import_only_through_their_doors(path):
    room = _room(path)
    allowed = DOORS[room] | EVERYWHERE | {room}
    for name in _imports(path):
        parts = name.split('.')
        if parts[0] == 'ddep_tf' and len(parts) > 1:
            imported = parts[1]
            if imported.startswith('report'):
                imported = 'report'
            assert imported in allowed, f'{path.name} imports {name}'
        assert parts[0] != 'launch'
        assert parts[0] != 'gin' or path.name == 'configure.py'


@pytest.mark.parametrize('module', ['ddep_tf', 'ddep_tf.specs',
                                    'ddep_tf.configure', 'ddep_tf.plan',
                                    'ddep_tf.metrics', 'ddep_tf.report',
                                    'ddep_tf.engines',
                                    'ddep_tf.data.guides',
                                    'ddep_tf.data.labels',
                                    'ddep_tf.data.fractions',
                                    'ddep_tf.export'])
def test_no_tensorflow_where_it_is_not_needed(module):
    code = f'import sys, {module}; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code],
                          check=False).returncode == 0
