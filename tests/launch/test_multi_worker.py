"""Several workers train one run: processes of one machine stand for hosts."""

import json
import os
import re
import signal
import socket
import time

import numpy as np
import pytest

from ddep_tf import files

from commands import ROOT, TINY, losses, run, start, wait_for
import layouts

SHORT = [*TINY, '--gin_param=segment/RunSpec.global_batch_size=4',
         '--gin_param=segment/RunSpec.steps=10',
         "--gin_param=LossSpec.class_weights='balanced'",
         '--gin_param=LossSpec.focal_gamma=1',
         '--gin_param=LossSpec.dice_weight=1',
         '--gin_param=AugmentSpec.rotate=True',
         '--gin_param=AugmentSpec.hue=0.1']
LONG = [*SHORT, '--gin_param=segment/RunSpec.steps=15']
# Files that four virtual readers have a file of each.
RECORDS = '''
records/DatasetSpec.name = 'records'
records/DatasetSpec.source = 'tfrecord'
records/DatasetSpec.num_classes = 3
records/DatasetSpec.readers = 4
records/DatasetSpec.test_split = 'val'
RunSpec.data = (@records/DatasetSpec(),)
'''


def _ports(count):
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(('localhost', 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


class Cluster:
    """Workers of one run; ends what is left of them.

    Args:
      count: number of workers.
      launcher: what each of them runs.
    """

    def __init__(self, count, launcher='finetune'):
        self.launcher = launcher
        self.hosts = [f'localhost:{port}' for port in _ports(count)]
        self.workers = []

    def start(self, *args):
        """Starts one more worker."""
        index = len(self.workers)
        self.workers.append(start(
            self.launcher, *args, '--strategy=multi_worker',
            TF_CONFIG=json.dumps({
                'cluster': {'worker': self.hosts},
                'task': {'type': 'worker', 'index': index}})))
        return self.workers[-1]

    def start_all(self, *args):
        """Starts all workers with the same flags."""
        for _ in self.hosts:
            self.start(*args)

    def end(self, seconds=200):
        """Waits for all; returns their exit codes and what they printed."""
        end = time.monotonic() + seconds
        texts = [''.join(worker.communicate(timeout=end - time.monotonic()))
                 for worker in self.workers]
        return [worker.returncode for worker in self.workers], texts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.kill()
            worker.communicate()


def _train(count, *args):
    """Trains with so many workers, to the end."""
    with Cluster(count) as cluster:
        cluster.start_all(*args)
        codes, texts = cluster.end()
    assert codes == [0] * count, texts
    return texts


def _on_records(flags, folder):
    """Returns flags of which the data are TFRecord files, written here."""
    folder.mkdir()
    layouts.records(folder)
    (folder / 'records.gin').write_text(RECORDS)
    return [*(flag for flag in flags if 'shapes' not in flag),
            f'--gin_file={folder / "records.gin"}', f'--data_dir={folder}']


def _assert_close(one, other, tolerance):
    with np.load(one / 'weights.npz') as first, \
            np.load(other / 'weights.npz') as second:
        assert set(first.files) == set(second.files)
        for key in first.files:
            np.testing.assert_allclose(first[key], second[key], rtol=0,
                                       atol=tolerance, err_msg=key)


def test_the_request_of_one_stops_all_and_they_end_as_one_device(
        tmp_path, monkeypatch):
    one, many = tmp_path / 'one', tmp_path / 'many'
    short = _on_records(SHORT, tmp_path / 'data')
    code, _, err = run('finetune', *short, f'--run_dir={one}')
    assert code == 0, err
    told = tmp_path / 'told.jsonl'
    monkeypatch.setenv('TOLD', str(told))
    monkeypatch.setenv('PYTHONPATH', str(ROOT / 'tests/fixtures/services'),
                       prepend=os.pathsep)
    # The request to one of them stops both, at the same step.
    with Cluster(2) as cluster:
        flags = [*short, f'--run_dir={many}', '--track=wandb']
        first = cluster.start(*flags)
        time.sleep(3)  # A worker may be late.
        second = cluster.start(*flags)
        wait_for(many / 'metrics.csv', first, lines=3)
        second.send_signal(signal.SIGTERM)
        codes, texts = cluster.end()
    assert codes == [143, 143], texts
    step, other = [re.search(r'saved at step (\d+)', text)[1]
                   for text in texts]
    assert step == other and int(step) < 10
    assert (many / 'state' / f'ckpt-{step}.index').exists()
    for text in _train(2, *flags):
        assert f'step {step} of 10' in text
    np.testing.assert_allclose(losses(many), losses(one), rtol=1e-5)
    _assert_close(one, many, 1e-5)
    # Workers share out the images that they are tested on; the chief tells.
    assert files.read_json(many / 'result.json')['test'] == pytest.approx(
        files.read_json(one / 'result.json')['test'], abs=1e-3)
    assert {row['id'] for row in files.read_csv(many / 'per_image.csv')} == {
        row['id'] for row in files.read_csv(one / 'per_image.csv')}
    _check_followed(told, losses(many))
    _check_evaluated(many, tmp_path)


def _check_evaluated(run_dir, folder):
    """Workers share out what is evaluated; the chief alone writes."""
    with Cluster(2, 'evaluate') as cluster:
        cluster.start_all(
            f'--run_dir={run_dir}', f'--data_dir={folder / "data"}',
            f'--save_label_ids={folder / "ids"}',
            f'--output={folder / "numbers.json"}')
        codes, texts = cluster.end()
    assert codes == [0, 0], texts
    numbers = files.read_json(folder / 'numbers.json')
    assert numbers['mean_iou'] == pytest.approx(
        files.read_json(run_dir / 'result.json')['test'])
    assert {path.stem for path in (folder / 'ids').iterdir()} == {
        row['id'] for row in files.read_csv(run_dir / 'per_image.csv')}


def _check_followed(told, expected):
    """The chief alone was followed, in both starts as one run."""
    calls = [json.loads(line) for line in told.read_text().splitlines()]
    assert [kwargs['id'] for name, _, kwargs in calls if name == 'init'] == [
        None, 'given']
    assert [args[0]['train/loss'] for name, args, _ in calls
            if name == 'log' and 'train/loss' in args[0]] == expected
    assert [kwargs['exit_code'] for name, _, kwargs in calls
            if name == 'finish'] == [1, 0]


@pytest.mark.full
def test_lost_workers_end_all_and_change_no_bit_of_the_end(tmp_path):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    flags = _on_records(LONG, tmp_path / 'data')
    for lost, step in ((1, 5), (0, 10)):  # 0 is the chief.
        with Cluster(2) as cluster:
            cluster.start_all(*flags, f'--run_dir={cut}')
            wait_for(cut / 'state' / f'ckpt-{step}.index', cluster.workers[0])
            cluster.workers[lost].kill()
            codes, texts = cluster.end()
        assert codes[lost] == -signal.SIGKILL
        assert codes[1 - lost] == 75, texts
        assert 'a worker or TPU was lost' in texts[1 - lost]
        assert 'Traceback' not in texts[1 - lost]
    for text in _train(2, *flags, f'--run_dir={cut}'):
        assert 'step 10 of 15' in text
    _train(2, *flags, f'--run_dir={whole}')
    _assert_close(whole, cut, 0)


@pytest.mark.full
def test_four_workers_train_as_one_device(tmp_path):
    one, four = tmp_path / 'one', tmp_path / 'four'
    code, _, err = run('finetune', *SHORT, f'--run_dir={one}')
    assert code == 0, err
    _train(4, *SHORT, f'--run_dir={four}')
    _assert_close(one, four, 1e-5)


def test_workers_of_different_configs_are_refused(tmp_path):
    with Cluster(2) as cluster:
        cluster.start(*SHORT, f'--run_dir={tmp_path / "run"}')
        cluster.start(*SHORT, f'--run_dir={tmp_path / "run"}',
                      '--gin_param=RunSpec.log_every=2')
        codes, texts = cluster.end()
    assert codes == [2, 2], texts
    assert 'worker 1' in texts[0] and 'log_every' in texts[1]


@pytest.mark.full
def test_workers_that_share_no_disk_are_refused(tmp_path):
    with Cluster(2) as cluster:
        cluster.start(*SHORT, f'--run_dir={tmp_path / "run"}')
        cluster.start(*SHORT, f'--run_dir={tmp_path / "other"}')
        codes, texts = cluster.end()
    assert codes == [2, 2], texts
    assert 'worker 1 sees no config.json' in texts[1]
    assert not (tmp_path / 'other').exists()
