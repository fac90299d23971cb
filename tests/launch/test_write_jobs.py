"""The command that writes jobs, as a user types it."""

import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ['--gin_file=experiments/demo_shapes.gin',
         "--gin_param=ExperimentSpec.arms=('ddep', 'scratch')"]
POD = ['--image=a/b:1', '--claim=c', '--run_dir=/mnt/ddep/runs/demo']


def _run(*args, cwd=ROOT):
    done = subprocess.run(
        [sys.executable, str(ROOT / 'launch' / 'write_jobs.py'), *SMALL,
         *args], capture_output=True, text=True, cwd=cwd, check=False)
    return done.returncode, done.stdout, done.stderr


def test_slurm_scripts_name_the_command_by_its_full_path(tmp_path):
    code, out, err = _run('--jobs_dir=jobs', '--run_dir=my run', '--gpus=1',
                          cwd=tmp_path)
    assert code == 0, err
    paths = [tmp_path / line for line in out.splitlines()]
    assert paths[-1] == tmp_path / 'jobs' / 'submit.sh'
    for path in paths:
        subprocess.run(['bash', '-n', path], check=True)
    script = paths[0].read_text()
    assert f'{sys.executable} {ROOT}/launch/experiment.py ' in script
    assert f"'--run_dir={tmp_path}/my run'" in script
    assert f'--output="{tmp_path}/my run/logs/' in script
    assert f'\ncd -- {tmp_path} ' in script


@pytest.mark.parametrize('engine, flags, strategy', [
    ('kubernetes', [], 'auto'), ('jobset', ['--hosts=2'], 'multi_worker'),
    ('jobset', ['--tpu_accelerator=tpu-v5-lite-podslice',
                '--tpu_topology=2x4'], 'tpu'),
    ('jobset', ['--tpu_accelerator=tpu-v5-lite-podslice', '--hosts=4',
                '--tpu_topology=4x4'], 'tpu'),
    ('kubernetes', ['--strategy=mirrored'], 'mirrored')])
def test_pods_run_the_command_of_the_image(tmp_path, engine, flags, strategy):
    code, out, err = _run(f'--engine={engine}', *POD, *flags,
                          f'--jobs_dir={tmp_path}')
    assert code == 0 and '--data_dir data is neither on gs:// nor' in err, err
    for line in out.splitlines():
        text = pathlib.Path(line).read_text()
        yaml.safe_load(text)
        words = re.findall(r'^ *- bash\n(?: +- (?:python|launch|--).*\n)+',
                           text, re.M)
        assert words and all(
            '- launch/experiment.py\n' in w and f'--strategy={strategy}\n' in w
            and f'- {SMALL[1]}\n' in w for w in words)


def test_flags_of_the_runs_are_passed_on(tmp_path):
    flags = ['--max_image_pixels=500', '--track=mlflow', '--reuse=a',
             '--grace_seconds=7', f'--jobs_dir={tmp_path}']
    code, out, err = _run(*flags)
    assert code == 0, err
    script = pathlib.Path(out.splitlines()[0]).read_text()
    for flag in (*flags[:3], '--grace=7'):
        assert f' {flag}' in script
    code, _, err = _run(*flags, '--grace=7')
    assert code == 2 and '--grace_seconds' in err


def test_a_dry_run_prints_and_writes_nothing(tmp_path):
    code, out, _ = _run('--dry_run', '--run_dir=r', '--jobs_dir=j',
                        cwd=tmp_path)
    assert code == 0 and '--- submit.sh\n#!/bin/bash\n' in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('engine', ['slurm', 'kubernetes', 'jobset'])
def test_data_and_runs_in_a_bucket_need_no_claim(tmp_path, engine):
    code, out, err = _run(
        f'--engine={engine}', '--run_dir=gs://bucket/demo',
        '--data_dir=gs://bucket/data', '--jobs_dir=jobs',
        *(['--image=a'] if engine != 'slurm' else []), cwd=tmp_path)
    assert code == 0, err
    text = ''.join((tmp_path / line).read_text() for line in out.splitlines())
    assert '--run_dir=gs://bucket/demo' in text
    assert '--data_dir=gs://bucket/data' in text
    assert 'persistentVolumeClaim' not in text and 'volumeMounts' not in text
    assert (f'--output="{tmp_path}/jobs/logs/' in text) == (engine == 'slurm')
    assert not list(tmp_path.glob('gs:*'))


def test_nodes_of_slurm_train_together(tmp_path):
    code, out, err = _run('--hosts=2', '--run_dir=r', '--jobs_dir=j',
                          cwd=tmp_path)
    assert code == 0, err
    for line in out.splitlines()[:-1]:
        text = (tmp_path / line).read_text()
        subprocess.run(['bash', '-n', tmp_path / line], check=True)
        assert '--strategy=multi_worker ' in text and '\nsrun ' in text


@pytest.mark.parametrize('args, named', [
    (['--engine=cron'], 'engine'),
    (['--engine=kubernetes', '--claim=c', '--run_dir=/mnt/ddep/x'], '--image'),
    (['--engine=kubernetes', '--image=a', '--claim=c'], '--run_dir'),
    (['--engine=kubernetes', '--image=a', '--run_dir=/mnt/ddep/x'], '--claim'),
    (['--engine=jobset', '--image=a', '--run_dir=gs://b/x',
      '--data_dir=/mnt/ddep/data'], '--claim'),
    (['--run_dir=s3://b/x'], 's3://b/x'),
    (['--engine=jobset', *POD, '--run_dir=/tmp/x'], '--run_dir=/mnt/ddep/tmp'),
    (['--engine=jobset', *POD, '--hosts=3', '--tpu_accelerator=v',
      '--tpu_topology=4x4'], '--tpu_topology'),
    (['--hosts=2', '--strategy=mirrored'], '--strategy=mirrored'),
    (['--hours=0'], '--hours'), (['--run_dir=50%'], '%'),
    (['--jobs_dir=/dev/null/x'], '--jobs_dir'),
    (['--gin_param=ExperimentSpec.name="a b"'], 'a b')])
def test_a_mistake_is_one_line_and_exit_code_2(args, named):
    code, out, err = _run(*args)
    assert code == 2 and not out, err
    assert named in err and len(err.splitlines()) == 1
