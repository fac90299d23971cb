r"""Exports a finished run: its weights, or a model that other programs open.

  python launch/export.py --run_dir=runs/encoder --output=encoder.npz

Weights under their published names. Of a classify run, --part=encoder has the
whole published key set, head too; of other runs, the encoder's. --part=all
adds decoder/... and head/... The .json beside it is read with it: keep the two
together.

  python launch/export.py --run_dir=runs/segment --format=onnx --output=street

Writes the folder street/: a model from an image to ids and probabilities, its
facts in model.json, and a card, README.md. It is compared with the run, and
refused where it differs. Images may have any size, or the one of --image_size.
"""

import shlex
import sys

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('run_dir', '', 'Finished run.')
flags.DEFINE_string('output', '', '.npz file to write; a new folder for other '
                    'formats.')
flags.DEFINE_enum('format', 'npz', ['npz', 'keras', 'saved_model', 'onnx',
                                    'litert'], 'What is written.')
flags.DEFINE_enum('part', 'encoder', ['encoder', 'all'],
                  'Of npz: which weights.')
cli.define_image_size_flag('of the images that the model takes; else any.')
flags.DEFINE_multi_string('compare_images', [], 'Images to compare on: files, '
                          'folders, patterns. Else some of the package.')
flags.DEFINE_string('license', 'other', "Of the card: the license's name at "
                    'Hugging Face.')
cli.define_image_flags()
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    for name in ('run_dir', 'output'):
        if not FLAGS[name].value:
            raise errors.UserError(f'--{name} is missing')
    if FLAGS.format == 'npz':
        cli.refuse(['image_size', 'compare_images', 'license'],
                   'is for models that other programs open')
        from ddep_tf.runtime import export
        keys = export.export(FLAGS.run_dir, FLAGS.output, FLAGS.part)
        print(f'{FLAGS.output}: {len(keys)} arrays')
    else:
        cli.refuse(['part'], 'is for --format=npz')
        _export_model(cli.image_size())


def _export_model(image_size):
    cli.start_worker(FLAGS.max_image_pixels)
    from ddep_tf.serving import compare, export
    measured = export.export(
        FLAGS.run_dir, FLAGS.output, FLAGS.format, image_size,
        FLAGS.compare_images, FLAGS.license,
        'python ' + shlex.join(['launch/export.py', *sys.argv[1:]]))
    print(f'{FLAGS.output}: {export.megabytes(FLAGS.output):.1f} MB')
    print(f'{measured.images} images: probabilities differ by at most '
          f'{measured.difference:.1e} ({compare.TOLERANCE:g} is allowed), '
          f'{100 * measured.agreement:.2f} % of the ids agree')
    height, width = measured.size
    print(f'{height} x {width} pixels take {measured.milliseconds:.0f} ms on '
          f'this machine, {measured.run_milliseconds:.0f} ms by the run')


if __name__ == '__main__':
    cli.main(main)
