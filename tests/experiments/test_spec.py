"""An arm is one entry: plan, sentences, differences and figures follow it."""

import dataclasses
import json

import pytest

from ddep_tf import configure
from ddep_tf.experiments import plan
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import write

pytestmark = pytest.mark.quick

# What the pairs of each set of arms are, and which one is told in a sentence.
PAIRS = [
    (('scratch', 'supervised', 'ddep'),
     [('ddep', 'supervised'), ('ddep', 'scratch'), ('scratch', 'supervised')]),
    (('supervised', 'ddep'), [('ddep', 'supervised')]),
    (('supervised', 'dep', 'dep_supervised', 'ddep'),
     [('ddep', 'supervised'), ('dep', 'supervised'),
      ('dep_supervised', 'supervised')]),
    (('scratch', 'dep'), [('dep', 'scratch')]),
    (('supervised', 'of another version'),
     [('of another version', 'supervised')])]


@pytest.mark.parametrize('arms, pairs', PAIRS)
def test_arms_are_compared_with_their_baselines(arms, pairs):
    assert spec_lib.comparisons(arms) == pairs
    told = pairs[0] if pairs[0][0] in spec_lib.ARMS else None
    assert spec_lib.headline(arms) == told


def test_without_a_denoised_arm_nothing_is_told():
    assert spec_lib.comparisons(('scratch', 'supervised')) == [
        ('scratch', 'supervised')]
    assert spec_lib.headline(('scratch', 'supervised')) is None
    assert spec_lib.headline(('ddep',)) is None


@pytest.mark.parametrize('images, setting, shown', [
    ('99', 1 / 30, '99 (3.33 %)'), ('99', '0.03333333333333333', '99 (3.33 %)'),
    ('2,975', 1.0, '2,975 (100 %)'), ('', 0.05, '5 %'), ('10', 10, '10'),
    ('10', '10', '10'), ('250', '', '250'), ('', None, ''),
    ('2', '1e-05', '2 (0.001 %)')])
def test_label_settings_are_shown_in_one_way(images, setting, shown):
    assert spec_lib.label_text(images, setting) == shown


def test_an_arm_is_added_in_one_place(monkeypatch, tmp_path):
    added = dataclasses.replace(
        spec_lib.ARMS['ddep'], train_encoder=True, baselines=('ddep',),
        sentence='{encoder}, then something new.')
    monkeypatch.setitem(spec_lib.ARMS, 'new', added)
    spec, stages, _ = configure.load_experiment(
        ['experiments/demo_shapes.gin'],
        ["ExperimentSpec.arms=('ddep', 'new')", 'ExperimentSpec.seeds=(3,)'])
    graph = plan.Plan(spec, stages, 'exp', 'data')
    assert list(graph.runs) == [
        'classify', 'denoise-ddep-s3', 'denoise-new-s3', 'segment-ddep-n20-s3',
        'segment-new-n20-s3']
    denoise = graph.find('denoise-new-s3')
    assert denoise.run.train_encoder and denoise.needs == ('classify',)
    assert graph.find('segment-new-n20-s3').run.init_decoder == (
        graph.run_dir('denoise-new-s3'))
    _write_results(tmp_path, spec)
    page = (tmp_path / 'report.html').read_text()
    assert ('encoder pretrained by classification, then something new.'
            in page)
    assert 'new - ddep is +10.0 points of test mIoU' in page
    assert '| 20 | new - ddep | +10.0 |' in (tmp_path / 'table.md').read_text()


def _write_results(exp_dir, spec):
    """One finished run of each arm, 30 points and 40."""
    columns = ('run,stage,variant,arm,labels,setting,subset_sha256,seed,role,'
               'learning_rate,weight_decay,chosen,test\n')
    (exp_dir / 'runs.csv').write_text(columns + ''.join(
        f'segment-{arm}-n20-s3,segment,,{arm},20,20,abc,3,final,0.003,0,1,'
        f'{0.3 + 0.1 * (arm == "new")}\n' for arm in spec.arms))
    (exp_dir / 'experiment.json').write_text(json.dumps(
        {'name': spec.name, 'arms': spec.arms}))
    write.write_report(exp_dir)
