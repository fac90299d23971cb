"""The commands, as a user types them."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from ddep_tf import files

from commands import ROOT, TINY, losses, run, start, wait_for
import layouts

LAUNCHERS = sorted(p.stem for p in (ROOT / 'launch').glob('*.py'))


@pytest.mark.quick
@pytest.mark.parametrize('launcher', LAUNCHERS)
def test_help_loads_no_tensorflow(launcher):
    code, out, err = run(launcher, '--help')
    assert code == 0 and re.search('--(run|data|output)', out), err
    probe = subprocess.run(
        [sys.executable, '-X', 'importtime',
         str(ROOT / 'launch' / f'{launcher}.py'), '--help'],
        capture_output=True, text=True, check=True)
    assert 'tensorflow' not in probe.stderr


def test_prepare_data_tells_builds_and_checks(tmp_path):
    layouts.ade20k_folder(tmp_path)
    common = ['--set=ade20k', f'--data_dir={tmp_path}']
    code, out, err = run('prepare_data', *common)
    assert code == 0 and 'sceneparsing' in out and str(tmp_path) in out, err
    code, out, err = run('prepare_data', *common, '--build', '--check',
                          '--nocount_check')
    assert code == 0 and '3 images and masks ok' in out, err
    code, out, err = run('prepare_data', *common, '--check', '--nodecode')
    assert code == 2 and 'not 20,210' in out and 'not 2,000' in out
    assert err.strip().splitlines()[-1].startswith('prepare_data.py: ade20k')
    code, out, err = run('prepare_data', '--set=ade')
    assert code == 2 and 'pascal_context' in err and 'Traceback' not in err


@pytest.mark.quick
@pytest.mark.parametrize('launcher, args, named', [
    ('finetune', ['--nonsense'], 'nonsense'),
    ('finetune', ['word'], 'word'),
    ('finetune', ['--gin_file=nowhere.gin'], 'nowhere.gin'),
    ('finetune', ['--gin_file=model/tiny.gin', '--run_dir=x'], 'data'),
    ('finetune', [*TINY, '--gin_param=RunSpec.sed=1'], 'sed'),
    ('finetune', [*TINY, "--gin_param=EncoderSpec.name='nonsense'"],
     "efficientnet_lite0_stem; keras/NAME for one of keras.applications, such "
     "as keras/EfficientNetV2B0; or MODULE:ENTRY for an encoder of your own, "
     "got 'nonsense'"),
    ('finetune', TINY, '--run_dir'),
    ('finetune', [*TINY, '--run_dir=s3://b/x'], 'gs://BUCKET/NAME'),
    ('predict', ['--run_dir=x', '--input=s3://b/x.jpg'], 's3://b/x.jpg'),
    ('experiment', [], 'ExperimentSpec'),
    ('report', ['--run_dir=nowhere'], 'nowhere'),
    ('predict', [], '--input'),
    ('evaluate', [], '--run_dir'),
    ('export', ['--output=x.npz'], '--run_dir'),
    ('export', ['--output=x.npz', '--run_dir=nowhere'], 'nowhere'),
    ('export', ['--output=x', '--run_dir=x', '--license=mit'], '--license'),
    ('export', ['--output=x', '--run_dir=x', '--format=onnx', '--part=all'],
     '--part'),
    ('compare_runs', ['--run_dir=nowhere', '--other=x'], 'nowhere'),
    ('benchmark', ['--what=denoise', '--batch_size=16'], '--batch_size'),
    ('benchmark', ['--output_dir=x', '--gin_file=x', '--width=2'], '--width'),
    ('compile_tpu', ['--image_size=32,32'], '--image_size'),
    ('compile_tpu', ['--what=evaluate', '--stage=denoise'], '--stage=segment'),
])
def test_a_mistake_is_one_line_and_exit_code_2(launcher, args, named):
    code, _, err = run(launcher, *args)
    assert code == 2, err
    assert named in err and 'Traceback' not in err
    assert len(err.strip().splitlines()) == 1


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    process = start('finetune', *TINY, f'--run_dir={cut}')
    wait_for(cut / 'state' / 'checkpoint', process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (cut / 'result.json').exists()
    for where in (cut, whole):
        code, out, err = run('finetune', *TINY, f'--run_dir={where}')
        assert code == 0, err
        assert ('step 0 of' in out) == (where == whole)
    with np.load(whole / 'weights.npz') as one, \
            np.load(cut / 'weights.npz') as other:
        assert set(one.files) == set(other.files)
        for key in one.files:
            np.testing.assert_array_equal(one[key], other[key], err_msg=key)
    _predict(whole, tmp_path)
    _evaluate(whole, tmp_path)
    _export(whole, tmp_path)


def _predict(run_dir, tmp_path):
    """A finished run segments an image whose size fits no stride."""
    rng = np.random.default_rng(0)
    image = tmp_path / 'photo.jpg'
    Image.fromarray(rng.integers(0, 255, (37, 51, 3), np.uint8)).save(image)
    code, _, err = run('predict', f'--run_dir={run_dir}', f'--input={image}',
                        f'--output_dir={tmp_path / "out"}',
                        '--gin_param=EvalSpec.flip=True')
    assert code == 0, err
    mask = np.asarray(Image.open(tmp_path / 'out' / 'photo.png'))
    assert mask.shape == (37, 51) and mask.max() < 6


def _evaluate(run_dir, tmp_path):
    """What training measured on test, evaluate.py measures again."""
    output = tmp_path / 'new' / 'numbers.json'
    code, out, err = run('evaluate', f'--run_dir={run_dir}',
                          f'--output={output}',
                          f'--save_label_ids={tmp_path / "ids"}')
    assert code == 0, err
    masks = [Image.open(path) for path in (tmp_path / 'ids').glob('*.png')]
    assert len(masks) == 4 and all(mask.mode == 'L' for mask in masks)
    numbers = json.loads(output.read_text())
    result = json.loads((run_dir / 'result.json').read_text())
    assert numbers['mean_iou'] == result['test']
    assert numbers['confusion_matrix'] == (
        result['test_details']['confusion_matrix'])
    assert 'mean IoU' in out and numbers['images'] == 4
    # Two replicas share the images out.
    done = subprocess.run(
        [sys.executable, '-c', TWO_DEVICES, 'launch/evaluate.py',
         f'--run_dir={run_dir}', '--strategy=mirrored', f'--output={output}',
         f'--save_label_ids={tmp_path / "shared"}'],
        cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(output.read_text()) == numbers
    for path in (tmp_path / 'ids').glob('*.png'):
        assert path.read_bytes() == (
            tmp_path / 'shared' / path.name).read_bytes()


def _export(run_dir, tmp_path):
    """A run's encoder leaves as a file, and starts another run."""
    path = tmp_path / 'encoder.npz'
    code, _, err = run('export', f'--run_dir={run_dir}', f'--output={path}')
    assert code == 0, err
    code, out, err = run(
        'pretrain_decoder', '--gin_file=model/tiny.gin',
        '--gin_file=data/shapes.gin', '--gin_file=stage/denoise.gin',
        f'--init_encoder={path}', '--dry_run')
    assert code == 0, err
    # The grid of the run's 32 x 32 crop, not of this one's 224 x 224.
    line, = [text for text in out.splitlines() if 'pos_embedding' in text]
    assert line.split() == ['loaded', 'Transformer/posembed_input/'
                            'pos_embedding', '1', 'x', '5', 'x', '48']
    assert ', 0 left' in out


