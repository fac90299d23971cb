"""Hooks of MkDocs: pages from files beside docs/, and links that fit them.

The files read well where they are, in a checkout. Here they become pages,
and what they link to pages of the site; a link to a file that is no page
keeps its text alone.
"""

import ast
import pathlib
import posixpath
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parent.parent
_LINK = re.compile(r'(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^)\s]+)\)')
# {page: its file in the checkout}.
_PAGES = {'index.md': 'README.md', 'CONTRIBUTING.md': 'CONTRIBUTING.md',
          'CHANGELOG.md': 'CHANGELOG.md'}
_MARK = '<!-- messages -->'


def on_files(files, config):
    """Adds the pages, and the pictures of results."""
    for readme in sorted(ROOT.glob('results/*/README.md')):
        name = readme.relative_to(ROOT).as_posix()
        _PAGES[name] = name
    for page, source in _PAGES.items():
        files.append(File.generated(
            config, page, content=(ROOT / source).read_text('utf-8')))
    for path in sorted((*ROOT.glob('results/*/*.png'),
                        *ROOT.glob('results/*/figures/*.png'))):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(),
                                    abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Rewrites links; fills in the messages of the commands."""
    del config
    uri = page.file.src_uri
    source = _PAGES.get(uri, f'docs/{uri}')
    pages = {target: name for name, target in _PAGES.items()}

    def rewrite(found):
        text, target = found.groups()
        if re.match(r'[a-z]+:|#', target):
            return found.group()
        path, hash_, anchor = target.partition('#')
        path = posixpath.normpath(posixpath.join(
            posixpath.dirname(source), path))
        name = pages.get(path, path.removeprefix('docs/'))
        if files.get_file_from_path(name) is None:
            return text.removeprefix('!')[1:-1]
        link = posixpath.relpath(name, posixpath.dirname(uri) or '.')
        return f'{text}({link}{hash_}{anchor})'
    if _MARK in markdown:
        markdown = markdown.replace(_MARK, messages())
    return _LINK.sub(rewrite, markdown)


def messages():
    """Returns what the commands say with exit code 2, by module, Markdown."""
    parts = []
    for path in sorted((*ROOT.glob('ddep_tf/**/*.py'),
                        *ROOT.glob('launch/*.py'))):
        found = dict.fromkeys(_messages(ast.parse(path.read_text('utf-8'))))
        if found:
            name = path.relative_to(ROOT).with_suffix('').as_posix()
            parts.append('\n'.join([f'### {name}', '', *(
                f'- {text}' for text in found)]))
    return '\n\n'.join(parts)


def _messages(tree):
    """Yields the text of each error of users that is made in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and (
                getattr(node.func, 'attr', getattr(node.func, 'id', ''))
                in ('UserError', 'Unusable')):
            text = _text(node.args[0])
            if re.search(r'\w{3}', text):
                yield text


def _text(node):
    """Returns a string as Markdown, `...` for what a value fills in."""
    if isinstance(node, ast.Constant):
        return re.sub(r'([\\`*_{}\[\]<>])', r'\\\1', str(node.value))
    if isinstance(node, ast.JoinedStr):
        return ''.join(map(_text, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return '*...*'
