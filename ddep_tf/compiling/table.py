"""Fills results/tpu_compile, a compilation at a time. No TensorFlow."""

from collections.abc import Callable, Sequence
import dataclasses
import os
from typing import Any

from ddep_tf import errors, files, specs
from ddep_tf.compiling import chips, environment, plan, processes, readme
from ddep_tf.compiling import program as program_lib
from ddep_tf.runtime import run_folder

# What a row is, and what came of it.
_KEYS = ('what', 'data', 'size', 'width', 'precision', 'remat', 'parts',
         'chip', 'batch')
_FOUND = tuple(field.name for field in dataclasses.fields(
    program_lib.Compiled))
COLUMNS = (*_KEYS, *_FOUND, 'commit', 'tensorflow', 'libtpu')
TABLE, README = 'table.csv', 'README.md'
Row = dict[str, str]
LoadRun = Callable[[str, Sequence[str], Sequence[str]],
                   tuple[specs.RunSpec, str]]
CompileFor = Callable[[program_lib.Program, str], program_lib.Compiled]


class Table:
    """The rows in a folder, each of them one compilation.

    Args:
      output_dir: folder of table.csv and README.md.
      load_run: as configure.load_run.
      compile_for: as processes.compile_for, which None takes.
    """

    def __init__(self, output_dir: str | os.PathLike, load_run: LoadRun,
                 compile_for: CompileFor | None = None):
        self._folder = files.path(output_dir)
        self._load_run = load_run
        self._compile_for = compile_for or processes.compile_for
        path = self._folder / TABLE
        self.rows: list[Row] = files.read_csv(path) if path.exists() else []

    def fill(self, entry: plan.Entry, topology: str) -> None:
        """Compiles what is missing of an entry. UserError if that fails."""
        chip = chips.parse(topology)[0]
        while (batch := self._next_batch(entry, chip)) is not None:
            gin_files, gin_params = entry.gin()
            run, _ = self._load_run(entry.stage, gin_files, gin_params)
            program = entry.program(run, topology, batch)
            print(program_lib.describe(program), flush=True)
            found = self._compile_for(program, topology)
            print(program_lib.verdict(found, topology), flush=True)
            self._add({**entry.key, 'chip': chip, 'batch': batch,
                       **dataclasses.asdict(found)})

    def _next_batch(self, entry, chip):
        """Returns the batch to compile next, None if there is none."""
        # Those of another chip tell how the memory grows.
        known = [row for row in self.rows if entry.has(row)]
        verdicts = {int(row['batch']): row['outcome'] == program_lib.FITS
                    for row in known if row['chip'] == chip}
        if entry.batch:
            return None if entry.batch in verdicts else entry.batch
        usable = chips.CHIPS[chip].usable_gib
        return plan.next_batch(
            verdicts,
            {int(row['batch']): float(row['total']) for row in known
             if row['total']},
            min((float(row['arguments']) for row in known
                 if row['arguments']), default=0.0),
            usable, entry.guess(usable))

    def _add(self, row: dict[str, Any]) -> None:
        row.update(commit=run_folder.commit(),
                   tensorflow=run_folder.versions()['tensorflow'],
                   libtpu=environment.LIBTPU)
        self.rows.append({name: _text(row[name]) for name in COLUMNS})
        self._folder.mkdir(parents=True, exist_ok=True)
        files.write_text(self._folder / TABLE,
                         files.csv_text(COLUMNS, self.rows))
        files.write_text(self._folder / README, readme.text(self.rows))


def fill(output_dir: str | os.PathLike, load_run: LoadRun) -> None:
    """Compiles what is missing in a folder, see `plan.entries`.

    Raises:
      RunsFailed: some could not be compiled; the others are there.
    """
    table, failed = Table(output_dir, load_run), 0
    for entry in plan.entries():
        for topology in plan.TOPOLOGIES:
            try:
                table.fill(entry, topology)
            except errors.UserError as error:
                failed += 1
                print(error, flush=True)
    if failed:
        raise errors.RunsFailed(f'{failed} programs were not compiled, see '
                                'above: start again, to try them again')


def _text(value):
    if isinstance(value, float):
        return f'{value:.2f}'
    return '' if value is None else str(value)