# A launcher on a machine with two devices.
TWO_DEVICES = '''
import runpy, sys
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
'''


ANY_LOSS = [f'--gin_param={param}' for param in (
    "LossSpec.class_weights='balanced'", 'LossSpec.focal_gamma=2',
    'LossSpec.label_smoothing=0.1', 'LossSpec.dice_weight=1')]


@pytest.mark.parametrize('launcher, stage, start_python, flags', [
    ('finetune', 'segment', [], ANY_LOSS),
    *(pytest.param(*case, marks=pytest.mark.full) for case in (
        ('finetune', 'segment', ['-c', TWO_DEVICES], []),
        ('pretrain_decoder', 'denoise', [], []),
        ('pretrain_encoder', 'classify', [], []),
        ('pretrain_encoder', 'classify', ['-c', TWO_DEVICES], [])))])
def test_a_compiled_run_trains_as_a_plain_one(tmp_path, launcher, stage,
                                              start_python, flags):
    short = [text.replace('segment', stage).replace(
        '=RunSpec.', f'={stage}/RunSpec.') for text in TINY] + flags
    short.append(f'--gin_param={stage}/RunSpec.steps=3')
    # What is measured is nothing that XLA compiles.
    short += [f"--gin_param=shapes/DatasetSpec.{split}_split=''"
              for split in ('val', 'test')]
    code, _, err = run(launcher, *short, f'--run_dir={tmp_path / "plain"}')
    assert code == 0, err
    short += ['--gin_param=RunSpec.jit_compile=True',
              f'--run_dir={tmp_path / "xla"}']
    if start_python:
        done = subprocess.run(
            [sys.executable, *start_python, f'launch/{launcher}.py', *short,
             '--strategy=mirrored'],
            cwd=ROOT, capture_output=True, text=True, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code, out, err = run(launcher, *short, '--strategy=one_device')
    assert code == 0 and 'XLA' in out, err
    np.testing.assert_allclose(losses(tmp_path / 'xla'),
                               losses(tmp_path / 'plain'), rtol=1e-3)


@pytest.mark.full
@pytest.mark.parametrize('launcher, stage, precision', [
    ('finetune', 'segment', 'mixed_bfloat16'),
    ('pretrain_encoder', 'classify', 'mixed_float16')])
def test_what_saves_memory_and_time_works_together(
        tmp_path, launcher, stage, precision):
    """On two replicas, compiled, in parts, recomputed; stopped and resumed,
    and evaluated in its precision."""
    short = [text.replace('segment', stage) for text in TINY]
    short += [f'--gin_param={stage}/RunSpec.{text}' for text in (
        'steps=6', 'global_batch_size=4')]
    short.append('--gin_param=RunSpec.checkpoint_every=3')
    code, _, err = run(launcher, *short, f'--run_dir={tmp_path / "plain"}')
    assert code == 0, err
    short += [f'--gin_param=RunSpec.{text}' for text in (
        'jit_compile=True', 'remat=True', 'accumulate=2',
        f"precision='{precision}'")]
    command = [sys.executable, '-c', TWO_DEVICES, f'launch/{launcher}.py',
               *short, '--strategy=mirrored', f'--run_dir={tmp_path / "all"}']
    for again in range(2):
        done = subprocess.run(command, cwd=ROOT, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stderr
        if not again:  # As if it had been cut off after its first state.
            for path in (*tmp_path.glob('all/result.json'),
                         *tmp_path.glob('all/weights.*'),
                         *tmp_path.glob('all/state/ckpt-6.*')):
                path.unlink()
            shutil.rmtree(tmp_path / 'all/state/best')
    assert 'step 3 of 6' in done.stdout
    np.testing.assert_allclose(losses(tmp_path / 'all'),
                               losses(tmp_path / 'plain'), rtol=0.05)
    code, _, err = run('evaluate', f'--run_dir={tmp_path / "all"}',
                       '--split=test',
                       f'--output={tmp_path / "found.json"}')
    assert code == 0, err
    assert files.read_json(tmp_path / 'found.json')['value'] == pytest.approx(
        files.read_json(tmp_path / 'all/result.json')['test'], rel=1e-3)


def test_a_start_holds_its_folder_until_sigterm_which_saves(tmp_path):
    long = [*TINY, '--gin_param=segment/RunSpec.steps=100000',
            '--gin_param=RunSpec.checkpoint_every=90000']
    process = start('finetune', *long, f'--run_dir={tmp_path}')
    wait_for(tmp_path / 'metrics.csv', process, lines=3)
    # A second start is told who holds the folder, and changes nothing in it.
    code, _, err = run('finetune', *long, f'--run_dir={tmp_path}')
    assert code == 2 and f'process {process.pid} on' in err, err
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 143, err
    assert 'saved at step' in err and 'Traceback' not in err
    assert list((tmp_path / 'state').glob('ckpt-*.index'))


def test_dry_run_prints_the_plan_and_trains_nothing(tmp_path):
    code, out, err = run('finetune', *TINY, '--dry_run',
                          f'--run_dir={tmp_path / "run"}')
    assert code == 0, err
    assert '4 of shapes' in out and 'decoder/entry/conv/kernel' in out
    assert not (tmp_path / 'run').exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / 'file'
    blocked.write_text('kept')
    code, _, err = run('finetune', *TINY, f'--run_dir={blocked / "run"}')
    assert code == 2 and str(blocked) in err and 'Traceback' not in err
    assert blocked.read_text() == 'kept'


def test_a_full_disk_is_named_and_nothing_is_lost(make_disk):
    small_disk = make_disk('1m')  # Too small for the state of a run.
    (small_disk / 'earlier').write_text('kept')
    code, _, err = run('finetune', *TINY, f'--run_dir={small_disk / "run"}')
    lines = [line for line in err.splitlines() if 'finetune.py:' in line]
    assert code == 2 and 'Traceback' not in err
    assert len(lines) == 1 and 'disk' in lines[0]
    assert (small_disk / 'earlier').read_text() == 'kept'
    assert not (small_disk / 'run' / 'weights.npz').exists()


@pytest.mark.parametrize('launcher, flags, said', [
    ('finetune', [*TINY, '--run_dir=gs://nowhere/run'],
     '--run_dir gs://nowhere/run cannot be written (Google answers 404'),
    ('evaluate', ['--run_dir=gs://nowhere/run'],
     'gs://nowhere/run is not a run folder')])
def test_a_bucket_that_is_not_there_is_named(gcs, launcher, flags, said):
    before = set(ROOT.iterdir())
    code, _, err = run(launcher, *flags, **gcs.environment)
    assert code == 2 and said in err, err
    assert len(err.strip().splitlines()) == 1
    assert set(ROOT.iterdir()) == before
