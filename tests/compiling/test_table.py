"""The table of compilations: resumed, searched, and made a page."""

import pathlib

import pytest

from ddep_tf import configure, errors, files
from ddep_tf.compiling import plan, readme, table
from ddep_tf.compiling import program as program_lib

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).resolve().parents[2] / 'results/tpu_compile'
SEARCHED = plan.Entry('segment', 512, 1)
FIXED = plan.Entry('denoise', 224, 2, batch=16)


class Compiler:
    """Takes 2 GiB and 2 an image, and keeps what it was asked."""

    def __init__(self, fails_at=None):
        self.asked = []
        self._fails_at = fails_at

    def __call__(self, program, topology):
        batch = program.batch
        if batch == self._fails_at:
            raise errors.UserError('no memory')
        self.asked.append((topology[:3].rstrip(':'), batch))
        total, chip = 2.0 + 2.0 * batch, 30 if topology[:2] == 'v4' else 15
        if total > chip:
            return program_lib.Compiled(
                program_lib.TOO_LARGE, total, host=1.0, lower_seconds=60.0,
                compile_seconds=120.0)
        return program_lib.Compiled(
            program_lib.FITS, total, 2.0, 0.0, 2.0 * batch, 0.0, 1e3, 3.0,
            60.0, 240.0)


def _table(folder, compiler):
    return table.Table(folder, configure.load_run, compiler)


def test_the_largest_batch_is_bracketed_on_each_chip(tmp_path):
    compiler = Compiler()
    for topology in plan.TOPOLOGIES:
        _table(tmp_path, compiler).fill(SEARCHED, topology)
    assert set(compiler.asked) >= {('v4', 8), ('v4', 16), ('v5e', 4),
                                   ('v5e', 8)}
    page = (tmp_path / 'README.md').read_text()
    assert '| v4 | 8 | 18.00 |' in page and '16 does not, 34.00 GiB' in page
    assert '| v5e | 4 | 10.00 |' in page and '8 does not, 18.00 GiB' in page
    assert '5 minutes of a core' in page


def test_a_search_that_was_cut_short_is_told_from_a_batch_asked_for(tmp_path):
    compiler = Compiler()
    for entry in (FIXED, SEARCHED):
        _table(tmp_path, compiler).fill(entry, 'v4:2x2x1')
    rows = files.read_csv(tmp_path / 'table.csv')
    assert 'not tried' not in readme.text(rows)
    cut = readme.text([row for row in rows if row['batch'] != '16'
                       or row['what'] == 'denoise'])
    assert cut.count('16 is not tried yet') == cut.count('not tried') == 1
    # 16 does not fit, which tells nothing of smaller ones.
    assert '1 is not tried yet' in readme.text(
        [row for row in rows if row['batch'] != '8'])


def test_rows_that_are_there_are_not_compiled_again(tmp_path):
    first = Compiler()
    for entry in (FIXED, SEARCHED):
        _table(tmp_path, first).fill(entry, 'v4:2x2x1')
    written = (tmp_path / 'table.csv').read_text()
    second = Compiler()
    for entry in (FIXED, SEARCHED):
        _table(tmp_path, second).fill(entry, 'v4:2x2x1')
    assert first.asked[0] == ('v4', 16) and not second.asked
    assert (tmp_path / 'table.csv').read_text() == written


def test_what_fails_is_tried_again_and_what_is_done_stays(
        tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plan, 'entries', lambda: iter([FIXED, SEARCHED]))
    monkeypatch.setattr(table.processes, 'compile_for', Compiler(fails_at=16))
    with pytest.raises(errors.RunsFailed, match='programs were not compiled'):
        table.fill(tmp_path, configure.load_run)
    assert 'no memory' in capsys.readouterr().out
    kept = files.read_csv(tmp_path / 'table.csv')
    monkeypatch.setattr(table.processes, 'compile_for', Compiler())
    table.fill(tmp_path, configure.load_run)
    rows = files.read_csv(tmp_path / 'table.csv')
    assert kept and rows[:len(kept)] == kept
    assert {row['what'] for row in rows} == {'denoise', 'segment'}


def test_what_took_too_long_is_a_row(tmp_path):
    found = _table(tmp_path, lambda program, topology: program_lib.Compiled(
        program_lib.TIMED_OUT))
    found.fill(FIXED, 'v5e:2x2')
    row, = files.read_csv(tmp_path / 'table.csv')
    assert row['outcome'] == 'stopped after 20 minutes' and not row['total']
    assert '16 stopped after 20 minutes' in readme.text([row])


@pytest.mark.skipif(not RESULTS.exists(), reason='nothing was compiled yet')
def test_the_page_is_that_of_the_table():
    rows = files.read_csv(RESULTS / 'table.csv')
    assert (RESULTS / 'README.md').read_text() == readme.text(rows)
    known = {tuple(entry.key.items()) for entry in plan.entries()}
    for row in rows:
        assert any(all(row[name] == str(value) for name, value in keys)
                   for keys in known)
