"""Every experiment, shrunk by debug.gin: planned, built, and run to its report.

Data sets are small files of the real layouts; the network is `tiny`.
"""

import collections
import csv
import dataclasses
import json
import math
import pathlib

import pytest

from ddep_tf import configure, errors, files
from ddep_tf.data import subsets
from ddep_tf.experiments import executors, plan
from ddep_tf.experiments import runner as runner_lib
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import write

import layouts

LEAVES = sorted(path.stem for path in
                (files.GIN_ROOTS[0] / 'experiments').glob('*.gin'))
# One of each kind runs to its end in every test, the others in test-full.
ALWAYS = {'chain_small', 'demo_nuclei', 'imagenet21k_encoder'}
# What keeps a leaf, whole, from a variant with weights of another encoder.
LEFT_OUT = {'evidence_camvid_taps': [
    "ExperimentSpec.run_variants=('plain', 'image')"]}
# What `tiny` starts from, in place of the weights of another encoder.
STARTS = {'scratch': (False, False), 'supervised': (True, False),
          'dep': (True, True), 'dep_supervised': (True, True),
          'ddep': (True, True), 'ddep_shuffled': (True, True),
          'ddep_norms': (True, True), 'dep_shuffled': (True, True),
          'dep_encoder': (True, False)}


def _images(leaf):
    """How many to train on: a sweep holds some of 1 % of them out."""
    return 300 if leaf.endswith('_sweep') else 60


def _load(leaf, params=()):
    return configure.load_experiment([f'experiments/{leaf}.gin', 'debug.gin'],
                                     params)


