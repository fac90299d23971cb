"""Verdicts by hand, differences between variants, and the pages' tables."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf.reports import claims, claims_table, read, stats

import result_cases

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONG, SHORT = ('long', 'ddep'), ('short', 'ddep')
SCORES = {
    LONG: {5: [31, 32, 34, 35, 36, 37, 38, 40], 10: [41, 42]},
    SHORT: {5: [30, 30, 31, 31, 31, 31, 31, 32], 10: [41, 43]},
    ('long', 'supervised'): {5: [30] * 8}}
CLAIM = {'claim': 'Longer denoising gains', 'source': '[W]',
         'results': 'length', 'labels': [5, 10], 'variant': 'long',
         'arm': 'ddep', 'minus_variant': 'short', 'minus': 'ddep'}
PAGE = f'# Evidence\n\n{claims_table.START}\n{claims_table.END}\n\nMore.\n'


@pytest.fixture
def folder(tmp_path):
    """A project with results, claims, and a page in docs/."""
    result_cases.write(tmp_path / 'results' / 'length', SCORES)
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'evidence.md').write_text(PAGE)
    _write_claims(tmp_path, CLAIM)
    return tmp_path


def _write_claims(folder, *found):
    (folder / 'results' / 'claims.json').write_text(
        json.dumps({'claims': found}))


def _cells(folder):
    """Returns {(claim, labels): cells of its row} of the table of a page."""
    path, page = folder / 'results' / 'claims.json', folder / 'docs' / 'x.md'
    _, text = claims_table.updated(PAGE, path, page).split(claims_table.START)
    rows = [line.strip('| ').split(' | ') for line in text.splitlines()
            if line.startswith('| ')]
    head, _, *body = rows
    return [dict(zip(head, row)) for row in body]


@pytest.mark.parametrize('values, margin, expected', [
    ([3, 4, 5, 6, 3, 4, 5, 6], 1, claims.HOLDS),
    # All above 0, as large as they may be: small, and yet a gain.
    ([.3, .4, .5, .6, .3, .4, .5, .6], 1, claims.HOLDS),
    # Of five pairs, 2 of 32 patterns of signs are as far out: p = 0.06.
    ([3, 4, 5, 6, 3], 1, claims.OPEN),
    ([.3, .4, .5, .6, .3], 1, claims.OPEN),
    ([.3, .4, .5, .6, .3, -.2], 1, claims.FAILS),
    ([.3, .4, .5, .6, .3, -.2], .4, claims.OPEN),
    ([-3, -4, -5, -6, -3, -4], 1, claims.FAILS),
    ([-3, 4, -5, 6, -3, 4, -5, 6], 1, claims.OPEN),
    ([9], 1, claims.OPEN),
    ([], 1, claims.UNMEASURED)])
def test_the_rule(values, margin, expected):
    found = stats.difference(
        10, stats.Side('', 'ddep'), stats.Side('', 'supervised'),
        range(len(values)), [(30 + value, 30) for value in values])
    assert claims.verdict(found, margin) == expected


def test_variants_are_compared_seed_by_seed(folder):
    five, ten = _cells(folder)
    values = np.subtract(SCORES[LONG][5], SCORES[SHORT][5])
    assert five['Claim'] == r'Longer denoising gains \[W\]'
    assert five['Where measured'] == (
        '[length](../results/length/README.md), 5 labelled images, test mIoU: '
        'ddep (long) - ddep (short)')
    assert five['Difference (95 %)'].startswith(f'{values.mean():+.1f} (+')
    # All of them above 0: 2 of 256 patterns of signs.
    assert (five['Pairs'], five['p']) == ('8 (seeds 0 to 7)', '0.008')
    assert five['Verdict'] == claims.HOLDS
    assert five['Command'] == '`--gin_file=experiments/length.gin`'
    assert ten['Difference (95 %)'] == '-0.5 (-1.0 to +0.0)'
    assert (ten['Pairs'], ten['p']) == ('2 (seeds 0, 1)', '1.000')
    assert ten['Verdict'] == claims.OPEN


def test_runs_on_other_images_are_no_pair(folder):
    path = folder / 'results' / 'length' / 'runs.csv'
    path.write_text(path.read_text().replace('5-7,7', 'other,7', 1))
    five, _ = _cells(folder)
    assert five['Pairs'] == '7 (seeds 0 to 6)'
    found = stats.on_test(
        read.read_experiment(path.parent), 5, stats.Side(*LONG),
        stats.Side(*SHORT))
    assert found.values == pytest.approx(np.subtract(
        SCORES[LONG][5], SCORES[SHORT][5])[:7])


def test_margins_curves_and_what_is_not_measured(folder):
    result_cases.write(
        folder / 'results' / 'curves', {
            ('', arm): {5: [30] * 6} for arm in ('dep', 'scratch')}, {
            ('', 'dep'): {5: [{1: 10, 2: 30}] * 6},
            ('', 'scratch'): {5: [{1: 10, 2: 20}] * 6}}, planned=20)
    pair = {'arm': 'dep', 'minus': 'scratch', 'claim': 'c', 'labels': [5]}
    _write_claims(
        folder, {**pair, 'results': 'curves', 'outcome': 'along'},
        {**pair, 'results': 'curves', 'margin': 0.5},
        {**pair, 'results': 'planned'},
        {**CLAIM, 'minus_variant': '', 'minus': 'supervised'})
    along, test, planned, within, other = _cells(folder)
    assert along['Difference (95 %)'] == '+5.0 (+5.0 to +5.0)'
    assert along['Where measured'].endswith(
        'val mIoU along: dep - scratch (12 of 20 runs done)')
    assert along['Verdict'] == claims.HOLDS
    assert test['Verdict'] == f'{claims.FAILS} (margin +0.5)'
    assert planned['Verdict'] == claims.UNMEASURED
    assert '](' not in planned['Where measured']
    assert within['Where measured'].endswith(
        'ddep (long) - supervised (long)')
    assert other['Verdict'] == claims.UNMEASURED


def test_a_gain_is_compared_with_that_of_other_labels_or_variants(folder):
    gains = {('w3', 5): [3, 4, 5], ('w1', 5): [1, 1, 2], ('w1', 10): [0, 5, 1]}
    scores = {}
    for (variant, labels), values in gains.items():
        for arm, points in (('ddep', [30 + value for value in values]),
                            ('supervised', [30] * 3)):
            scores.setdefault((variant, arm), {})[labels] = points
    result_cases.write(folder / 'results' / 'widths', scores)
    claim = {'claim': 'c', 'results': 'widths', 'labels': [5], 'arm': 'ddep',
             'minus': 'supervised'}
    _write_claims(folder, {**claim, 'variant': 'w3', 'than_variant': 'w1'},
                  {**claim, 'variant': 'w1', 'than_labels': 10},
                  {**claim, 'variant': 'w3', 'than_labels': 10})
    wider, fewer, unknown = _cells(folder)
    # 2, 3, 3; and 1, -4, 1: by seed.
    assert wider['Difference (95 %)'] == '+2.7 (+2.0 to +3.0)'
    assert wider['Where measured'].endswith(
        'ddep (w3) - supervised (w3), less that of w1')
    assert fewer['Difference (95 %)'] == '-0.7 (-4.0 to +1.0)'
    assert fewer['Pairs'] == '3 (seeds 0 to 2)'
    assert fewer['Where measured'].endswith(', less that with 10')
    assert unknown['Verdict'] == claims.UNMEASURED
    _write_claims(folder, {**claim, 'variant': 'w3', 'than_variant': 'w2'})
    with pytest.raises(errors.UserError, match="names 'w2'"):
        _cells(folder)


@pytest.mark.parametrize('arm', ['ddep', 'ddep_shuffled'])
def test_the_denoising_runs_behind_the_pairs_are_told(folder, arm):
    """Those of the same variant; a control starts from another arm's."""
    scores = {('long', arm): {5: [31, 32]}, ('long', 'scratch'): {5: [3, 4]}}
    result_cases.write(
        folder / 'results' / 'few', scores, denoised=[
            ('long', 'ddep'), ('long', 'ddep'), ('long', 'dep'),
            ('short', 'ddep')])
    _write_claims(folder, {
        'claim': 'c', 'results': 'few', 'labels': [5], 'variant': 'long',
        'arm': arm, 'minus': 'scratch'})
    (row,) = _cells(folder)
    assert row['Pairs'] == '2 (seeds 0, 1; 2 denoising runs)'


