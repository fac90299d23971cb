r"""From a folder of images, some of them labelled, to a model, by one command.

  python launch/quickstart.py --data_dir=DATA
  python launch/quickstart.py --data_dir=DATA --compare

DATA has images/SPLIT and masks/SPLIT, as launch/import_labels.py writes them;
images/unlabelled serves the denoising. This checks the folder, chooses an
experiment for it and for this machine, writes it as RUN_DIR/quickstart.gin,
says how long it will take, and runs it: denoising on all images, fine-tuning
on the labelled ones, evaluation, report. The same command goes on where it was
stopped, with the gin file as it then is.
"""

import os
import shlex
import sys

from absl import flags

from ddep_tf import cli

flags.DEFINE_string(
    'data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
    'The folder, with images/SPLIT and masks/SPLIT; else $DDEP_DATA_DIR.')
flags.DEFINE_string('run_dir', 'runs/quickstart', 'Folder of the experiment.')
flags.DEFINE_string('encoder', 'auto', 'keras/NAME, with its ImageNet weights, '
                    'which Keras downloads; small or tiny, from random '
                    'weights; auto takes keras/EfficientNetV2B0, or small '
                    'where there is no network.')
flags.DEFINE_bool('compare', False, 'Fine-tune from a random decoder too, to '
                  'see what the denoising brings.')
flags.DEFINE_bool('dry_run', False, 'Check, choose, estimate, and stop there.')
cli.define_image_flags()
cli.define_track_flag()
cli.define_reuse_flag()
FLAGS = flags.FLAGS
GIN_FILE = 'quickstart.gin'


def main():
    from ddep_tf import configure, files
    from ddep_tf.experiments import quickstart
    found = _check()
    images, machine = quickstart.look(found), quickstart.this_machine()
    path = files.path(FLAGS.run_dir, GIN_FILE)
    command = _command(path)
    is_there = path.exists()
    if is_there:
        print(f'{path}: taken as it is')
    else:
        choice = quickstart.choose(images, machine, *_encoder(), FLAGS.compare)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, quickstart.gin_text(
            choice, images, machine, [shlex.join(command)]))
        print(f'{path}: written, change it as you like')
    spec, stages, _ = configure.load_experiment([str(path)], [],
                                                FLAGS.data_dir)
    if is_there:
        _check_flags(path, spec, stages)
    print(_estimate(spec, stages, images, machine))
    if FLAGS.dry_run:
        return
    print(f'$ {shlex.join(command)}', flush=True)
    os.execv(sys.executable, command)


def _check_flags(path, spec, stages):
    """UserError if flags ask for what the file, taken as it is, does not do."""
    from ddep_tf import errors
    run = next(run for templates in stages.values()
               for run in templates.values())
    ignored = []
    if FLAGS.encoder not in ('auto', run.encoder.name):
        ignored.append('--encoder')
    if FLAGS.compare and len(spec.arms) == 1:
        ignored.append('--compare')
    if ignored:
        raise errors.UserError(
            f'{" and ".join(ignored)}: {path} is there, and says otherwise: '
            'give another --run_dir, '
            + (f'maybe with an edited copy of the file in it, and '
               f'--reuse={FLAGS.run_dir}' if _has_run() else
               'or edit or remove the file'))


def _has_run():
    from ddep_tf import files
    from ddep_tf.experiments import exp_folder
    return exp_folder.is_started(files.path(FLAGS.run_dir))


def _check():
    """Returns the findings. UserError if there is a problem."""
    from ddep_tf import configure, errors, files
    from ddep_tf.data.checking import check_folder
    files.require_local(FLAGS.data_dir, '--data_dir',
                        'copy the folder to a local disk')
    run, _ = configure.load_run('segment', ['data/folder.gin'], [],
                                FLAGS.data_dir)
    found = check_folder.check(run.data[0], FLAGS.data_dir)
    for line in (*found.warnings, *found.problems):
        print(line)
    count = len(found.problems)
    if count:
        raise errors.UserError(
            f'{FLAGS.data_dir}: {count} problem{"s" * (count > 1)} named above '
            f'(python launch/check_data.py --data_dir={FLAGS.data_dir} shows '
            'them): solve them and start again')
    return found


def _encoder():
    """Returns (name, file of its weights below the data folder, or '')."""
    from ddep_tf import errors
    from ddep_tf.experiments import quickstart
    from ddep_tf.models import registry
    name = quickstart.PRETRAINED if FLAGS.encoder == 'auto' else FLAGS.encoder
    if not name.startswith(registry.KERAS):
        if name not in (quickstart.FROM_NOTHING, 'tiny'):
            raise errors.UserError('--encoder must be auto, keras/NAME, small '
                                   f'or tiny, got {name!r}')
        return name, ''
    cli.import_tensorflow()
    from ddep_tf.models import keras_weights
    try:
        path = keras_weights.fetch(name, FLAGS.data_dir)
    except errors.UserError as error:
        if FLAGS.encoder != 'auto':
            raise
        print(f'{error}\ntaking {quickstart.FROM_NOTHING} with random weights '
              'instead')
        return quickstart.FROM_NOTHING, ''
    return name, f'{path.parent.name}/{path.name}'


def _command(path):
    script = os.path.relpath(os.path.join(os.path.dirname(__file__),
                                          'experiment.py'))
    limit = FLAGS.max_image_pixels
    return [sys.executable, script, f'--gin_file={path}',
            f'--data_dir={FLAGS.data_dir}', f'--run_dir={FLAGS.run_dir}',
            *(f'--reuse={folder}' for folder in FLAGS.reuse),
            *([f'--max_image_pixels={limit}'] if limit else []),
            *([f'--track={FLAGS.track}'] if FLAGS.track else []),
            *(['--parallel=auto'] if FLAGS.compare else [])]


def _estimate(spec, stages, images, machine):
    cli.import_tensorflow()  # Operations are counted in TensorFlow's graph.
    from ddep_tf.experiments import duration, plan
    graph = plan.Plan(spec, stages, FLAGS.run_dir, FLAGS.data_dir)
    minutes = duration.seconds(
        graph, duration.device_flops(machine.gpus), images.val,
        images.test or images.val, images.height * images.width) / 60
    names = ', '.join(graph.runs)
    return (f'{graph.count()} runs ({names}): about {max(1, round(minutes))} '
            'minutes, or up to twice as long')


if __name__ == '__main__':
    cli.main(main)
