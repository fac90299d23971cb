"""Speed and memory, as measured by the command."""

import json

import pytest

from ddep_tf import specs
from ddep_tf.experiments import cost
from ddep_tf.models import registry

from commands import run

SMALL = ('--encoder=tiny', '--size=32', '--batch=2', '--steps=1',
         '--classes=5')


def _measured(*flags):
    code, out, err = run('benchmark', *SMALL, *flags, '--json')
    assert code == 0, err
    line, = out.splitlines()  # And nothing else.
    return json.loads(line)


def _count(stage, **changes):
    return cost.count(specs.RunSpec(
        stage, (specs.DatasetSpec('set', num_classes=5),),
        encoder=specs.EncoderSpec('tiny'), global_batch_size=2,
        decoder=registry.find('tiny').decoder,
        **{'crop_size': (32, 32), **changes}))


def _check(found, what, gflop):
    assert found['what'] == what and found['batch'] == 2
    assert found['gflop_per_step'] == pytest.approx(gflop)
    assert found['images_per_s'] == pytest.approx(
        2 / found['seconds_per_step'])
    assert found['utilisation'] == pytest.approx(
        gflop / found['seconds_per_step'] / found['sgemm_gflops'])
    assert 100 < found['peak_rss_mib'] < 5000
    assert found['device'] == 'CPU' and found['processor']
    assert found['tensorflow'].startswith('2') and 'commit' in found


@pytest.mark.full
def test_a_step_of_two_replicas_is_measured():
    found = _measured('--what=denoise', '--replicas=2', '--steps=2')
    cost_of = _count(specs.DENOISE)
    _check(found, 'denoise', cost_of.step_flops / 1e9)
    assert found['replicas'] == 2 and found['steps'] == 2
    assert 0 < found['core_seconds_per_step'] < 60
    assert found['parameters'] == cost_of.parameters
    assert found['precision'] == 'float32'


def test_what_trains_is_bound_by_gin():
    found = _measured(
        '--what=segment', '--precision=mixed_bfloat16',
        '--gin_param=segment/RunSpec.accumulate=2')
    _check(found, 'segment', _count(specs.SEGMENT).step_flops / 1e9)
    assert found['precision'] == 'mixed_bfloat16'


def test_an_input_is_measured_beside_bare_decoding():
    found = _measured('--what=input')
    _check(found, 'input', 0)
    assert 0 < found['of_bare_decode'] < 10


def test_evaluation_counts_all_views():
    found = _measured(
        '--what=evaluate', '--size=48', '--gin_param=EvalSpec.flip=True',
        '--gin_param=EvalSpec.scales=(1.0, 0.5)',
        '--gin_param=EvalSpec.tile=(32, 32)')
    # Of the whole image four tiles, of its half one; each flipped too.
    forward = _count(specs.SEGMENT).forward_flops
    _check(found, 'evaluate', 2 * (4 + 1) * 2 * forward / 1e9)


def test_a_prediction_is_measured_as_a_table():
    code, out, err = run('benchmark', *SMALL, '--what=predict')
    assert code == 0, err
    table = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert table['what'] == 'predict' and float(table['images_per_s']) > 0


@pytest.mark.quick
@pytest.mark.parametrize('flags, named', [
    (['--what=denoise', '--size=100'], 'crop_size'),
    (['--what=denoise', '--encoder=nonsense'], 'model/nonsense.gin'),
    (['--what=denoise', '--width=0'], 'width_multiplier'),
    (['--what=segment', '--batch=3', '--replicas=2'], 'global_batch_size 3'),
    (['--what=nonsense'], '--what'),
    (['--what=chain'], '--output_dir')])
def test_a_mistake_is_one_line(flags, named):
    code, out, err = run('benchmark', *flags, '--json')
    assert code == 2 and not out and 'Traceback' not in err, err
    assert named in err.strip().splitlines()[-1]


@pytest.mark.quick
def test_flags_that_would_be_ignored_are_refused(tmp_path):
    for launcher, *args in (
            ('benchmark', '--what=growth', '--gin_param=RunSpec.remat=True'),
            ('compile_tpu', '--table', '--topology=v5e:2x2')):
        code, _, err = run(launcher, *args, f'--output_dir={tmp_path}')
        assert code == 2 and f'{args[-1].split("=")[0]} is not for' in err
    assert not list(tmp_path.iterdir())