@pytest.mark.parametrize('change, message', [
    ({'variant': 'longer'}, "'longer', but length has only 'long', 'short'"),
    ({'minus': 'dep'}, "'dep', but length has only 'ddep', 'supervised'"),
    ({'minus_variant': 'long'}, 'with themselves'),
    ({'minus_variant': '', 'minus': 'supervised', 'than_variant': 'long'},
     'with themselves'),
    ({'than_labels': 5}, 'with themselves'),
    ({'than_variant': 'short'}, 'Claim.minus_variant and Claim.than_variant'),
    ({'outcome': 'val'}, 'claim 1: Claim.outcome must be one of test, along'),
    ({'labels': []}, 'claim 1: Claim.labels is missing'),
    ({'label': 5}, "claim 1: Claim has no field 'label'")])
def test_a_wrong_claim_is_refused(folder, change, message):
    _write_claims(folder, {**CLAIM, **change})
    with pytest.raises(errors.UserError, match=message):
        _cells(folder)


def test_the_command_writes_the_pages(folder):
    """And again, to the same bytes, with nothing else of them changed."""
    page = folder / 'docs' / 'evidence.md'
    command = [sys.executable, ROOT / 'launch' / 'report.py',
               '--claims=results/claims.json', '--page=docs/evidence.md']
    subprocess.run(command, cwd=folder, check=True)
    text = page.read_text()
    before, after = PAGE.split(f'\n{claims_table.END}')
    assert text.startswith(before) and text.endswith(after)
    assert claims.HOLDS in text
    assert claims_table.updated(
        text, folder / 'results' / 'claims.json', page) == text
    (folder / 'docs' / 'evidence.md').write_text('# Evidence\n')
    failed = subprocess.run(command, cwd=folder, check=False,
                            capture_output=True, text=True)
    assert failed.returncode == 2
    assert failed.stderr.count('\n') == 1 and 'add the lines' in failed.stderr


def test_the_example_of_the_docs_is_a_claim_of_what_is_there():
    text = (ROOT / 'docs' / 'experiments.md').read_text(encoding='utf-8')
    example = json.loads(text.split('```json\n')[1].split('```')[0])
    (values,) = example['claims']
    claim = claims.Claim(**values)
    experiment = read.read_experiment(ROOT / 'results' / claim.results)
    for labels in claim.labels:
        found = claims.measure(claim, labels, experiment)
        assert claims.verdict(found) == claims.OPEN


def test_the_pages_of_the_project_have_the_table_of_its_results():
    path = ROOT / 'results' / 'claims.json'
    pages = [page for page in (*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'))
             if claims_table.START in page.read_text(encoding='utf-8')]
    assert bool(pages) == path.exists()
    for page in pages:
        text = page.read_text(encoding='utf-8')
        assert text == claims_table.updated(text, path, page), page.name
