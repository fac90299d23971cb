"""README.md of results/tpu_compile, from its rows. No TensorFlow."""

from collections.abc import Iterable, Sequence

from ddep_tf.compiling import chips, environment, plan
from ddep_tf.compiling import program as program_lib

_NAMES = {'denoise': 'denoise', 'segment': 'fine-tune', 'evaluate': 'evaluate'}
_HEAD = ('program', 'crop', 'decoder', 'precision', 'remat', 'parts', 'chip',
         'images a chip', 'memory (GiB)', 'variables and batch', 'temporaries',
         'GFLOP', 'the next batch')
_COMMAND = ('python launch/compile_tpu.py --table '
            '--output_dir=results/tpu_compile')


def text(rows: Sequence[dict[str, str]]) -> str:
    """Returns the page.

    Args:
      rows: of table.csv.
    """
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in rows:
        key = tuple(row[name] for name in (
            'what', 'size', 'width', 'precision', 'remat', 'parts', 'chip'))
        groups.setdefault(key, []).append(row)
    lines = [_line(_HEAD), _line(['---'] * 7 + ['---:'] * 5 + ['---'])]
    lines += [_line(_cells(group)) for group in groups.values()]
    return '\n'.join([
        '# Does it fit on the chip?', '',
        '<!-- Written by launch/compile_tpu.py: do not edit. -->', '',
        _introduction(rows), '', *lines, '', *_notes(), '', '```', _COMMAND,
        '```', ''])


def _introduction(rows):
    minutes = [(float(row['lower_seconds']) + float(row['compile_seconds']))
               / 60 for row in rows if row['compile_seconds']]
    hosts = [float(row['host']) for row in rows if row['host']]
    took = ''
    if minutes:
        took = (f' A compilation took {min(minutes):.0f} to '
                f'{max(minutes):.0f} minutes of a core, and up to '
                f'{max(hosts):.0f} GiB.')
    names = sorted({row['chip'] for row in rows})
    sizes = ', '.join(f'{name}: {chips.CHIPS[name].memory_gib:g} GiB, '
                      f'{chips.CHIPS[name].usable_gib:g} of them usable'
                      for name in names)
    commits = ', '.join(f'`{commit}`' for commit in dict.fromkeys(
        row['commit'] for row in rows))
    return (
        "Train steps and evaluation of the paper's network (R50+ViT-B/16), as "
        f'a replica runs them, lowered by TensorFlow '
        f'{_only(rows, "tensorflow")} and compiled by libtpu '
        f'{_only(rows, "libtpu")} for one chip, without the chip ({sizes}). '
        'Where no batch was asked for, it is the largest power of two that '
        'fits, and the next one was compiled too, where the search is done.'
        f'{took} Every compilation is a '
        f'row of `table.csv`. Commits: {commits}.')


def _only(rows, column):
    return ', '.join(sorted({row[column] for row in rows if row[column]}))


def _notes() -> Iterable[str]:
    yield ('- Memory is what the compiler reports of the program: variables '
           'with the moments of Adam, batch, temporaries, code. What a chip '
           'holds beside it, such as the next batches, comes on top, and so do '
           'the buffers in which several chips add their gradients up.')
    yield ('- `remat`: RunSpec.remat, blocks are computed again in the '
           'backward pass. `parts`: RunSpec.accumulate. GFLOP: of a step, as '
           'the compiler counts; those of a loop count once.')
    yield ('- Fine-tuning has 150 classes at 512 (ADE20K) and 19 at 1024 '
           '(Cityscapes). `evaluate`: an image of 1024 x 2048 in tiles of '
           '1024 x 1024, with mirror images.')
    yield ('- Images come as uint8 where nothing resizes them; denoising '
           'includes drawing the noise.')
    yield f'- {chips.SOURCE}'
    yield f'- The environment: {", ".join(environment.PACKAGES)}.'


def _cells(group):
    """Returns the cells of the rows of one program and chip."""
    first = group[0]
    fitting = [row for row in group if row['outcome'] == program_lib.FITS]
    failing = [row for row in group if row['outcome'] != program_lib.FITS]
    best = max(fitting, key=_batch, default=None)
    following = min(failing, key=_batch, default=None)
    found = ([best['batch'], best['total'], best['arguments'],
              best['temporaries'], f'{float(best["gflop"]):,.0f}']
             if best else ['none', '', '', '', ''])
    return [_NAMES.get(first['what'], first['what']), first['size'],
            f'{first["width"]}x', first['precision'].replace('mixed_', ''),
            'yes' if first['remat'] == 'True' else '',
            first['parts'] if first['parts'] != '1' else '', first['chip'],
            *found, _not_tried(group) or _following(following)]


def _not_tried(group):
    """Returns which batch a search that was cut short has left out, or ''."""
    searched = any(not entry.batch and entry.has(group[0])
                   for entry in plan.entries())
    left = plan.undecided({
        _batch(row): row['outcome'] == program_lib.FITS for row in group})
    return f'{left[0]} is not tried yet' if searched and left else ''


def _following(row):
    if not row:
        return ''
    size = f', {row["total"]} GiB' if row['total'] else ''
    return f'{row["batch"]} {row["outcome"]}{size}'.replace(
        'does not fit', 'does not')


def _batch(row):
    return int(row['batch'])


def _line(cells):
    return '| ' + ' | '.join(cells) + ' |'
