"""Every shipped gin file is parsed, built and dry-run.

Data sets and weights are small files of the real layouts.
"""

import itertools
import re

import pytest

from ddep_tf import configure, files, specs
from ddep_tf.experiments import cost, plan
from ddep_tf.runtime import strategy
from ddep_tf.training import train

import layouts


def _shipped(folder):
    return sorted(path.stem for path in
                  (files.GIN_ROOTS[0] / folder).glob('*.gin'))


def _dry_run(run, data_dir):
    return train.describe(run, str(data_dir),
                          strategy.get_strategy('one_device'))


def _gin(**files):
    return [f'{folder}/{name}.gin' for folder, name in files.items()]


@pytest.mark.quick
@pytest.mark.parametrize('model', _shipped('model'))
@pytest.mark.parametrize('width', _shipped('width'))
@pytest.mark.parametrize('stage', specs.STAGES)
@pytest.mark.parametrize('data', _shipped('data'))
def test_every_combination_parses(model, width, data, stage):
    run, _ = configure.load_run(
        stage, _gin(model=model, width=width, data=data, stage=stage))
    assert run.stage == stage and run.data[0].name == data
    assert run.encoder.name.partition('/')[0] == model
    assert f'{run.decoder.width_multiplier}x' == width


# The width is the decoder's: it shows in any stage but the first, and with any
# encoder.
@pytest.mark.parametrize('model, width, stage', [
    *((model, '1x', stage) for model in _shipped('model')
      for stage in ('classify', 'denoise', 'segment')),
    *(pytest.param(model, width, 'denoise',
                   marks=[pytest.mark.full] * (model != 'tiny'))
      for model in _shipped('model') for width in _shipped('width')
      if width != '1x')])
def test_every_network_is_built_and_dry_run(model, width, stage):
    run, _ = configure.load_run(
        stage, _gin(model=model, width=width, data='shapes', stage=stage),
        ['shapes/DatasetSpec.limit=2'])
    shown = _dry_run(run, '')
    assert 'images     2 of shapes' in shown and '0 loaded' in shown
    if stage == 'denoise':
        rows = dict(line.split()[1:3] for line in shown.splitlines()
                    if line.startswith('new '))
        entry = run.decoder.entry_channels * run.decoder.width_multiplier
        assert rows['decoder/entry/norm/scale'] == str(entry)


# What the user of a set without fixed classes has to say.
OWN = {'folder': ['folder/DatasetSpec.num_classes=3'],
       'folder_unlabelled': ['folder/DatasetSpec.num_classes=3'],
       'tfds': ['tfds/DatasetSpec.path="oxford_iiit_pet"',
                'tfds/DatasetSpec.label_key="segmentation_mask"',
                'tfds/DatasetSpec.num_classes=4',
                'tfds/DatasetSpec.test_split="test"']}
CLASSIFIED = ('cifar10', 'imagenet2012', 'imagenet21k')


@pytest.mark.parametrize('data', _shipped('data'))
def test_every_data_set_is_dry_run(data, tmp_path):
    data_dir = layouts.make(tmp_path, data)
    stage = 'classify' if data in CLASSIFIED else 'segment'
    run, _ = configure.load_run(
        stage, _gin(model='tiny', data=data, stage=stage), OWN.get(data, ()))
    count = {'shapes': 2000, 'nuclei': 60}.get(data, 3)
    assert f'images     {count} of {data}' in _dry_run(run, data_dir)


@pytest.mark.quick
# The official val of the paper's sets is reported, never chosen by.
@pytest.mark.parametrize('data, train_split, test_split', [
    ('cityscapes', 'train', 'validation'),
    ('cityscapes_folder', 'train', 'val'),
    ('ade20k', 'train', 'validation'),
    ('ade20k_folder', 'training', 'validation'),
    ('pascal_context', 'train', 'validation'),
    ('pascal_context_folder', 'train', 'val')])
def test_the_official_val_is_the_reported_split(data, train_split, test_split):
    run, _ = configure.load_run('segment', _gin(model='tiny', data=data,
                                                stage='segment'))
    spec, = run.data
    assert (spec.train_split, spec.val_split, spec.test_split) == (
        train_split, '', test_split)
    assert spec.random_scale == (1.0, 1.0)


@pytest.mark.quick
@pytest.mark.parametrize('leaf', _shipped('experiments'))
def test_every_experiment_is_planned(leaf):
    spec, stages, _ = configure.load_experiment([f'experiments/{leaf}.gin'])
    assert spec.name == leaf and spec.title
    graph = plan.Plan(spec, stages, 'runs', 'data')
    # Every arm at every label setting, in every variant.
    finals = {(cell.variant, graph.find(cell.name).arm,
               graph.find(cell.name).setting) for cell in graph.cells
              if graph.find(cell.name).level == plan.FINAL}
    assert finals == set(itertools.product(
        spec.variants or ('',), spec.arms,
        spec.settings if spec.arms else ()))
    head = (files.GIN_ROOTS[0] / 'experiments' / f'{leaf}.gin').read_text()
    assert f'--gin_file=experiments/{leaf}.gin' in head
    assert '# Expected: ' in head


@pytest.mark.quick
@pytest.mark.parametrize('leaf, name', [
    ('cityscapes_main', 'cityscapes'), ('ade20k_main', 'ade20k'),
    ('pascal_context_sweep', 'pascal_context'),
    ('ablation_kind', 'pascal_context')])
def test_an_experiment_takes_the_unpacked_folder_of_its_set(leaf, name):
    given = ([f'experiments/{leaf}.gin', f'data/{name}_folder.gin'],
             [f'segment/RunSpec.data=(@{name}_folder/DatasetSpec(),)'])
    spec, stages, _ = configure.load_experiment(*given)
    wanted, of_files, _ = configure.load_experiment(given[0][:1])
    assert spec == wanted
    for variant, templates in stages.items():
        data, = templates['segment'].data
        assert (data.name, data.source) == (f'{name}_folder', 'folder')
        assert templates['denoise'] == of_files[variant]['denoise']


# All of them in one test, since runs of the same network are counted once.
@pytest.mark.parametrize('leaves, count', [
    (['cityscapes_sweep'], 1),
    pytest.param(_shipped('experiments'), 16, marks=pytest.mark.full)])
def test_the_heads_of_the_papers_experiments_say_what_they_cost(leaves, count):
    checked = 0
    for leaf in leaves:
        text = (files.GIN_ROOTS[0] / 'experiments' / f'{leaf}.gin').read_text()
        said = re.search(r'# Expected: ([\d,]+) runs?, ([\d,]+) PFLOPs, '
                         r'([\d,]+) GB, ([\d,]+) hours', text)
        if not said:  # A small one, whose time was measured.
            continue
        graph = plan.Plan(*configure.load_experiment(
            [f'experiments/{leaf}.gin'])[:2], 'runs', 'data')
        runs = [p.run for p in graph.runs.values() if not p.reuses]
        flops = sum(cost.count(run).run_flops for run in runs)
        found = (len(runs), flops / 1e15, sum(map(cost.disk, runs)) / 1e9,
                 cost.device_hours(flops, 'tpu_v4', 0.4))
        assert said.groups() == tuple(f'{number:,.0f}' for number in found)
        checked += 1
    assert checked == count
