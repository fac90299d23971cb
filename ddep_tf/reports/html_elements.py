"""HTML elements: a text that is not markup is always escaped."""

from collections.abc import Sequence
import html

_VOID = ('img', 'meta', 'br')


class Html(str):
    """Markup: a string that `element` does not escape."""


def element(tag: str, *children: object, **attributes: object) -> Html:
    """Returns an element; children that are not Html are escaped.

    An attribute that is None is left out. The trailing underscore of its name
    (`class_`) is dropped, other underscores become hyphens.
    """
    written = ''.join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for name, value in attributes.items() if value is not None)
    if tag in _VOID:
        return Html(f'<{tag}{written}>')
    return Html(f'<{tag}{written}>{join(*children)}</{tag}>')


def join(*children: object) -> Html:
    """Concatenates the children; those that are not Html are escaped."""
    return Html(''.join(child if isinstance(child, Html)
                        else html.escape(str(child)) for child in children))


def table(rows: Sequence[Sequence[object]], label: str,
          names: bool = False) -> Html:
    """Returns a table in a box that scrolls on narrow screens.

    Args:
      rows: the head, then the body; the first cell of a row is its header.
      label: caption, and name of the scrolling box for screen readers.
      names: whether the second column holds names, not numbers.
    """
    head, *body = rows
    parts = [element('caption', label), element('thead', element('tr', *(
        element('th', cell, scope='col') for cell in head)))]
    parts.append(element('tbody', *(element(
        'tr', element('th', row[0], scope='row'),
        *(element('td', cell) for cell in row[1:])) for row in body)))
    box = element('table', *parts, class_='names' if names else None)
    # Focusable, so that it can be scrolled from the keyboard.
    return element('div', box, class_='scroll', tabindex='0', role='region',
                   aria_label=label)


def details(summary: object, *children: object, open_: bool = False) -> Html:
    """Returns a section that folds."""
    return element('details', element('summary', summary), *children,
                   open='open' if open_ else None)


def page(title: str, *body: object) -> str:
    """Returns an HTML5 document that loads nothing from elsewhere."""
    head = element(
        'head', element('meta', charset='utf-8'),
        element('meta', name='viewport',
                content='width=device-width, initial-scale=1'),
        element('title', title), element('style', Html(STYLE)))
    return '<!DOCTYPE html>\n' + element(
        'html', head, element('body', element('main', *(
            join(part, '\n') for part in body))), lang='en')


STYLE = '''
:root { color-scheme: light dark; --text: #1b1f24; --page: #fff;
  --soft: #5a6370; --line: #d5dae1; --box: #f5f7f9; --link: #0b57b0; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ed;
  --page: #15181c; --soft: #a2abb7; --line: #3a424c; --box: #1f242a;
  --link: #7db7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem;
  border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
p, ul, dl { max-width: 48rem; }
.lines li { overflow-wrap: anywhere; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem 1.2rem; }
.soft, caption, figcaption { color: var(--soft); font-size: .875rem; }
.status { display: inline-block; padding: .15rem .6rem; border-radius: 1rem;
  background: var(--box); border: 1px solid var(--line); }
.partial { border-color: #c77700; border-width: 2px; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .25rem 0; }
th, td { padding: .3rem .75rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th:first-child, .names th:nth-child(2), .names td:nth-child(2) {
  text-align: left; }
thead th { border-bottom: 2px solid var(--line); font-size: .875rem;
  vertical-align: bottom; }
@media (max-width: 640px) { th, td { padding: .3rem .35rem;
  font-size: .875rem; } thead th { white-space: normal; } }
tbody th { font-weight: 500; }
code, pre { font: .85em/1.45 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--box); padding: .75rem; overflow-x: auto;
  border: 1px solid var(--line); border-radius: .4rem; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--link); }
figure { margin: 0; }
.chart { overflow-x: auto; margin: 1rem 0; }
.chart img { display: block; background: #fff; border-radius: .4rem;
  width: 44rem; max-width: 100%; height: auto; }
.chart .wide { width: auto; }
@media (max-width: 640px) { .chart .wide { max-width: none; width: 44rem; } }
.row { display: grid; gap: .5rem; margin: .5rem 0 1.25rem;
  grid-template-columns: repeat(var(--tiles), minmax(0, 17rem)); }
@media (max-width: 640px) { .row {
  grid-template-columns: repeat(var(--narrow), minmax(0, 1fr)); } }
.row img { display: block; width: 100%; height: auto; border-radius: .25rem; }
.row .pixels { image-rendering: pixelated; }
.mask, .ignored { background: repeating-conic-gradient(#999 0 25%, #ddd 0 50%)
  0 0 / 10px 10px; }
.lost { padding: 1.5rem .5rem; background: var(--box);
  border: 1px dashed var(--line); overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1rem; padding: 0;
  list-style: none; max-width: none; }
.legend span { display: inline-block; width: 1rem; height: 1rem;
  margin-right: .35rem; border: 1px solid var(--line);
  vertical-align: -.15rem; border-radius: .2rem; }
'''
