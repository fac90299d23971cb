"""Runs whose examples other processes prepare."""

import contextlib
import re
import signal
import socket
import time

import pytest

from ddep_tf import files

from commands import run, start, wait_for
import layouts

FLAGS = ['--gin_file=model/tiny.gin', '--gin_file=data/folder.gin',
         '--gin_file=stage/segment.gin',
         '--gin_param=folder/DatasetSpec.num_classes=3',
         "--gin_param=folder/DatasetSpec.val_split=''",
         *(f'--gin_param=segment/RunSpec.{text}' for text in (
             'crop_size=(32, 32)', 'global_batch_size=2', 'steps=100',
             'log_every=1'))]


@contextlib.contextmanager
def _served(cwd):
    """Yields the address of a dispatcher, and its two workers: processes."""
    processes = []

    def serve(*flags):
        processes.append(start('data_service', '--host=localhost', *flags,
                               cwd=cwd))
        end = time.monotonic() + 200
        while time.monotonic() < end and processes[-1].poll() is None:
            found = re.search(r' at (localhost:\d+)', processes[-1].said())
            if found:
                return found[1]
            time.sleep(0.05)
        raise AssertionError(processes[-1].communicate(timeout=1))
    try:
        address = serve()
        for _ in range(2):
            serve(f'--data_service={address}')
        yield address, processes[1:]
        left = [process for process in processes if process.poll() is None]
        for process in left:
            process.send_signal(signal.SIGTERM)
        assert {process.wait(timeout=60) for process in left} == {0}
    finally:
        for process in processes:
            process.kill()


def test_workers_elsewhere_make_the_batches_though_one_is_lost(tmp_path):
    layouts.folder(tmp_path / 'data')
    (tmp_path / 'elsewhere').mkdir()
    with _served(tmp_path / 'elsewhere') as (address, workers):
        # The path of the data is that of this process's folder.
        process = start('finetune', *FLAGS, f'--data_service={address}',
                        '--data_dir=data', f'--run_dir={tmp_path / "run"}',
                        cwd=tmp_path)
        wait_for(tmp_path / 'run/metrics.csv', process, lines=2)
        workers[0].kill()
        out, err = process.communicate(timeout=300)
        code = process.returncode
    assert code == 0, err
    assert f'--data_service={address} gives the examples in another order' in (
        out)
    assert files.read_json(tmp_path / 'run/result.json')['data_service'] is True
    assert files.read_json(tmp_path / 'run/data_service.json') == {
        'at_step': 0, 'by': address}
    assert [row['step'] for row in files.read_csv(
        tmp_path / 'run/metrics.csv')][-1] == '100'


@pytest.mark.quick
def test_a_malformed_address_is_one_line(tmp_path):
    layouts.folder(tmp_path / 'data')
    code, _, err = run(
        'finetune', *FLAGS, '--data_service=nonsense',
        f'--data_dir={tmp_path / "data"}', f'--run_dir={tmp_path / "run"}')
    assert code == 2 and 'give HOST:PORT' in err, err
    assert 'Traceback' not in err
    code, _, err = run('data_service', '--data_service=nonsense')
    assert code == 2 and 'give HOST:PORT' in err, err


def test_a_worker_that_waits_for_its_dispatcher_can_be_stopped(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(('localhost', 0))
        address = f'localhost:{nobody.getsockname()[1]}'
        worker = start('data_service', f'--data_service={address}',
                       cwd=tmp_path)
        end = time.monotonic() + 100
        while f'waiting for {address}' not in worker.said():
            assert worker.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        worker.send_signal(signal.SIGTERM)
        _, err = worker.communicate(timeout=30)  # It would wait for 60 s.
    assert worker.returncode == -signal.SIGTERM and not err, err
