"""The report's numbers against independent ones, and its page's form."""

import csv
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

from ddep_tf import errors
from ddep_tf.reports import read as read_lib
from ddep_tf.reports import tables, write

pytestmark = pytest.mark.quick

ARMS = ('scratch', 'supervised', 'ddep', 'dep')
COUNTS = (10, 40)
SEEDS = (0, 1, 2)
RATES = (0.001, 0.003)
CLASSES = ('sky', 'road <b>', 'car & bus')
PALETTE = [[128, 128, 128], [128, 64, 128], [64, 0, 128]]
VOID = {'meta', 'img', 'br'}


@pytest.fixture
def exp_dir(tmp_path):
    return make_experiment(tmp_path / 'exp')


def make_experiment(folder, arms=ARMS, seeds=SEEDS, name='small'):
    """Writes an experiment with random numbers and pictures."""
    rng = np.random.default_rng(7)
    folder.mkdir()
    rows = [_row(f'denoise-ddep-s{seed}', 'denoise', 'ddep', '', seed, 1e-3,
                 0, 0.63, '') for seed in seeds]
    for count in COUNTS:
        for seed in seeds:
            for arm in arms:
                rows += _settings_rows(rng, arm, count, seed)
    info = {'name': name, 'title': 'Few <labels> & "pictures" | here',
            'arms': list(arms), 'commit': 'abc123',
            'class_names': list(CLASSES), 'palette': PALETTE,
            'planned': len(rows), 'done': len(rows),
            'spec': {'name': name, 'seeds': list(seeds),
                     'encoder_weights': 'weights/e<1>.npz'}}
    (folder / 'experiment.json').write_text(json.dumps(info))
    (folder / 'operative.gin').write_text('x.steps = 3  # </pre><script>')
    _write_csv(folder / 'runs.csv', rows)
    _write_csv(folder / 'curves.csv', _curves(rng, rows))
    _write_csv(folder / 'per_class.csv', _per_class(rng, rows))
    _subsets(folder, seeds)
    _pictures(folder, rows, rng)
    return folder


def _settings_rows(rng, arm, count, seed):
    """The grid at the first seed, one run at the others."""
    rates = RATES if seed == SEEDS[0] else RATES[1:]
    return [_row(f'segment-{arm}-n{count}-s{seed}-lr{rate:g}', 'segment', arm,
                 count, seed, rate, int(rate == RATES[1]), rng.uniform(.2, .5),
                 rng.uniform(.2, .5) if rate == RATES[1] else '')
            for rate in rates]


def _row(run, stage, arm, labels, seed, rate, chosen, val, test):
    role = 'pretraining' if stage != 'segment' else (
        'sweep' if seed == SEEDS[0] else 'final')
    return {'run': run, 'stage': stage, 'variant': '', 'arm': arm, 'width': 1,
            'setting': labels, 'labels': labels,
            'subset_sha256': f'{labels}-{seed}' if labels else '',
            'seed': seed, 'role': role, 'learning_rate': rate,
            'weight_decay': 0.0, 'chosen': chosen, 'steps': 150, 'val': val,
            'test': test, 'single_scale': '', 'pixel_accuracy': '',
            'seconds': 12.5, 'commit': 'abc123'}


def _curves(rng, rows):
    keys = ('run', 'variant', 'arm', 'labels', 'seed', 'learning_rate',
            'chosen')
    return [{**{key: row[key] for key in keys}, 'step': step,
             'val': rng.uniform(.1, .5)}
            for row in rows if row['stage'] == 'segment'
            for step in (50, 100, 150)]


def _per_class(rng, rows):
    return [{**{key: row[key] for key in ('run', 'variant', 'arm',
                                     'labels', 'seed')},
             'class': name,
             'iou': 'nan' if name == 'sky' and row['seed'] else rng.uniform()}
            for row in rows if row['chosen'] for name in CLASSES]


def _subsets(folder, seeds):
    (folder / 'subsets').mkdir()
    for count in COUNTS:
        for seed in seeds:
            (folder / 'subsets' / f'n{count}-s{seed}.json').write_text(
                json.dumps({'seed': seed, 'count': count,
                            'sha256': f'{count}-{seed}',
                            'ids': [f'id_{i}' for i in range(count)]}))


def _pictures(folder, rows, rng):
    kinds = {'denoise': ('clean', 'noisy', 'denoised'),
             'segment': ('image', 'truth', 'prediction')}
    for row in rows:
        samples = folder / 'runs' / row['run'] / 'samples'
        samples.mkdir(parents=True)
        for kind in kinds[row['stage']]:
            channels = () if kind in ('truth', 'prediction') else (3,)
            pixels = rng.integers(0, 3, (24, 32, *channels)).astype(np.uint8)
            pixels[0] = 255
            Image.fromarray(pixels).save(samples / f'a_image_1_{kind}.png')


def _write_csv(path, rows):
    with open(path, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


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
    _write_csv(folder / 'runs.csv', rows)


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
    exp_dir = make_experiment(tmp_path / 'exp', ('supervised', 'ddep'), (0,))
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
    folder = make_experiment(tmp_path / 'grid')
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
    assert not re.search(r'http|url\(|@import', markup)
    for tag, attributes in page.tags:
        assert tag not in ('script', 'link', 'iframe', 'base')
        assert attributes.get('src', 'data:image/').startswith('data:image/')
        assert tag != 'img' or attributes['alt']
    assert str(exp_dir) not in text


def test_page_escapes_every_text(exp_dir):
    page = _page(exp_dir)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {'b', 'script', 'labels'}
    for text in ('Few <labels> & "pictures" | here', 'road <b>', 'car & bus',
                 'weights/e<1>.npz', '</pre><script>'):
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
    assert sum('predicted by' in alt for alt in shown) == settings * len(ARMS)
    assert sum(alt.startswith('noisy') for alt in shown) == len(SEEDS)


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


def test_readme_is_regenerated_from_the_results_alone(exp_dir, tmp_path):
    results = tmp_path / 'results' / 'small'
    text = pathlib.Path(write.write_results(exp_dir, results)).read_text()
    exp_dir.rename(tmp_path / 'away')
    assert write.results_readme(results) == text
    moved = results.rename(tmp_path / 'elsewhere')
    assert write.results_readme(moved) == text
    assert ('python launch/experiment.py --gin_file=experiments/small.gin'
            in text)
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
    other = make_experiment(tmp_path / 'other', name='large')
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
