"""The page and the figure of results/growth, from its rows."""

from collections.abc import Sequence
import os
from typing import Any

from matplotlib import figure
import numpy as np

from ddep_tf import files
from ddep_tf.experiments import growth
from ddep_tf.reports import figures

README, FIGURE = 'README.md', 'growth.png'
# Column, what a table calls it, and its factor there.
_MEASURED = (('core_seconds_per_step', 'seconds of a core a step', 1.0),
             ('peak_rss_mib', 'peak memory (GiB)', 1 / 1024))
_HEAD = ('crop', 'images', 'megapixels', *(name for _, name, _ in _MEASURED))


def write(folder: str | os.PathLike, rows: Sequence[growth.Row]) -> None:
    """Writes README.md and the figure. OSError if they cannot be."""
    files.write_text(files.path(folder, README), text(rows))
    figures.save(_draw(rows), files.path(folder, FIGURE))


def text(rows: Sequence[growth.Row]) -> str:
    """Returns the page.

    Args:
      rows: of table.csv, all of one setting.
    """
    first = rows[0]
    table = [_line(_HEAD), _line(['---:'] * len(_HEAD)),
             *(_line(_cells(row)) for row in rows)]
    commits = ', '.join(dict.fromkeys(f'`{row["commit"]}`' for row in rows))
    return '\n'.join([
        '# How time and memory grow', '',
        '<!-- Written by launch/benchmark.py: do not edit. -->', '',
        f'A step of `{first["what"]}`, {first["encoder"]} {first["width"]}x, '
        f'{first["precision"]}, on {first["cores"]} core(s) of '
        f'{first["processor"]}, TensorFlow {first["tensorflow"]}, commit '
        f'{commits}. The time is that of the processor, the median of '
        f'{first["steps"]} steps: what else runs hardly counts. The '
        'memory is the most that the whole process had, TensorFlow included.',
        '', *table, '', *(_sentence(rows, *each) for each in _MEASURED), '',
        f'![measured points and fitted lines]({FIGURE})', '', '```',
        _command(first), '```', ''])


def _sentence(rows, column, name, factor):
    found = growth.fit(rows, column)
    return (f'- {name}: {found.fixed * factor:.3g} + {found.slope * factor:.3g}'
            ' for each million pixels of the images; the points lie within '
            f'{100 * found.residual:.0f} % of this line; the power law through '
            f'them has the exponent {found.exponent:.2f}.')


def _cells(row):
    return [f'{row["size"]} x {row["size"]}', row['batch'],
            f'{growth.megapixels(row):.3f}',
            *(f'{float(row[column]) * factor:.2f}'
              for column, _, factor in _MEASURED)]


def _line(cells):
    return '| ' + ' | '.join(cells) + ' |'


def _command(first):
    flags = [f'--{name}={first[name]}'
             for name in ('encoder', 'width', 'precision', 'steps')]
    return ' \\\n    '.join(['python launch/benchmark.py --what=growth '
                             '--output_dir=results/growth', ' '.join(flags)])


def _draw(rows) -> figure.Figure:
    drawn = figure.Figure(figsize=(8.0, 3.4), layout='constrained')
    panels: Any = drawn.subplots(1, len(_MEASURED))
    for axes, (column, name, factor) in zip(panels, _MEASURED):
        for size, marker in zip(growth.SIZES, 'os^'):
            chosen = [row for row in rows if row['size'] == str(size)]
            axes.plot([growth.megapixels(row) for row in chosen],
                      [float(row[column]) * factor for row in chosen], marker,
                      label=f'{size} x {size}')
        found = growth.fit(rows, column)
        ends = np.array([0, max(map(growth.megapixels, rows))])
        axes.plot(ends, (found.fixed + found.slope * ends) * factor, '-',
                  color='gray', linewidth=1)
        axes.set_xlabel('million pixels a step')
        axes.set_ylabel(name)
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
    panels[0].legend(frameon=False)
    return drawn
