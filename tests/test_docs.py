"""README and docs/ name files, gin files and flags that exist."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import ddep_tf
from ddep_tf import files

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [*ROOT.glob('*.md'), *sorted((ROOT / 'docs').glob('*.md'))]
CODE = re.compile(r'```(\w*)\n(.*?)```', re.DOTALL)


def _commands(page):
    """Yields the words of each command that starts a launcher."""
    for language, text in CODE.findall(page.read_text(encoding='utf-8')):
        if language in ('', 'sh', 'bash'):
            for line in text.replace('\\\n', ' ').splitlines():
                if 'launch/' in line:
                    yield shlex.split(line, comments=True)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)]+)\)', page.read_text()):
        if not target.startswith(('http', '#')):
            assert (page.parent / target.partition('#')[0]).exists(), target


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_gin_files_of_commands_exist(page):
    for words in _commands(page):
        for name in re.findall(r'--gin_file=(\S+)', ' '.join(words)):
            if name == 'plain_cnn.gin':  # The reader's own.
                continue
            assert (files.GIN_ROOTS[0] / name).is_file(), name


def test_flags_of_commands_exist():
    flags = {}
    for page in PAGES:
        for words in _commands(page):
            launcher = next(w for w in words if 'launch/' in w)
            flags.setdefault(launcher, set()).update(
                re.match(r'--(\w+)', w).group(1) for w in words
                if w.startswith('--'))
    assert flags
    for launcher, names in flags.items():
        shown = subprocess.run(
            [sys.executable, str(ROOT / launcher), '--help'], check=True,
            capture_output=True, text=True).stdout
        for name in names:
            assert re.search(rf'--(\[no\])?{name}\b', shown), (launcher, name)


def test_every_experiment_of_the_paper_is_in_the_readme():
    text = (ROOT / 'README.md').read_text()
    for path in (files.GIN_ROOTS[0] / 'experiments').glob('*.gin'):
        small = path.stem in ('demo_shapes', 'demo_nuclei', 'chain_small',
                              'camvid_small')
        evidence = path.stem.startswith('evidence_')
        assert small or evidence or f'`{path.stem}`' in text, path.stem


def test_every_experiment_of_the_evidence_is_in_its_plan():
    text = (ROOT / 'docs' / 'evidence.md').read_text()
    for path in (files.GIN_ROOTS[0] / 'experiments').glob('evidence_*.gin'):
        assert f'`{path.stem}`' in text, path.stem


def test_the_site_builds(tmp_path):
    """Strictly: a link that leads nowhere is an error."""
    pytest.importorskip('material', reason='needs ddep_tf[docs]')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--quiet',
         '--site-dir', tmp_path], cwd=ROOT, capture_output=True, text=True,
        check=False, env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'})
    assert done.returncode == 0, done.stderr
    messages = (tmp_path / 'troubleshooting' / 'index.html').read_text()
    for text in ('is not a run folder: it has no', 'cannot read the video'):
        assert text in messages
    link = 'href="../own_images/"'
    assert link in (tmp_path / 'CONTRIBUTING' / 'index.html').read_text()


def test_the_api_page_has_every_public_name():
    text = (ROOT / 'docs' / 'api.md').read_text()
    homes = ddep_tf._HOMES
    assert set(re.findall(r'^::: (\S+)$', text, re.MULTILINE)) == {
        f'{home}.{name}' for name, home in homes.items()} | {
            'ddep_tf.serving.loading.ImageSegmenter'}  # What load returns.
