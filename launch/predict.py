r"""Segments images, a file or a folder, with a finished run.

  python launch/predict.py --run_dir=runs/segment --input=street.jpg --output_dir=out

Writes NAME.png, train ids, and NAME_colour.png beside it.
"""

from absl import flags
import cli

cli.define_device_flags()
flags.DEFINE_multi_string('input', [], 'An image or a folder. Repeatable.')
flags.DEFINE_string('output_dir', 'predictions', 'Where the masks go.')
flags.DEFINE_bool('flip', False, 'Average with the mirror image.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors, specs
    if not FLAGS.run_dir or not FLAGS.input:
        raise errors.UserError('--run_dir (a finished run) and --input (an '
                               'image or a folder) are needed')
    strategy = cli.start_tensorflow()
    from ddep_tf import predict
    predict.predict_files(FLAGS.run_dir, FLAGS.input, FLAGS.output_dir,
                          specs.EvalSpec(flip=FLAGS.flip), strategy)


if __name__ == '__main__':
    cli.main(main)
