"""Tables as LaTeX and Markdown.

A table is a list of rows of strings, the first of which is the head.
"""

from collections.abc import Iterable, Sequence

Rows = Sequence[Sequence[str]]


class Markup(str):
    """Markdown, which `plain` does not escape."""


_TEX = {'\\': r'\textbackslash{}', '~': r'\textasciitilde{}',
        '^': r'\textasciicircum{}', **{c: '\\' + c for c in '&%$#_{}'}}


def latex(rows: Rows, caption: str) -> str:
    """Returns a booktabs table; all columns but the first align right.

    Args:
      rows: a table.
      caption: plain text.
    """
    head, *body = [' & '.join(map(_tex, row)) + r' \\' for row in rows]
    return '\n'.join([
        r'\begin{table}', r'\centering',
        r'\caption{' + _tex(caption) + '}',
        r'\begin{tabular}{l' + 'r' * (len(rows[0]) - 1) + '}', r'\toprule',
        head, r'\midrule', *body, r'\bottomrule',
        r'\end{tabular}', r'\end{table}', ''])


def _tex(text: object) -> str:
    return ''.join(_TEX.get(c, c) for c in str(text))


def markdown(rows: Rows, left: Sequence[str] = ()) -> str:
    """Returns a Markdown table.

    All columns but the first, and those of the heads in `left`, align right.
    """
    head, *body = rows
    rule = ['---' if name in (head[0], *left) else '---:' for name in head]
    lines: Iterable[Sequence[str]] = [head, rule, *body]
    return '\n'.join(f'| {" | ".join(map(plain, line))} |' for line in lines)


def plain(text: object) -> str:
    """Returns a text as one line that Markdown shows unchanged in a cell."""
    if isinstance(text, Markup):
        return text
    line = ' '.join(str(text).split())
    for mark in '\\|`*_[]<>':
        line = line.replace(mark, '\\' + mark)
    return line
