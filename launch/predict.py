r"""Segments images, a file or a folder, with a finished run.

  python launch/predict.py --run_dir=runs/segment --input=street.jpg \
      --output_dir=out

Writes NAME.png, train ids, and NAME_colour.png beside it. How images are
segmented stands in the run's EvalSpec; gin binds over it:
EvalSpec.flip, scales, tile, overlap.
"""

from absl import flags

from ddep_tf import cli

cli.define_config_flags()
cli.define_device_flags()
flags.DEFINE_multi_string('input', [], 'An image or a folder. Repeatable.')
flags.DEFINE_string('output_dir', 'predictions', 'Where the masks go.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    if not FLAGS.input:
        raise errors.UserError('--input is missing: name an image or a folder')
    run = cli.finished_run()
    if FLAGS.dry_run:
        print(f'{FLAGS.run_dir}: {len(FLAGS.input)} inputs to '
              f'{FLAGS.output_dir}, {run.evaluation}')
        return
    strategy = cli.start_tensorflow()
    from ddep_tf.evaluation import predict
    predict.predict_files(FLAGS.run_dir, run, FLAGS.input, FLAGS.output_dir,
                          strategy)


if __name__ == '__main__':
    cli.main(main)
