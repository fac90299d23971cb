"""The report's numbers against independent ones, and its page's form."""

import base64
import csv
import hashlib
import html.parser
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors, files
from ddep_tf.reports import read as read_lib
from ddep_tf.reports import tables, write

import report_cases
from report_cases import ARMS, COUNTS, RATES, SEEDS

pytestmark = pytest.mark.quick

VOID = {'meta', 'img', 'br', 'input', 'link'}


@pytest.fixture
def exp_dir(tmp_path):
    return report_cases.make_experiment(tmp_path / 'exp')


def _read_csv(path):
    with open(path, newline='') as file:
        return list(csv.DictReader(file))


def _test_scores(folder, arm, count):
    """Returns test mIoU in points [seeds] float64, by seed."""
    rows = [row for row in _read_csv(folder / 'runs.csv')
            if row['arm'] == arm and row['labels'] == str(count)
            and row['chosen'] == '1' and row['test']]
    return 100 * np.array([float(row['test']) for row in sorted(
        rows, key=lambda row: int(row['seed']))])


def _edit_runs(folder, change):
    rows = [new for row in _read_csv(folder / 'runs.csv')
            if (new := change(dict(row)))]
    report_cases.write_csv(folder / 'runs.csv', rows)


class _Page(html.parser.HTMLParser):
    """Collects the text and attributes, and checks that tags are balanced."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ''
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _page(exp_dir):
    with open(write.write_report(exp_dir), encoding='utf-8') as file:
        return _Page(file.read())


def test_scores_are_those_of_numpy(exp_dir):
    write.write_report(exp_dir)
    rows = [row for row in _read_csv(exp_dir / 'table.csv')
            if row['kind'] == 'miou']
    assert [(int(r['labels']), r['arm']) for r in rows] == [
        (count, arm) for count in COUNTS for arm in ARMS]
    for row in rows:
        values = _test_scores(exp_dir, row['arm'], row['labels'])
        assert len(values) == int(row['count']) == 3
        assert float(row['mean']) == pytest.approx(values.mean(), abs=1e-6)
        assert float(row['std']) == pytest.approx(
            values.std(ddof=1), abs=1e-6)
        assert row['learning_rate'] == '0.003'


def test_differences_are_paired_and_have_bootstrap_intervals(exp_dir):
    write.write_report(exp_dir)
    rows = [row for row in _read_csv(exp_dir / 'table.csv')
            if row['kind'] == 'difference']
    pairs = {(row['arm'], row['minus']) for row in rows}
    assert pairs == {('ddep', 'supervised'), ('scratch', 'supervised'),
                     ('dep', 'supervised'), ('dep', 'scratch'),
                     ('ddep', 'scratch')}
    assert len(rows) == len(COUNTS) * len(pairs)
    for row in rows:
        ours, theirs = (_test_scores(exp_dir, row[key], row['labels'])
                        for key in ('arm', 'minus'))
        assert float(row['mean']) == pytest.approx(
            (ours - theirs).mean(), abs=1e-6)
        # Of the 27 draws of three, the lowest mean has a share of 1/27, which
        # is more than 2.5 %; so has the highest.
        pairs = ours - theirs
        assert float(row['low']) == pytest.approx(pairs.min(), abs=1e-6)
        assert float(row['high']) == pytest.approx(pairs.max(), abs=1e-6)
        assert row['count'] == '3'


def test_runs_on_other_subsets_do_not_pair(exp_dir):
    def change(row):
        if row['arm'] == 'ddep' and row['seed'] == '2':
            row['subset_sha256'] = 'another'
        return row
    _edit_runs(exp_dir, change)
    write.write_report(exp_dir)
    counts = {row['count'] for row in _read_csv(exp_dir / 'table.csv')
              if row['kind'] == 'difference' and row['arm'] == 'ddep'}
    assert counts == {'2'}


def test_one_seed_has_neither_deviation_nor_interval(tmp_path):
    exp_dir = report_cases.make_experiment(
        tmp_path / 'exp', ('supervised', 'ddep'), (0,))
    page = _page(exp_dir)
    for row in _read_csv(exp_dir / 'table.csv'):
        assert row['std'] == row['low'] == row['high'] == ''
        assert row['count'] == '1' and row['mean']
    assert 'one pair, so no interval' in page.text
    assert 'nan' not in page.text


def test_equal_differences_have_an_interval_of_no_width(exp_dir):
    def change(row):
        if row['test']:
            row['test'] = 0.5 if row['arm'] == 'ddep' else 0.25
        return row
    _edit_runs(exp_dir, change)
    write.write_report(exp_dir)
    row = next(row for row in _read_csv(exp_dir / 'table.csv')
               if row['kind'] == 'difference')
    assert float(row['low']) == float(row['high']) == 25


def test_two_chosen_runs_of_a_seed_are_refused(exp_dir):
    _edit_runs(exp_dir, lambda row: {**row, 'chosen': 1, 'test': 0.3})
    with pytest.raises(errors.UserError, match='two chosen runs'):
        write.write_report(exp_dir)


def test_the_grid_is_a_matrix_of_the_sweeps_runs(tmp_path):
    folder = report_cases.make_experiment(tmp_path / 'grid')
    read = read_lib.read_experiment(folder)
    head, *rows = tables.grid_rows(read)
    assert head == ['Labelled images', 'Arm', 'Weight decay',
                    *(f'Learning rate {rate:g}' for rate in RATES)]
    sweeps = {(str(run.labels), run.arm, run.learning_rate): run
              for run in read.runs if run.role == 'sweep'}
    assert len(rows) == len(COUNTS) * len(ARMS)
    for labels, arm, decay, *cells in rows:
        runs = [sweeps[labels, arm, rate] for rate in RATES]
        assert decay == '0' and cells == [
            f'{100 * run.val:.1f}' + ' (chosen)' * run.chosen for run in runs]


def test_markdown_holds_the_rounded_numbers(exp_dir):
    write.write_report(exp_dir)
    text = (exp_dir / 'table.md').read_text()
    values = _test_scores(exp_dir, 'ddep', 10)
    assert (f'| 10 | ddep | {values.mean():.1f} | {values.std(ddof=1):.1f} '
            '| 3 | 0.003 | 0 |') in text
    difference = (values - _test_scores(exp_dir, 'supervised', 10)).mean()
    assert f'| 10 | ddep - supervised | {difference:+.1f} |' in text
    assert 'bootstrap' in text


def test_class_means_leave_out_runs_without_the_class(exp_dir):
    page = _page(exp_dir)
    rows = _read_csv(exp_dir / 'per_class.csv')
    sky = [float(row['iou']) for row in rows if row['class'] == 'sky'
           and row['arm'] == 'ddep' and row['labels'] == '10']
    assert f'{100 * np.nanmean(sky):.1f}' in page.text
    assert 'nan' not in page.text


def test_page_is_self_contained(exp_dir):
    path = write.write_report(exp_dir)
    assert path == os.path.join(exp_dir, 'report.html')
    text = pathlib.Path(path).read_text('utf-8')
    assert text.startswith('<!DOCTYPE html>')
    page = _Page(text)
    markup = re.sub(r'data:image/[^"]*', '', text)
    assert not re.search(r'https?:|url\(|@import', markup)
    for tag, attributes in page.tags:
        assert tag not in ('iframe', 'base', 'object', 'embed')
        for name in ('src', 'href'):
            assert attributes.get(name, 'data:').startswith('data:')
        assert tag != 'img' or attributes['alt']
    assert str(exp_dir) not in text


def test_the_page_forbids_all_but_its_own_script(exp_dir):
    text = pathlib.Path(write.write_report(exp_dir)).read_text('utf-8')
    script, = re.findall('<script>(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    policy, = (attributes['content'] for tag, attributes in _Page(text).tags
               if attributes.get('http-equiv') == 'Content-Security-Policy')
    assert policy.split('; ')[0] == "default-src 'none'"
    assert f"script-src 'sha256-{digest.decode()}'" in policy.split('; ')


def test_page_escapes_every_text(exp_dir):
    page = _page(exp_dir)
    tags = [tag for tag, _ in page.tags]
    assert not {'b', 'i', 'labels'} & set(tags) and tags.count('script') == 1
    for text in ('Few <labels> & "pictures" | here', 'road <b>', 'car & bus',
                 'weights/e<1>.npz', '</pre><script>', '<i>dark</i>'):
        assert text in page.text


def test_page_tells_what_is_asked_of_it(exp_dir):
    page = _page(exp_dir)
    planned = len(_read_csv(exp_dir / 'runs.csv'))
    for text in (f'{planned} of {planned} runs done', 'bootstrap', '0.001',
                 'abc123', '10-2', '40-0', '10 labelled images, seed 0',
                 'ignored', 'same grid'):
        assert text in page.text
    shown = [attributes['alt'] for tag, attributes in page.tags
             if tag == 'img']
    settings = len(COUNTS) * len(SEEDS)
    assert sum(alt == 'photograph a_image_1' for alt in shown) == settings
    assert sum(alt.startswith('classes of a_image_1 as predicted by')
               for alt in shown) == settings * len(ARMS)
    assert sum(alt.startswith('noisy') for alt in shown) == len(SEEDS)


def test_the_worst_and_the_best_images_are_shown_by_arm(exp_dir):
    page = _page(exp_dir)
    assert 'Worst and best images' in page.text
    # Of the first seed alone, to keep the page small.
    for example, word, score in (('<i>dark</i>', 'worst', '12.5'),
                                 ('../up', 'worst', '25.0'),
                                 ('clear', 'best', '75.0')):
        for arm in ARMS:
            alt = (f'classes of {example}, {word} as predicted by {arm}, mIoU '
                   f'{score}')
            assert sum(attributes.get('alt') == alt for _, attributes
                       in page.tags) == len(COUNTS)
    values = 100 * np.array([0.125, 0.25, 0.5, 0.75] * len(SEEDS))
    for percent in (0, 10, 50, 90, 100):
        assert f'{np.percentile(values, percent):.1f}' in page.text
    assert 'nothing counts' not in page.text


def test_of_equally_good_images_the_first_is_shown(exp_dir):
    for path in exp_dir.glob('runs/*/per_image.csv'):
        path.write_text('id,mean_iou\nlow,0.1\nmid,0.2\none,0.9\ntwo,0.9\n')
    alts = [attributes.get('alt', '') for _, attributes in _page(exp_dir).tags]
    assert any('of one, best' in alt for alt in alts)
    assert not any('of two, best' in alt for alt in alts)


def test_a_crop_is_shown_at_several_levels_of_noise(exp_dir):
    shown = [attributes['alt'] for tag, attributes in _page(exp_dir).tags
             if tag == 'img' and attributes['alt'].startswith('one crop')]
    row = [f'one crop, {kind}, noise {level}' for level in ('0.11', '0.22', 1)
           for kind in ('noisy', 'denoised')]
    assert shown == row * len(SEEDS)


@pytest.mark.parametrize('pattern, heads', [
    ('runs/*/result.json', {'Which classes are taken for which'}),
    ('runs/*/per_image.csv', {'Worst and best images'}),
    ('runs/*/samples/*.png', {'Samples'}), ('runs/denoise*/samples/**/*.png',
                                            {'Denoising'})])
def test_what_older_runs_lack_is_left_out(exp_dir, pattern, heads):
    def found():
        return set(re.findall('<h2>(.*?)</h2>', pathlib.Path(
            write.write_report(exp_dir)).read_text('utf-8')))
    before = found()
    assert heads < before
    for path in exp_dir.glob(pattern):
        path.unlink()
    assert found() == before - heads


def test_one_label_count_is_drawn_by_arm(tmp_path):
    exp_dir = report_cases.make_experiment(tmp_path / 'exp', counts=(10,))
    page = _page(exp_dir)
    drawn = os.listdir(exp_dir / 'figures')
    assert 'miou_of_arms.png' in drawn and 'miou_over_labels.png' not in drawn
    results = tmp_path / 'results'
    text = pathlib.Path(write.write_results(exp_dir, results)).read_text()
    assert '(figures/miou_of_arms.png)' in text
    # Without a picture of the method, it is the first on the page.
    first = next(attributes['alt'] for tag, attributes in page.tags
                 if tag == 'img')
    assert first.startswith('Test mIoU of each arm')


def test_a_single_arm_is_reported(tmp_path):
    exp_dir = report_cases.make_experiment(tmp_path / 'exp', ('scratch',))
    mean = _test_scores(exp_dir, 'scratch', 10).mean()
    assert (f'With 10 labelled images, test mIoU is {mean:.1f} for scratch '
            '(means over the seeds).') in _page(exp_dir).text


def test_figures_are_drawn_and_the_same_each_time(exp_dir):
    write.write_report(exp_dir)
    names = ('miou_over_labels.png', 'miou_along_finetuning.png')
    first = [(exp_dir / 'figures' / name).read_bytes() for name in names]
    write.write_report(exp_dir)
    assert first == [(exp_dir / 'figures' / name).read_bytes()
                     for name in names]
    for name in names:
        with Image.open(exp_dir / 'figures' / name) as image:
            assert min(image.size) > 400


@pytest.mark.parametrize('missing', [
    ('runs.csv',), ('curves.csv',), ('per_class.csv',), ('operative.gin',),
    ('runs.csv', 'curves.csv', 'per_class.csv', 'operative.gin')])
def test_incomplete_experiment_is_reported(exp_dir, missing):
    write.write_report(exp_dir)
    for name in missing:
        (exp_dir / name).unlink()
    info = json.loads((exp_dir / 'experiment.json').read_text())
    info['done'] = 3
    (exp_dir / 'experiment.json').write_text(json.dumps(info))
    page = _page(exp_dir)
    assert f'3 of {info["planned"]} runs done' in page.text
    drawn = os.listdir(exp_dir / 'figures')
    assert ('miou_over_labels.png' in drawn) == ('runs.csv' not in missing)
    if 'runs.csv' in missing:
        assert 'No fine-tuned run' in (exp_dir / 'table.md').read_text()


def test_untested_runs_do_not_count(exp_dir):
    def change(row):
        row['test'] = '' if row['seed'] == '2' else row['test']
        return row if row['arm'] != 'dep' else None
    _edit_runs(exp_dir, change)
    write.write_report(exp_dir)
    rows = _read_csv(exp_dir / 'table.csv')
    assert {row['count'] for row in rows} == {'2'}
    assert 'dep' not in {row['arm'] for row in rows}


def test_unreadable_picture_is_named(exp_dir):
    name = 'segment-ddep-n10-s0-lr0.003'
    path = exp_dir / 'runs' / name / 'samples' / 'a_image_1_prediction.png'
    path.write_bytes(path.read_bytes()[:40])
    assert 'a_image_1_prediction.png cannot be read' in _page(exp_dir).text


@pytest.mark.parametrize('name, text, message', [
    ('experiment.json', None, 'experiment.json is missing'),
    ('experiment.json', '{', 'cannot be read'),
    ('experiment.json', '{}', 'no "name"'),
    ('runs.csv', 'stage,labels\nsegment,10\n', "without a 'run'"),
    ('curves.csv', 'run,variant,arm,labels,seed,learning_rate,chosen,step,'
     'val\n'
     'r,,ddep,ten,0,0.1,1,5,0.5\n', 'line 2: labels must be a number')])
def test_malformed_file_is_named(exp_dir, name, text, message):
    (exp_dir / name).unlink()
    if text is not None:
        (exp_dir / name).write_text(text)
    with pytest.raises(errors.UserError, match=message):
        write.write_report(exp_dir)


def test_results_hold_tables_and_no_picture(exp_dir, tmp_path):
    write.write_report(exp_dir)
    results = tmp_path / 'results' / 'small'
    assert write.write_results(exp_dir, results) == str(results / 'README.md')
    found = {path.relative_to(results).as_posix()
             for path in results.rglob('*') if path.is_file()}
    assert found == {
        'README.md', 'experiment.json', 'runs.csv', 'curves.csv',
        'per_class.csv', 'operative.gin', 'table.csv', 'table.tex',
        'figures/miou_over_labels.png',
        'figures/miou_along_finetuning.png',
        *(f'subsets/n{count}-s{seed}.json' for count in COUNTS
          for seed in SEEDS)}
    for name in ('runs.csv', 'subsets/n10-s0.json', 'figures/'
                 'miou_over_labels.png'):
        assert (results / name).read_bytes() == (exp_dir / name).read_bytes()


def test_readme_is_regenerated_from_the_results_alone(exp_dir, tmp_path,
                                                      monkeypatch):
    results = tmp_path / 'results' / 'small'
    text = pathlib.Path(write.write_results(exp_dir, results)).read_text()
    exp_dir.rename(tmp_path / 'away')
    assert write.results_readme(results) == text
    moved = results.rename(tmp_path / 'elsewhere')
    assert write.results_readme(moved) == text
    # There is no leaf 'small' in this repository: it is somebody's own.
    assert 'python launch/experiment.py --gin_file=operative.gin' in text
    leaf = tmp_path / 'gin_files/experiments/small.gin'
    leaf.parent.mkdir(parents=True)
    leaf.touch()
    monkeypatch.setattr(files, 'GIN_ROOTS', (leaf.parents[1],))
    assert ('python launch/experiment.py --gin_file=experiments/small.gin'
            in write.results_readme(moved))
    assert 'abc123' in text and '| ddep - supervised |' in text
    assert not re.search(r'\d{4}-\d\d-\d\d|' + re.escape(str(tmp_path)), text)


def test_results_written_again_hold_nothing_stale(exp_dir, tmp_path):
    results = tmp_path / 'small'
    write.write_results(exp_dir, results)
    (exp_dir / 'curves.csv').unlink()
    (exp_dir / 'subsets' / 'n40-s2.json').unlink()
    write.write_results(exp_dir, results)
    assert not (results / 'curves.csv').exists()
    assert not (results / 'subsets' / 'n40-s2.json').exists()
    assert not (results / 'figures' / 'miou_along_finetuning.png').exists()
    assert write.results_readme(results) == (
        results / 'README.md').read_text()


def test_results_are_computed_anew_from_their_tables(exp_dir, tmp_path):
    results = tmp_path / 'small'
    write.write_results(exp_dir, results)
    def contents():
        return {path: path.read_bytes() for path in results.rglob('*.*')}
    before = contents()
    for name in ('README.md', 'table.csv', 'table.tex',
                 'figures/miou_over_labels.png'):
        (results / name).unlink()
    write.rewrite_results(results)
    assert contents() == before
    _edit_runs(results, lambda row: {**row, 'test': row['test'] and 0.5})
    write.rewrite_results(results)
    assert '| 10 | ddep - supervised | +0.0 |' in (
        results / 'README.md').read_text()


def test_results_of_another_experiment_stay(exp_dir, tmp_path):
    write.write_results(exp_dir, tmp_path / 'results')
    other = report_cases.make_experiment(tmp_path / 'other', name='large')
    with pytest.raises(errors.UserError, match="results of 'small'"):
        write.write_results(other, tmp_path / 'results')


def test_results_need_a_run(exp_dir, tmp_path):
    (exp_dir / 'runs.csv').unlink()
    with pytest.raises(errors.UserError, match='no finished run'):
        write.write_results(exp_dir, tmp_path / 'results')
    assert not (tmp_path / 'results').exists()


def test_unwritable_folder_is_the_users_error(exp_dir, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.UserError, match='cannot be written'):
        write.write_results(exp_dir, tmp_path / 'file' / 'small')


def test_import_loads_neither_tensorflow_nor_scipy():
    code = ('import sys; from ddep_tf.reports import write; '
            'assert not {"tensorflow", "scipy", "matplotlib"} & '
            'set(sys.modules)')
    subprocess.run([sys.executable, '-c', code], check=True)
