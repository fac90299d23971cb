r"""Runs the whole chain on the real network, a few steps each, and measures it.

  python launch/benchmark.py --data_dir=DATA --gin_file=data/camvid.gin \
      --output_dir=results/r50_chain

Published .npz -> denoise -> fine-tune -> killed and resumed -> evaluated, each
by a command of its own: seconds and peak memory of every one. Without
--weights, a file of the published layout with random numbers takes the place
of the real one.
"""

import os
import tempfile

from absl import flags

from ddep_tf import cli

flags.DEFINE_multi_string('gin_file', [], 'The data set.')
flags.DEFINE_multi_string('gin_param', [], 'Bound in every command.')
flags.DEFINE_string('data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
                    'Root folder of the data sets; else $DDEP_DATA_DIR.')
flags.DEFINE_string('weights', '', 'R50+ViT-B_16.npz; else random numbers.')
flags.DEFINE_string('output_dir', '', 'Where README.md and commands.csv go.')
flags.DEFINE_string('work_dir', '', 'Folder of the runs; else a temporary one.')
flags.DEFINE_integer('steps', 4, 'Of each stage.')
flags.DEFINE_integer('batch_size', 2, 'Images per step.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors, files
    from ddep_tf.experiments import benchmark
    if not FLAGS.output_dir or not FLAGS.gin_file:
        raise errors.UserError('--output_dir and --gin_file are needed: where '
                               'the numbers go, and a file of gin/data')
    settings = benchmark.Settings(
        tuple(FLAGS.gin_file), tuple(FLAGS.gin_param), FLAGS.data_dir,
        FLAGS.weights, FLAGS.steps, FLAGS.batch_size)
    with tempfile.TemporaryDirectory() as temporary:
        work_dir = files.path(FLAGS.work_dir or temporary)
        work_dir.mkdir(parents=True, exist_ok=True)
        chain = benchmark.Chain(settings, work_dir)
        chain.run()
        benchmark.write(chain, files.path(FLAGS.output_dir))


if __name__ == '__main__':
    cli.main(main)
