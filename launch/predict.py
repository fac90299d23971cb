r"""Segments photos and videos with a finished run.

  python launch/predict.py --run_dir=runs/segment --input=street.jpg \
      --output_dir=out
  python launch/predict.py --run_dir=runs/segment --input=photos \
      --input='more/**/*.tif' --input=drive.mp4 --frame_step=10 \
      --write=overlay,legend,summary

--write names what is wanted, by default ids,colour:
  ids            NAME.png, 8-bit gray: the train id of each pixel
  colour         NAME_colour.png: the color of its class
  palette        NAME_palette.png: ids, with the colors as their palette
  overlay        NAME_overlay.png: the colors over the image
  label_ids      NAME_label_ids.png: the ids that the masks of the run's data
                 use (Cityscapes: labelIds)
  probabilities  NAME_probabilities.npz: probabilities, [height, width, classes]
                 float16, and class_names
  legend         legend.png: names and colors of the classes
  summary        summary.csv: pixels of each class in each image
The frames of NAME.mp4 are NAME/000000 and so on.

How images are segmented stands in the run's EvalSpec; gin binds over it:
EvalSpec.flip, scales, tile, overlap.
"""

from absl import flags

from ddep_tf import cli

cli.define_config_flags()
cli.define_device_flags()
flags.DEFINE_multi_string(
    'input', [], 'An image or a video; a folder, of which JPEG and PNG are '
    "taken; or a glob such as 'photos/**/*.tif'. Repeatable.")
flags.DEFINE_string('output_dir', 'predictions', 'Where the masks go.')
flags.DEFINE_list('write', ['ids', 'colour'], 'What is written, of the list '
                  'above.')
flags.DEFINE_integer('frame_step', 1, 'Of videos, every so many frames one is '
                     'segmented.', lower_bound=1)
flags.DEFINE_bool('strict', False, 'Stop at the first image that cannot be '
                  'read; else it is skipped, and named at the end.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    if not FLAGS.input:
        raise errors.UserError('--input is missing: name an image, a video, a '
                               'folder or a glob')
    if FLAGS.strategy == 'multi_worker':
        raise errors.UserError(
            '--strategy=multi_worker: each worker would write the same files: '
            'give each machine a part of the images and --strategy=mirrored')
    run = cli.finished_run()
    if FLAGS.dry_run:
        from ddep_tf.data import photos
        count = len(photos.find(FLAGS.input, FLAGS.output_dir))
        print(f'{FLAGS.run_dir}: {count} images and videos to '
              f'{FLAGS.output_dir}, {run.evaluation}')
        return
    strategy = cli.start_tensorflow()
    from ddep_tf.evaluation import predict
    predict.predict_files(FLAGS.run_dir, run, FLAGS.input, FLAGS.output_dir,
                          strategy, FLAGS.write, FLAGS.strict,
                          FLAGS.frame_step)


if __name__ == '__main__':
    cli.main(main)
