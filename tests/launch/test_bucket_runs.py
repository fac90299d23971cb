"""Data, runs and results in a bucket, by the commands as a user types them.

The bucket is that of gcs_server.py, the client TensorFlow's own.
"""

import csv
import json

import numpy as np
import pytest

from ddep_tf.models import encoder, weights

from commands import start
import layouts

RUN_GIN = '''
include 'model/tiny.gin'
include 'data/tfds.gin'
DecoderSpec.entry_channels = 16
DecoderSpec.block_channels = (16, 16, 16, 16)
tfds/DatasetSpec.path = 'oxford_iiit_pet'
tfds/DatasetSpec.label_key = 'segmentation_mask'
tfds/DatasetSpec.num_classes = 4
RunSpec.crop_size = (32, 32)
RunSpec.global_batch_size = 2
RunSpec.steps = 6
RunSpec.checkpoint_every = 2
RunSpec.log_every = 1
RunSpec.eager = True
OptimizerSpec.learning_rate = 1e-3
'''
SEGMENT_GIN = '''
tfds/DatasetSpec.val_split = 'test'
tfds/DatasetSpec.test_split = 'test'
segment/RunSpec.eval_every = 2
segment/EvalSpec.samples = 1
'''
EXPERIMENT_GIN = '''
include 'data/imagenet21k.gin'
imagenet21k/DatasetSpec.num_classes = 60
imagenet21k/DatasetSpec.short_side = 40
classify/RunSpec.data = (@imagenet21k/DatasetSpec(),)
denoise/RunSpec.data = (@tfds/DatasetSpec(),)
segment/RunSpec.data = (@tfds/DatasetSpec(),)
ExperimentSpec.name = 'bucket'
ExperimentSpec.title = 'The method in a bucket'
ExperimentSpec.arms = ('supervised', 'ddep')
ExperimentSpec.label_counts = (4,)
RunSpec.eager = False
'''
TIMES = {'step_seconds', 'images_per_second', 'seconds'}


class Commands:
    """Starts launchers in a folder of their own, which must stay empty."""

    def __init__(self, folder, bucket):
        self.bucket = bucket
        self.folder = folder / 'working'
        self.folder.mkdir()

    def start(self, launcher, *args):
        return start(launcher, *args, cwd=self.folder,
                     **self.bucket.environment)

    def run(self, launcher, *args):
        """Returns exit code, standard output and standard error."""
        process = self.start(launcher, *args)
        out, err = process.communicate(timeout=500)
        assert not list(self.folder.iterdir())  # No folder `gs:`.
        return process.returncode, out, err

    def succeed(self, launcher, *args):
        """Returns the standard output."""
        code, out, err = self.run(launcher, *args)
        assert code == 0, err
        return out

    def kill(self, pattern, answered, *command):
        """Starts a command and kills it when it sends a request."""
        with self.bucket.server.hold(pattern, answered) as held:
            process = self.start(*command)
            held.wait(process)
            process.kill()
            process.communicate()


@pytest.fixture
def commands(tmp_path, bucket):
    return Commands(tmp_path, bucket)


@pytest.fixture
def local(tmp_path, bucket):
    """A folder of data, gin files and an encoder, all in the bucket too."""
    folder = tmp_path / 'local'
    layouts.oxford_iiit_pet(folder / 'data', 6)
    layouts.imagenet21k(folder / 'data', 6)
    for name, text in (('run', RUN_GIN), ('segment', SEGMENT_GIN),
                       ('experiment', EXPERIMENT_GIN)):
        (folder / f'{name}.gin').write_text(text)
    weights.save_npz(folder / 'encoder.npz', weights.export_arrays(
        encoder.build_classifier('tiny', 10, image_size=(32, 32))))
    bucket.upload(folder, 'job')
    return folder


def _finetune(root, name):
    """The command that fine-tunes, with every path below `root`."""
    return ['finetune', f'--gin_file={root}/run.gin',
            f'--gin_file={root}/segment.gin', f'--data_dir={root}/data',
            f'--init_encoder={root}/encoder.npz',
            f'--run_dir={root}/runs/{name}']


def _break_often(server):
    """The faults of a bad day: all pass when they are tried again."""
    server.answers.page_size = 3
    for kind in ('stat', 'list', 'read', 'start', 'upload', 'rename'):
        server.fail(f'{kind} ', 503, skip=3)
        server.fail(f'{kind} ', 429, times=2, skip=8)
        server.cut(f'{kind} ', after=100, skip=5)
    server.cut('upload .*weights.npz', after=300_000)


def _assert_same_run(one, other):
    """Two run folders hold the same, bit for bit; times and paths differ."""
    with np.load(one / 'weights.npz') as first, \
            np.load(other / 'weights.npz') as second:
        assert first.files == second.files
        for key in first.files:
            np.testing.assert_array_equal(first[key], second[key], key)
    for name in ('metrics.csv', 'validation.csv'):
        assert _rows(one / name) == _rows(other / name)
    first, second = (json.loads((path / 'result.json').read_text())
                     for path in (one, other))
    assert _untimed(first) == _untimed(second)
    assert _names(one) == _names(other)


