"""--track, with the real services, where there is no network."""

import struct

import pytest

from ddep_tf import files

from commands import SHORT_EXPERIMENT, TINY, losses, run

pytestmark = pytest.mark.full

EAGER = [*TINY, '--gin_param=segment/RunSpec.steps=3',
         '--gin_param=RunSpec.eager=True']
# Ports on which nobody listens.
NOBODY = {'WANDB_BASE_URL': 'http://localhost:9', 'WANDB_API_KEY': 40 * '0',
          'WANDB_INIT_TIMEOUT': '5',
          'MLFLOW_TRACKING_URI': 'http://localhost:9'}


def _history(path):
    """Returns the rows of a small file of wandb: [{name: JSON text}]."""
    from wandb.proto import wandb_internal_pb2
    data, place, rows = path.read_bytes(), 7, []
    assert len(data) < 2 ** 15  # So that each record is in one piece.
    while place < len(data):
        _, length, kind = struct.unpack_from('<IHB', data, place)
        assert kind == 1
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data[place + 7:place + 7 + length])
        place += 7 + length
        if record.HasField('history'):
            rows.append({item.key or item.nested_key[0]: item.value_json
                         for item in record.history.item})
    return rows


def test_wandb_offline(tmp_path):
    pytest.importorskip('wandb')
    code, _, err = run('finetune', *EAGER, '--track=wandb',
                       f'--run_dir={tmp_path}', WANDB_MODE='offline')
    assert code == 0, err
    path, = tmp_path.glob('wandb/offline-run-*/run-*.wandb')
    found = {int(row['step']): float(row['train/loss'])
             for row in _history(path) if 'train/loss' in row}
    assert found == dict(enumerate(losses(tmp_path), 1))


def test_mlflow_follows_the_workers_of_an_experiment(tmp_path):
    mlflow = pytest.importorskip('mlflow')
    store = f'sqlite:///{tmp_path}/mlflow.db'
    exp_dir = tmp_path / 'exp'
    code, _, err = run(
        'experiment', '--gin_file=experiments/demo_shapes.gin',
        f'--run_dir={exp_dir}', '--parallel=2', '--track=mlflow',
        *(f'--gin_param={param}' for param in (
            *SHORT_EXPERIMENT, 'denoise/RunSpec.steps=2',
            'segment/RunSpec.steps=2', 'segment/RunSpec.eval_every=1',
            'RunSpec.eager=True')), MLFLOW_TRACKING_URI=store)
    assert code == 0, err
    client = mlflow.MlflowClient(store)
    found = client.search_runs(
        [client.get_experiment_by_name('ddep_tf').experiment_id])
    results = {path.parent.name: files.read_json(path)
               for path in exp_dir.glob('runs/*/result.json')}
    assert len(found) == len(results) == 4
    for one in found:
        assert one.info.status == 'FINISHED'
        assert one.data.tags['group'] == 'demo_shapes'
        assert one.data.metrics['final/val'] == results[
            one.info.run_name]['val']


@pytest.mark.parametrize('service', ['wandb', 'mlflow'])
def test_without_a_network_a_run_trains(tmp_path, service):
    pytest.importorskip(service)
    code, out, err = run('finetune', *EAGER, f'--track={service}',
                         f'--run_dir={tmp_path}', **NOBODY)
    assert code == 0, err
    assert (out + err).count(f'--track={service} fails') == 1
    assert len(losses(tmp_path)) == 3
