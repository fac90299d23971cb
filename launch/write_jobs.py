r"""Writes an experiment's runs as jobs for Slurm, Kubernetes or JobSet.

  python launch/write_jobs.py --gin_file=experiments/camvid_small.gin \
    --engine=slurm --jobs_dir=jobs --gpus=1 --hours=4 --partition=gpu
  bash jobs/submit.sh

Each job does one run of launch/experiment.py. When all are done, the same
command with the same flags writes the tables and the report.
"""

import dataclasses
import os
import pathlib
import sys

from absl import flags

from ddep_tf import cli, errors, files, jobs

cli.define_config_flags()
cli.define_device_flags()
cli.define_track_flag()
cli.define_reuse_flag()
flags.DEFINE_enum('engine', 'slurm', list(jobs.SCHEDULERS),
                  'The scheduler that runs the jobs.')
flags.DEFINE_string('jobs_dir', 'jobs', 'Folder for the job files.')
_HELP = {
    'cpus': 'Processor cores per host.',
    'memory_gb': 'Memory per host, GiB.',
    'gpus': 'GPUs per host.',
    'hosts': 'Machines that share one run (slurm, jobset).',
    'max_parallel': 'Runs at a time; 0 is no limit (slurm, kubernetes).',
    'retries': 'Restarts after a failure; of slurm, after a lost worker.',
    'grace_seconds': 'Time to save the state before a kill.',
    'workdir': "Folder to start in; else this one (slurm) or the image's.",
    'hours': 'Time limit of one job; a run that needs longer is queued again '
             '(slurm).',
    'max_array': 'Tasks per array (slurm).',
    'partition': 'Of the cluster (slurm).',
    'account': 'Of the cluster (slurm).',
    'qos': 'Of the cluster (slurm).',
    'image': 'Container image with this project (kubernetes, jobset).',
    'claim': 'PersistentVolumeClaim of data and runs; not needed where both '
             'are gs:// (kubernetes, jobset).',
    'mount': 'Where the claim is mounted (kubernetes, jobset).',
    'wait_hours': 'How long a run waits for what it needs (kubernetes).',
    'tpu_accelerator': "GKE's name of the TPU (kubernetes, jobset).",
    'tpu_topology': 'Chips of the TPU slice, such as 2x4 (kubernetes, jobset).',
}
for _field in dataclasses.fields(jobs.Resources):
    if _field.name in _HELP:
        _define = (flags.DEFINE_integer if isinstance(_field.default, int)
                   else flags.DEFINE_string)
        _define(_field.name, getattr(jobs.Resources, _field.name),
                _HELP[_field.name])
FLAGS = flags.FLAGS


def main() -> None:
    cli.refuse(['grace'], 'is --grace_seconds here')
    from ddep_tf import configure
    from ddep_tf.experiments import plan
    spec, stages, _ = configure.load_experiment(FLAGS.gin_file,
                                                FLAGS.gin_param)
    run_dir = FLAGS.run_dir or f'runs/{spec.name}'
    files.path(run_dir)  # Refuses schemes other than gs://.
    if FLAGS.engine != 'slurm':
        _check_shared(run_dir)
    elif not files.is_bucket(run_dir):
        run_dir = str(files.path(run_dir).absolute())
    whole = plan.Plan(spec, stages, run_dir, FLAGS.data_dir)
    arguments = (FLAGS.engine, spec.name, list(whole.runs.values()),
                 _command(run_dir), _resources(run_dir))
    if FLAGS.dry_run:
        for file, text in jobs.texts(*arguments).items():
            print(f'--- {file}\n{text}')
    else:
        for path in jobs.write(*arguments, FLAGS.jobs_dir):
            print(path)
    if FLAGS.engine != 'slurm' and not (
            files.is_bucket(FLAGS.data_dir) or _is_on_claim(FLAGS.data_dir)):
        print(f'--data_dir {FLAGS.data_dir} is neither on gs:// nor on the '
              'claim: what is read from there must be in the image',
              file=sys.stderr)


def _check_shared(run_dir):
    """UserError unless the pods find run_dir and data_dir: a pod's own disk is
    lost with it."""
    on_claim = list(filter(_is_on_claim, (run_dir, FLAGS.data_dir)))
    if not files.is_bucket(run_dir) and run_dir not in on_claim:
        mount = pathlib.PurePosixPath(FLAGS.mount)
        raise errors.UserError(
            f'--run_dir {run_dir} is not on the claim, which the pods see as '
            f'{mount}: give --run_dir={mount / run_dir.lstrip("/")} or one of '
            'gs://, or correct --mount')
    if on_claim and not FLAGS.claim:
        raise errors.UserError(f'--claim is missing: {on_claim[0]} lies on it; '
                               'with data and runs on gs:// there is no need')


def _is_on_claim(path):
    path = pathlib.PurePosixPath(path)
    return pathlib.PurePosixPath(FLAGS.mount) in (path, *path.parents)


def _command(run_dir):
    """Returns the command of launch/experiment.py with these flags."""
    start = ['python', 'launch/experiment.py']
    if FLAGS.engine == 'slurm':  # Nodes share this machine's file system.
        start = [sys.executable, str(pathlib.Path(__file__).resolve().
                                     with_name('experiment.py'))]
    strategy = FLAGS.strategy
    if strategy == 'auto' and FLAGS.tpu_accelerator:
        strategy = 'tpu'
    elif strategy == 'auto' and FLAGS.hosts > 1:
        strategy = 'multi_worker'
    if FLAGS.hosts > 1 and strategy not in ('multi_worker', 'tpu'):
        raise errors.UserError(
            f'--strategy={strategy} trains on one host, and --hosts is '
            f'{FLAGS.hosts}: leave --strategy out, or give multi_worker or tpu')
    given = [f'--{name}={FLAGS[name].value}'
             for name in ('tpu', 'zone', 'project', 'track',
                          'max_image_pixels')
             if FLAGS[name].value]
    return [*start, *(f'--gin_file={file}' for file in FLAGS.gin_file),
            *(f'--gin_param={text}' for text in FLAGS.gin_param),
            *(f'--reuse={folder}' for folder in FLAGS.reuse),
            f'--run_dir={run_dir}', f'--data_dir={FLAGS.data_dir}',
            f'--strategy={strategy}', *given,
            f'--grace={FLAGS.grace_seconds}']


def _resources(run_dir):
    given = {name: FLAGS[name].value for name in _HELP}
    if FLAGS.engine == 'slurm':
        given['workdir'] = given['workdir'] or os.getcwd()
        given['logs'] = (f'{files.path(FLAGS.jobs_dir).absolute()}/logs'
                         if files.is_bucket(run_dir) else f'{run_dir}/logs')
    return jobs.Resources(**given)


if __name__ == '__main__':
    cli.main(main)