def _rows(path):
    with open(path, newline='', encoding='utf-8') as file:
        return [_untimed(row) for row in csv.DictReader(file)]


def _untimed(values):
    return {name: value for name, value in values.items()
            if name not in TIMES}


def _names(folder):
    """Names of the files; of TensorBoard, one of each start, the folder."""
    return {'tensorboard' if 'tensorboard' in path.parts
            else path.relative_to(folder).as_posix()
            for path in folder.rglob('*') if path.is_file()}


def test_a_run_in_a_bucket_is_that_of_a_disk(tmp_path, local, commands,
                                             bucket):
    whole = commands.start(*_finetune(local, 'run'))
    in_bucket = _finetune(f'{bucket.url}/job', 'run')
    # Killed while it saves step 4: steps 3 and 4 are lost.
    commands.kill('upload .*/state/ckpt-4_temp/.*data', False, *in_bucket)
    assert whole.wait(300) == 0, whole.communicate()
    assert _steps(bucket, 'runs/run') == [1, 2, 3, 4]
    _break_often(bucket.server)
    out = commands.succeed(*in_bucket)
    assert 'step 2 of 6' in out
    bucket.download('job/runs/run', tmp_path / 'run')
    _assert_same_run(tmp_path / 'run', local / 'runs' / 'run')
    assert bucket.server.count('status ')  # A cut upload was gone on with.


def _steps(bucket, name):
    text = bucket.read(f'job/{name}/metrics.csv').decode()
    return [int(row['step']) for row in csv.DictReader(text.splitlines())]


def _experiment(root):
    """The command that runs the experiment, with every path below `root`."""
    return ['experiment', *(f'--gin_file={root}/{name}.gin' for name in (
        'run', 'segment', 'experiment')), f'--data_dir={root}/data',
        f'--run_dir={root}/exp', f'--results_dir={root}/results']


@pytest.mark.full
def test_the_method_in_a_bucket_is_that_of_a_disk(tmp_path, local, commands,
                                                  bucket):
    commands.succeed(*_experiment(local))
    command = _experiment(f'{bucket.url}/job')
    # Killed at a saved step, the second, and while a later run saves.
    commands.kill('delete .*/denoise.*/state/checkpoint.tmp', True, *command)
    commands.kill('upload .*/segment-ddep.*/state/ckpt-4_temp/.*data', False,
                  *command)
    assert _steps(bucket, 'exp/runs/segment-ddep-n4-s0') == [1, 2, 3, 4]
    _break_often(bucket.server)
    out = commands.succeed(*command)
    assert 'segment-ddep' in out and 'step 2 of 6' in out
    bucket.server.reset()
    found = tmp_path / 'found'
    bucket.download('job', found)
    runs = sorted(path.name for path in (local / 'exp' / 'runs').iterdir())
    assert len(runs) == 4
    for name in runs:
        _assert_same_run(found / 'exp' / 'runs' / name,
                         local / 'exp' / 'runs' / name)
    for name in ('exp', 'results'):
        assert _names(found / name) == _names(local / name)
        for table in ('runs.csv', 'per_class.csv', 'curves.csv'):
            one, other = (root / name / table for root in (found, local))
            assert _rows(one) == _rows(other)
    _use(commands, bucket, local)
    out = commands.succeed(*_experiment(local), f'--run_dir={tmp_path}/copied',
                           f'--reuse={bucket.url}/job/exp')
    assert out.count(' is there: gs://') == len(runs)
    for path in (f'runs/{name}/{file}' for name in runs
                 for file in ('weights.npz', 'result.json', 'metrics.csv')):
        assert (tmp_path / 'copied' / path).read_bytes() == (
            found / 'exp' / path).read_bytes()


def _use(commands, bucket, local):
    """A finished run is evaluated, used and gone on from where it lies."""
    job = f'{bucket.url}/job'
    run = f'--run_dir={job}/exp/runs/segment-ddep-n4-s0'
    commands.succeed('evaluate', run, f'--data_dir={job}/data',
                     f'--output={job}/out/numbers.json',
                     f'--save_label_ids={job}/out/ids')
    result = json.loads(bucket.read(
        'job/exp/runs/segment-ddep-n4-s0/result.json'))
    numbers = json.loads(bucket.read('job/out/numbers.json'))
    assert numbers['mean_iou'] == result['test']
    assert len(bucket.names('job/out/ids/')) == 6
    image = bucket.read(bucket.names('job/exp/runs/segment-ddep-n4-s0/samples')
                        [0])
    for name in ('pictures/one.png', 'pictures/two.png', 'alone.png'):
        bucket.write(f'job/{name}', image)
    commands.succeed('predict', run, f'--input={job}/pictures',
                     f'--input={job}/al*.png', f'--output_dir={job}/masks')
    assert bucket.names('job/masks/') == [
        f'job/masks/{name}{end}.png' for name in ('alone', 'one', 'two')
        for end in ('', '_colour')]
    commands.succeed('export', run, f'--output={job}/exported.npz')
    assert {'job/exported.json', 'job/exported.npz'} < set(bucket.names())
    commands.succeed('report', f'--run_dir={job}/exp',
                     f'--results_dir={job}/again')
    assert {name[len('job/again'):] for name in bucket.names('job/again/')} == {
        name[len('job/results'):] for name in bucket.names('job/results/')}
    start_from = [f'--gin_file={job}/run.gin', f'--data_dir={job}/data',
                  '--gin_param=RunSpec.steps=1',
                  f'--init_encoder={job}/exported.npz']
    commands.succeed('pretrain_decoder', *start_from,
                     f'--run_dir={job}/denoised')
    out = commands.succeed('finetune', *start_from, '--dry_run',
                           f'--init_decoder={job}/denoised')
    line, = (text for text in out.splitlines()
             if 'decoder/entry/conv/kernel' in text)
    assert line.split()[0] == 'loaded'


