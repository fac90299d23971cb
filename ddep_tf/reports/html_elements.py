"""HTML elements: a text that is not markup is always escaped."""

import base64
from collections.abc import Sequence
import hashlib
import html

from ddep_tf.reports import page_style

_VOID = ('br', 'img', 'input', 'link', 'meta')


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
        'tr', element('th', name(row[0]), scope='row'),
        *(element('td', name(cell) if names and column == 0 else cell)
          for column, cell in enumerate(row[1:]))) for row in body)))
    return scrolling(label, element('table', *parts,
                                    class_='names' if names else None))


def name(text: object) -> Html:
    """Returns a text for a cell, that breaks where it is very long."""
    return element('span', text, class_='name')


def scrolling(label: str, *children: object, class_: str = 'scroll') -> Html:
    """Returns a box that scrolls on narrow screens, also by keyboard.

    Args:
      label: name of the box for screen readers.
      *children: what stands in it.
      class_: of the box.
    """
    return element('div', *children, class_=class_, tabindex='0',
                   role='region', aria_label=label)


def details(summary: object, *children: object, open_: bool = False) -> Html:
    """Returns a section that folds."""
    return element('details', element('summary', summary), *children,
                   open='open' if open_ else None)


def page(title: str, *body: object, script: str = '') -> str:
    """Returns an HTML5 document that loads nothing from elsewhere.

    Browsers are told to refuse all else, whatever the texts may hold: no
    other script than this one runs.
    """
    head = element(
        'head', element('meta', charset='utf-8'),
        element('meta', http_equiv='Content-Security-Policy',
                content=_policy(script)),
        element('meta', name='viewport',
                content='width=device-width, initial-scale=1'),
        # Else browsers ask for one.
        element('link', rel='icon', href='data:,'),
        element('title', title), element('style', Html(page_style.STYLE)))
    parts = [join(part, '\n') for part in body]
    return '<!DOCTYPE html>\n' + element(
        'html', head, element(
            'body', element('main', *parts),
            element('script', Html(script)) if script else ''), lang='en')


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    run = f"'sha256-{digest.decode()}'" if script else "'none'"
    return ("default-src 'none'; base-uri 'none'; form-action 'none'; "
            f"img-src data:; style-src 'unsafe-inline'; script-src {run}")
