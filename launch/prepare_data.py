r"""Explains how to get a data set, checks it, builds the files for training.

  python launch/prepare_data.py --set=ade20k --data_dir=DATA
  python launch/prepare_data.py --set=ade20k --data_dir=DATA --build
  python launch/prepare_data.py --set=ade20k --data_dir=DATA --check

Without --build or --check it says what to download, and from where; it never
downloads a data set itself. The same command continues a build that was
stopped; imagenet2012 and cityscapes start over. A check prints a line for each
problem, and exits with 2 if there is one.

  python launch/prepare_data.py --set=r50_vit_b16 --data_dir=DATA

Published weights are downloaded, or what is missing of them, and checked.
--set=keras/NAME are the ImageNet weights of that model of keras.applications,
which Keras downloads: --init_encoder=DATA/weights/NAME.npz takes them.
"""

import os

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('set', '', 'cityscapes, cityscapes_folder, ade20k, '
                    'ade20k_folder, pascal_context, pascal_context_folder, '
                    'imagenet2012 or imagenet21k; or weights: r50_vit_b16, or '
                    'keras/NAME such as keras/EfficientNetV2B0.')
flags.DEFINE_string(
    'data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
    'Root folder of the data sets; else $DDEP_DATA_DIR.')
flags.DEFINE_string('manual_dir', '', 'Folder of the archives that TFDS '
                    'unpacks itself; else DATA_DIR/manual.')
flags.DEFINE_bool('build', False, 'Build the TFDS or TFRecord files, or '
                  'continue to build them.')
flags.DEFINE_bool('check', False, 'Check the data that is there.')
flags.DEFINE_bool('count_check', True, 'Numbers of examples and image '
                  'sizes must be the official ones.')
flags.DEFINE_bool('decode', True, 'A check decodes every image and mask.')
flags.DEFINE_integer('shard_examples', None, 'Approximate number of '
                     'examples per file; else about 100 MB. Not of '
                     'imagenet2012 and cityscapes.', lower_bound=1)
flags.DEFINE_multi_string('gin_param', [], 'NAME=VALUE, bound over the gin '
                          'file of the set, for --check. Repeatable.')
cli.define_image_flags()
FLAGS = flags.FLAGS
# The stage in which a set that decodes these labels is read.
_STAGES = {'class': 'classify', 'mask': 'segment'}


def main() -> None:
    from ddep_tf import configure, errors, files
    from ddep_tf.data.prepare import official_sets, published_weights
    from ddep_tf.models import registry
    name = FLAGS.set
    if name in published_weights.FILES:
        _bring_weights(published_weights.FILES[name])
        return
    if name.startswith(registry.KERAS):
        _bring_keras_weights()
        return
    stage = _STAGES[official_sets.guide(name).decodes]
    manual_dir = FLAGS.manual_dir or files.path(FLAGS.data_dir, 'manual')
    if not FLAGS.build and not FLAGS.check:
        if files.is_bucket(FLAGS.data_dir):
            print('Do this with a --data_dir on a local disk, then copy what '
                  'was built: gcloud storage cp -r\n')
        print('\n'.join(official_sets.text(name, FLAGS.data_dir, manual_dir)))
        return
    run, _ = configure.load_run(stage, [f'data/{name}.gin'], FLAGS.gin_param)
    cli.start_worker(FLAGS.max_image_pixels)
    from ddep_tf.data.prepare import prepare
    if FLAGS.build:
        folder = prepare.build(name, FLAGS.data_dir, manual_dir,
                               FLAGS.count_check, FLAGS.shard_examples)
        print(f'{name}: built in {folder}')
    if FLAGS.check:
        problems = 0
        for wrong, line in prepare.check(
                name, run.data[0], FLAGS.data_dir, FLAGS.count_check,
                FLAGS.decode):
            print(line, flush=True)
            problems += wrong
        if problems:
            raise errors.UserError(f'{name}: {problems} problem'
                                   f'{"s" * (problems > 1)} named above: fix '
                                   'them and check again')


def _bring_weights(file):
    from ddep_tf.data.prepare import published_weights
    if FLAGS.check:
        published_weights.check(file, FLAGS.data_dir)
    else:
        published_weights.fetch(file, FLAGS.data_dir)
    print(f'{FLAGS.set}: {FLAGS.data_dir}/{file.path} ok ({file.license}, '
          f'{file.url})')


def _bring_keras_weights():
    cli.import_tensorflow()
    from ddep_tf.models import keras_weights
    bring = keras_weights.check if FLAGS.check else keras_weights.fetch
    path = bring(FLAGS.set, FLAGS.data_dir)
    print(f'{FLAGS.set}: {path} ok (licenses: '
          'https://keras.io/api/applications)')


if __name__ == '__main__':
    cli.main(main)
