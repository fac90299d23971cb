"""The chain's commands, and what is written of them. No network is trained."""

import csv
import pathlib
import shlex
import signal
import sys

import pytest

from ddep_tf import files, specs
from ddep_tf.experiments import benchmark

RESULTS = pathlib.Path(__file__).resolve().parents[2] / 'results/r50_chain'
SETTINGS = benchmark.Settings(
    ('data/camvid.gin',), ('camvid/DatasetSpec.limit=8',), 'DATA', '', 4, 2)

# In place of a launcher: saves a state, and ends where no step is left.
_FAKE = '''
import json, pathlib, sys, time
flags = dict(flag[2:].split('=', 1) for flag in sys.argv[3:])
where = pathlib.Path(flags['run_dir'])
resumed = (where / 'state').exists()
(where / 'state').mkdir(parents=True, exist_ok=True)
(where / 'metrics.csv').write_text(
    'step,step_seconds\\n1,9\\n2,1\\n3,3\\n4,2\\n')
(where / 'state' / 'checkpoint').touch()
if where.name == 'segment' and not resumed:
    time.sleep(60)
name = '{other}' if resumed and sys.argv[2] == 'finetune' else 'same'
(where / 'weights.json').write_text(json.dumps({{'sha256': name}}))
'''


@pytest.fixture
def chain(tmp_path, monkeypatch):
    """Returns a function that runs the chain on commands that are fakes."""
    def run(other='same'):
        code = _FAKE.format(other=other)
        monkeypatch.setattr(benchmark, '_launch', lambda name, *flags: [
            sys.executable, '-c', code, '--', name, *flags])
        monkeypatch.setattr(benchmark.Chain, '_make_weights',
                            lambda self: 'random.npz')
        found = benchmark.Chain(SETTINGS, tmp_path)
        found.run()
        return found
    return run


def test_the_chain_is_measured_by_command(chain, tmp_path):
    done = chain()
    assert [(row['what'], row['exit_code']) for row in done.rows] == [
        ('denoise', 0), ('fine-tune, killed', -signal.SIGKILL),
        ('fine-tune, resumed', 0), ('fine-tune in one go', 0),
        ('evaluate', 0)]
    assert all(row['peak_gib'] > 0 for row in done.rows)
    assert done.step_seconds() == {specs.DENOISE: 2.0, specs.SEGMENT: 2.0}
    benchmark.write(done, tmp_path / 'out')
    rows = files.read_csv(tmp_path / 'out' / 'commands.csv')
    assert [row['what'] for row in rows] == [row['what'] for row in done.rows]


def test_other_weights_after_resuming_are_an_error(chain):
    with pytest.raises(RuntimeError, match='other weights'):
        chain('another')


def test_the_page_keeps_its_form(chain, tmp_path, monkeypatch):
    """With the numbers of the committed results, their page and table."""
    with open(RESULTS / 'commands.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    done = benchmark.Chain(SETTINGS, tmp_path)
    done.rows = rows
    monkeypatch.setattr(done, 'step_seconds', lambda: {
        specs.DENOISE: 0.51, specs.SEGMENT: 1.19})
    monkeypatch.setattr(benchmark.os, 'cpu_count', lambda: 2)
    monkeypatch.setattr(benchmark.run_folder, 'commit',
                        lambda: '409f0ee1b0e8')
    benchmark.write(done, tmp_path)
    for name in ('README.md', 'commands.csv'):
        assert (tmp_path / name).read_text() == (RESULTS / name).read_text()


def test_the_command_can_be_typed_again():
    settings = benchmark.Settings(
        ('a b.gin',), ("x.name='it is'",), '', '', 1, 2)
    words = shlex.split(benchmark._invocation(settings).replace('\\\n', ''))
    assert words[-4:] == [
        '--gin_file=a b.gin', "--gin_param=x.name='it is'", '--steps=1',
        '--batch_size=2']
