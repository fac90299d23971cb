r"""Exports a finished run's weights as a published .npz file.

  python launch/export.py --run_dir=runs/encoder --output=encoder.npz

Of a classify run, --part=encoder has the whole published key set, head too;
of other runs, the encoder's. --part=all adds decoder/... and head/... The
.json beside it is read with it: keep the two together.
"""

from absl import flags

from ddep_tf import cli

flags.DEFINE_string('run_dir', '', 'Finished run.')
flags.DEFINE_string('output', '', '.npz file to write.')
flags.DEFINE_enum('part', 'encoder', ['encoder', 'all'], 'What is written.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors
    from ddep_tf.runtime import export
    for name in ('run_dir', 'output'):
        if not FLAGS[name].value:
            raise errors.UserError(f'--{name} is missing')
    keys = export.export(FLAGS.run_dir, FLAGS.output, FLAGS.part)
    print(f'{FLAGS.output}: {len(keys)} arrays')


if __name__ == '__main__':
    cli.main(main)