def _rows(path):
    with open(path, newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def _experiment(leaf, root, make_executor, params=()):
    """Returns an Experiment on small data.

    `make_executor`: (operative gin config, data_dir) -> Executor.
    """
    data_dir = str(layouts.make(root / 'data', leaf, _images(leaf)))
    spec, stages, operative = _load(leaf, params)
    return runner_lib.Experiment(spec, stages, operative, str(root / 'run'),
                                 data_dir, make_executor(operative, data_dir))


@pytest.mark.parametrize('leaf', LEAVES)
def test_a_leaf_finds_its_data_and_builds_its_networks(leaf, tmp_path):
    from ddep_tf.runtime import strategy
    from ddep_tf.training import train
    one = strategy.get_strategy('one_device')

    def stop(job):
        raise errors.UserError('found the labels of all runs')
    whole = _experiment(leaf, tmp_path, lambda *_: executors.Serial(stop))
    with pytest.raises(errors.UserError, match='found the labels'):
        whole.run()
    shown = {}
    for planned in whole.plan.runs.values():
        run = dataclasses.replace(planned.run, init_encoder='',
                                  init_decoder='')
        # One run of each network and data; labels were found above.
        key = run.stage, run.decoder, run.data
        if key not in shown:
            shown[key] = train.describe(run, str(tmp_path / 'data'), one)
            _check_described(run, shown[key], _images(leaf))
    assert {key[0] for key in shown} == {
        planned.run.stage for planned in whole.plan.runs.values()}


def _check_described(run, text, images):
    labelled = run.label_count or math.floor(
        (run.label_fraction or 1) * images + 0.5)
    kept = labelled - math.floor(run.holdout * labelled + 0.5)
    assert f'stage      {run.stage}' in text
    if run.data[0].source not in ('shapes', 'packaged'):
        assert f'images     {kept} of {run.data[0].name}' in text
    entry = run.decoder.entry_channels * run.decoder.width_multiplier
    rows = dict(line.split()[1:3] for line in text.splitlines()
                if line.startswith('new '))
    assert run.stage == 'classify' or (
        rows['decoder/entry/norm/scale'] == str(entry))


@pytest.fixture(name='leaf', params=[
    pytest.param((leaf, LEFT_OUT.get(leaf, ())), id=leaf,
                 marks=[] if leaf in ALWAYS else pytest.mark.full)
    for leaf in LEAVES])
def _leaf(request, tmp_path):
    """Runs a leaf to its end; returns its name, plan, and run folder."""
    from ddep_tf.runtime import strategy
    one = strategy.get_strategy('one_device')
    leaf, params = request.param
    whole = _experiment(
        leaf, tmp_path,
        lambda operative, data_dir: executors.in_process(
            operative, data_dir, one), params)
    whole.run()
    return leaf, whole.plan, tmp_path / 'run'


def test_a_leaf_runs_from_data_to_report_with_all_arms(leaf):
    name, graph, where = leaf
    facts = json.loads((where / 'experiment.json').read_text())
    assert facts['name'] == name and facts['failed'] == {}
    assert facts['done'] == facts['planned'] == graph.count()
    rows = _rows(where / 'runs.csv')
    _check_cells(graph, rows)
    for row in rows:
        _check_run(graph, where, row)
    _check_subsets(rows, _images(name))
    page = pathlib.Path(write.write_report(where)).read_text('utf-8')
    assert f'{graph.count()} of {graph.count()} runs done' in page
    for arm in graph.spec.arms:
        for file in ('table.md', 'table.tex'):
            assert arm.replace('_', r'\_') in (where / file).read_text()
    if graph.spec.arms:
        assert list((where / 'figures').glob('miou_o*.png'))


def _check_cells(graph, rows):
    """Each variant, arm and label setting has its tested run."""
    spec = graph.spec
    tested = collections.Counter(
        (row['variant'], row['arm'], row['setting']) for row in rows
        if row['stage'] == 'segment' and row['chosen'] == '1' and row['test'])
    expected = {(variant, arm, '' if setting is None else str(setting))
                for variant in spec.run_variants or spec.variants or ('',)
                for arm in spec.arms
                for setting in spec.settings}
    assert set(tested) == expected and set(tested.values()) <= {1}
    if not spec.arms:
        assert [row['stage'] for row in rows] == ['classify']


def _check_run(graph, where, row):
    """What the row says is what the run's spec and result say."""
    folder = where / 'runs' / row['run']
    config = json.loads((folder / 'config.json').read_text())
    result = json.loads((folder / 'result.json').read_text())
    assert config['decoder']['width_multiplier'] == int(row['width'])
    assert result['width'] == int(row['width'])
    assert config['seed'] == int(row['seed']) == result['seed'] == 0
    assert result['versions']['tensorflow'] and result['seconds'] > 0
    assert config['eager'] and config['encoder']['name'] == 'tiny'
    if row['variant'] and row['stage'] != 'classify':
        _check_variant(graph, config, row)
    if row['arm'] in ('dep', 'dep_supervised', 'ddep') and (
            row['stage'] == 'denoise'):
        assert config['train_encoder'] == (row['arm'] != 'ddep')
        assert bool(config['init_encoder']) == (row['arm'] != 'dep')
    if row['stage'] == 'segment':
        _check_finetuning(graph, config, result, row)


def _check_variant(graph, config, row):
    """A run that is the variant's own has the variant's value of the axis."""
    if not graph.spec.axis or not row['run'].startswith(row['variant'] + '-'):
        return
    part, name = graph.spec.axis.split('.')
    part = {'NoiseSpec': config['noise'], 'DecoderSpec': config['decoder'],
            'RunSpec': config}[part]
    if row['stage'] == 'denoise' or part is config['decoder']:
        value = part[name]
        if name == 'data':
            value = ' + '.join(spec['name'] for spec in value)
        assert value == graph.axis_values()[row['variant']]


def _check_finetuning(graph, config, result, row):
    encoder, decoder = STARTS[row['arm']]
    assert bool(config['init_encoder']) == encoder
    assert bool(config['init_decoder']) == decoder
    if decoder:
        arm = spec_lib.ARMS[row['arm']].denoising or row['arm']
        assert f'denoise-{arm}-' in config['init_decoder']
    setting = row['setting']
    given = config['label_count'], config['label_fraction']
    assert given == ((int(setting), 0.0) if setting.isdigit() else
                     (0, float(setting or 0)))
    assert (result['label_count'], result['label_fraction']) == given
    assert config['holdout'] == (graph.spec.holdout
                                 if row['role'] == 'sweep' else 0.0)
    if row['chosen'] == '1' and row['test']:
        details = result['test_details']
        assert float(row['test']) == details['mean_iou']
        assert len(details['confusion_matrix']) == len(details['iou'])
    if row['role'] == 'sweep' and config['holdout']:
        assert result['test'] is None  # The reported split took no part.


def _check_subsets(rows, images):
    """The subset is that of the fraction, the same in every arm, nested."""
    ids = {}
    for row in rows:
        if row['stage'] == 'segment' and row['setting']:
            assert len(row['subset_sha256']) == 64
            ids.setdefault(row['setting'], set()).add(
                (row['labels'], row['subset_sha256']))
    for setting, found in ids.items():
        (labels, _), = found
        assert int(labels) == (int(setting) if setting.isdigit() else
                               math.floor(float(setting) * images + 0.5))


def test_subsets_of_the_paper_have_their_sizes():
    names = [f'img_{i:05d}' for i in range(20210)]
    for total, sizes in ((2975, {1 / 30: 99, 1 / 8: 372, 1 / 4: 744}),
                         (4998, {0.01: 50, 0.05: 250, 0.1: 500, 0.2: 1000}),
                         (20210, {0.01: 202, 0.05: 1011, 0.1: 2021})):
        chosen = [subsets.label_subset(names[:total], fraction, 3)
                  for fraction in sizes]
        assert [len(ids) for ids in chosen] == list(sizes.values())
        for small, large in zip(chosen, chosen[1:]):
            assert set(small) < set(large)


@pytest.mark.parametrize('leaf, finals', [
    ('cityscapes_main', 10 + 6 + 4 + 10),
    ('ade20k_main', 10 + 10 + 10 + 5 + 10),
    ('pascal_context_main', 10 + 10 + 10 + 5 + 10)])
def test_the_main_comparisons_have_the_papers_numbers_of_runs(leaf, finals):
    spec, stages, _ = configure.load_experiment([f'experiments/{leaf}.gin'])
    graph = plan.Plan(spec, stages, 'runs', 'data')
    counts = collections.Counter(
        (p.arm, p.run.decoder.width_multiplier)
        for p in graph.at_level(plan.FINAL))
    assert counts == {(arm, width): finals for width in (1, 2, 3)
                      for arm in ('scratch', 'supervised', 'ddep')}
    rates = {p.run.decoder.width_multiplier: p.run.optimizer.learning_rate
             for p in graph.at_level(plan.DENOISE)}
    assert rates == {1: 6e-5, 2: 1e-4, 3: 6e-5}