@pytest.mark.full
def test_trouble_with_a_bucket_loses_nothing(tmp_path, local, commands,
                                             bucket):
    server, command = bucket.server, _finetune(f'{bucket.url}/job', 'run')
    commands.succeed(*_finetune(local, 'run'))
    # While one start trains, another one is refused.
    with server.hold('upload .*/state/ckpt-4_temp/.*data') as held:
        first = commands.start(*command)
        held.wait(first)
        code, _, err = commands.run(*command)
        assert code == 2 and f'process {first.pid} on ' in err
        assert 'is using it' in err and 'Traceback' not in err
        first.kill()
        first.communicate()
    # Google is out of order for longer than the client tries: start again.
    server.fail('start .*/state/ckpt-4_temp/', 503, times=1000)
    code, _, err = commands.run(*command)
    line = err.strip().splitlines()[-1]
    assert code == 75 and 'Google answers 503' in line, err
    assert f'{bucket.url}/job/runs/run/state' in line
    assert 'Traceback' not in err
    server.reset()
    # May no longer write.
    server.fail('start .*/state/ckpt-4_temp/', 403, times=1000)
    code, _, err = commands.run(*command)
    line = err.strip().splitlines()[-1]
    assert code == 2 and 'Google answers 403' in line, err
    assert f'{bucket.url}/job/runs/run/state' in line
    assert 'Traceback' not in err
    server.reset()
    # The last state is damaged: the one before it is used.
    commands.kill('start .*/state/ckpt-6_temp/', False, *command)
    name, = (name for name in bucket.names('job/runs/run/state/ckpt-4')
             if '.data' in name)
    data = bytearray(bucket.read(name))
    data[len(data) // 2:len(data) // 2 + 9] = b'\xff' * 9
    bucket.write(name, bytes(data))
    out = commands.succeed(*command)
    assert 'ckpt-4 is damaged' in out and 'step 2 of 6' in out
    assert bucket.read(name.replace('state', 'state/damaged')) == data
    for name in bucket.names('job/runs/run/state/damaged'):
        del server.store.objects[bucket.name][name]
    bucket.download('job/runs/run', tmp_path / 'run')
    _assert_same_run(tmp_path / 'run', local / 'runs' / 'run')


@pytest.mark.parametrize('flag, url, said', [
    ('run_dir', 's3://bucket/run', 'gs://BUCKET/NAME'),
    ('run_dir', 'gs:/bucket/run', 'gs://BUCKET/NAME'),
    ('run_dir', 'gs://read-only/run', 'Google answers 403: tester@example.com '
     'does not have storage.objects.create access'),
    pytest.param('run_dir', 'gs://nowhere/run', 'Google answers 404: The '
                 'specified bucket does not exist', marks=pytest.mark.full),
    pytest.param('run_dir', 'gs://denied/run', 'Google answers 403: '
                 'tester@example.com does not have', marks=pytest.mark.full),
    pytest.param('data_dir', 'gs://denied/data', 'Google answers 403: '
                 'tester@example.com does not have', marks=pytest.mark.full),
    pytest.param('data_dir', 'gs://nowhere/data', 'there is no folder',
                 marks=pytest.mark.full),
    pytest.param('init_encoder', 'gs://denied/x.npz', 'Google answers 403: '
                 'tester@example.com does not have', marks=pytest.mark.full),
    pytest.param('gin_file', 'gs://nowhere/x.gin', 'gs://nowhere/x.gin',
                 marks=pytest.mark.full)])
def test_a_bad_bucket_is_one_line(bucket, commands, local, flag, url, said):
    store = bucket.server.store
    store.objects.update({'denied': {}, 'read-only': {}})
    store.denied.add('denied')
    store.read_only.add('read-only')
    code, _, err = commands.run(*_finetune(local, 'run'), f'--{flag}={url}')
    assert code == 2, err
    # A progress bar may stand before the line.
    lines = [line for line in err.splitlines() if 'finetune.py: ' in line]
    assert len(lines) == 1 and said in lines[0] and url in lines[0]
    assert err.strip().endswith(lines[0]) and 'Traceback' not in err
    assert flag != 'run_dir' or not (local / 'runs').exists()
    assert not store.objects['denied'] and not store.objects['read-only']
