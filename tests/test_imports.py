"""Holds the floors of the house: a room imports from floors below its own."""

import ast
import pathlib
import subprocess
import sys

import pytest

from ddep_tf import specs

pytestmark = pytest.mark.quick

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / 'ddep_tf'
# From the ground up. Rooms of one floor do not import each other, but for
# those of BESIDE.
FLOORS = (
    {'__init__'},  # The public names, which it imports when they are asked for.
    {'errors'},
    {'buckets', 'servers'},
    {'spec_base', 'files'},
    {'specs'},
    {'data', 'models', 'objectives'},
    {'runtime'},
    {'evaluation'},
    {'serving', 'training'},
    {'compiling', 'experiments'},
    {'configure', 'jobs', 'reports'},
    {'cli'},
    {'launch'},
)
# An objective builds the network that it trains.
BESIDE = {('objectives', 'models')}
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS)
            for room in rooms}


def _room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def _imports(path):
    """Yields the dotted names that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: a relative import'
            for alias in node.names:
                yield f'{node.module}.{alias.name}'


FILES = sorted(PACKAGE.rglob('*.py'))


def test_every_room_has_its_floor():
    assert {_room(path) for path in FILES} == set(FLOOR_OF)


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(
    p.relative_to(PACKAGE)))
def test_no_import_runs_upwards_or_beside(path):
    room = _room(path)
    for name in _imports(path):
        first, *rest = name.split('.')
        assert first != 'launch', f'{path.name} imports a launcher'
        assert first != 'gin' or room == 'configure', 'gin has one importer'
        if first != 'ddep_tf' or not rest or rest[0].startswith('__'):
            continue
        assert rest[0] in FLOOR_OF, f'{path.name} imports {name}'
        below = FLOOR_OF[rest[0]] < FLOOR_OF[room]
        assert below or rest[0] == room or (room, rest[0]) in BESIDE, (
            f'{path.relative_to(PACKAGE)} imports {name}')


@pytest.mark.parametrize('module', [
    'ddep_tf', 'ddep_tf.specs', 'ddep_tf.configure', 'ddep_tf.files',
    'ddep_tf.compiling.table',
    'ddep_tf.data.checking.check_folder',
    'ddep_tf.data.importing.importer',
    'ddep_tf.data.labels', 'ddep_tf.data.prepare.official_sets',
    'ddep_tf.data.shapes', 'ddep_tf.data.sources.folder_layout',
    'ddep_tf.data.sources.record_index', 'ddep_tf.data.subsets',
    'ddep_tf.evaluation.metrics',
    'ddep_tf.experiments.plan', 'ddep_tf.experiments.tables', 'ddep_tf.jobs',
    'ddep_tf.models.npz', 'ddep_tf.models.registry',
    'ddep_tf.reports.claims_table', 'ddep_tf.reports.data_page',
    'ddep_tf.reports.write',
    'ddep_tf.runtime.export',
    'ddep_tf.runtime.tpu_host', 'ddep_tf.runtime.tracking'])
def test_no_tensorflow_where_it_is_not_needed(module):
    code = f'import sys, {module}; sys.exit("tensorflow" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code],
                          check=False).returncode == 0


def test_only_objectives_and_specs_ask_which_stage_it_is():
    """Others ask the stage's Objective for what they want to know of it."""
    names = {'CLASSIFY', 'DENOISE', 'SEGMENT', *specs.STAGES}
    for path in FILES:
        if _room(path) in ('objectives', 'specs', 'configure'):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Compare):
                sides = {ast.unparse(side).split('.')[-1].strip("'")
                         for side in (node.left, *node.comparators)}
                assert not ('stage' in sides and sides & names), (
                    f'{path.relative_to(PACKAGE)}:{node.lineno}')
