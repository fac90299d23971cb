"""A run folder refuses what is damaged, and says which file."""

import json
import re
import subprocess

import pytest

from ddep_tf import errors, files, specs
from ddep_tf.runtime import run_folder

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('text', [
    '{}', '{"stage": "segment", "data": [1]}',
    '{"stage": "segment", "data": [], "encoder": 3}'])
def test_a_config_that_is_no_run_is_named(tmp_path, text):
    (tmp_path / 'config.json').write_text(text)
    with pytest.raises(errors.UserError):
        run_folder.read_run(tmp_path)


@pytest.mark.parametrize('text', ['{"stage": "segm', '[1, 2]', ''])
@pytest.mark.parametrize('read, name', [
    (run_folder.read_result, 'result.json'),
    (run_folder.read_run, 'config.json')])
def test_damaged_json_is_named(tmp_path, read, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(errors.UserError, match=name) as caught:
        read(tmp_path)
    assert '\n' not in str(caught.value)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(errors.UserError, match='not a run folder'):
        run_folder.read_run(tmp_path)
    assert run_folder.read_result(tmp_path) is None
    runs = [tmp_path / 'runs' / name for name in ('denoise', 'segment')]
    for folder in runs:
        files.make_folder(folder, '')
        files.write_json(folder / 'config.json', {})
    with pytest.raises(errors.UserError, match=f'such as {runs[-1]}'):
        run_folder.read_run(tmp_path)


def test_a_run_of_a_version_with_fewer_fields_is_the_same_run(tmp_path):
    run = specs.RunSpec('denoise', (specs.DatasetSpec('shapes'),))
    run_folder.open_run(tmp_path, run, '')
    config = json.loads((tmp_path / 'config.json').read_text())
    for part, name in ((config, 'holdout'), (config['evaluation'],
                                             'single_scale')):
        del part[name]
    (tmp_path / 'config.json').write_text(json.dumps(config))
    (tmp_path / 'result.json').write_text('{}')
    run_folder.open_run(tmp_path, run, '')
    other = specs.RunSpec('denoise', (specs.DatasetSpec('shapes'),),
                          holdout=0.5)
    with pytest.raises(errors.UserError, match='differs in holdout'):
        run_folder.open_run(tmp_path, other, '')


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path):
    path = tmp_path / 'file'
    files.write_text(path, 'old')
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, 'new' * 10 ** 5 + '\udcff')
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['file']


def test_a_table_drops_what_came_after_a_save_and_a_cut_off_row(tmp_path):
    path = tmp_path / 'table.csv'
    table = files.CsvLog(path, ['step', 'loss'], 0)
    for step in (1, 2, 3):
        table.add({'step': step, 'loss': step / 4})
    with path.open('a') as file:
        file.write('4')
    files.CsvLog(path, ['step', 'loss'], 2).add({'step': 3, 'loss': 9.0})
    assert files.read_csv(path) == [
        {'step': '1', 'loss': '0.25'}, {'step': '2', 'loss': '0.5'},
        {'step': '3', 'loss': '9.0'}]


def test_the_commit_is_this_projects_alone(tmp_path, monkeypatch):
    assert re.fullmatch('[0-9a-f]{12}(-dirty)?|', run_folder.commit())
    git = ['git', '-C', str(tmp_path), '-c', 'user.name=a', '-c',
           'user.email=a@b']
    installed = tmp_path / '.venv' / 'run_folder.py'
    installed.parent.mkdir()
    installed.touch()
    (tmp_path / '.gitignore').write_text('.venv')
    for words in (['init', '-q'], ['add', '.'], ['commit', '-qm', 'a']):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(run_folder, '__file__', str(installed))
    assert run_folder.commit() == ''
    subprocess.run([*git, 'add', '-f', str(installed)], check=True)
    assert run_folder.commit()
