r"""Evaluates a finished run on a split.

  python launch/evaluate.py --run_dir=runs/segment --split=test --flip
"""

from absl import flags
import cli

cli.define_device_flags()
flags.DEFINE_enum('split', 'test', ['val', 'test'], 'Which split.')
flags.DEFINE_multi_float('scale', [1.0], 'Average over these resizings.')
flags.DEFINE_bool('flip', False, 'Average with the mirror image.')
flags.DEFINE_list('tile', [], 'height,width of tiles; else whole images.')
flags.DEFINE_float('overlap', 0.0, 'Part of a tile that neighbours share.')
flags.DEFINE_string('output', '', 'JSON file for the numbers.')
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors, specs
    if not FLAGS.run_dir:
        raise errors.UserError('--run_dir is missing: name a finished run')
    try:
        tile = tuple(int(side) for side in FLAGS.tile)
    except ValueError:
        raise errors.UserError('--tile must be height,width') from None
    spec = specs.EvalSpec(tile=tile, overlap=FLAGS.overlap, flip=FLAGS.flip,
                          scales=tuple(FLAGS.scale))
    strategy = cli.start_tensorflow()
    from ddep_tf import predict
    predict.evaluate_run(FLAGS.run_dir, FLAGS.data_dir, FLAGS.split, spec,
                         strategy, FLAGS.output)


if __name__ == '__main__':
    cli.main(main)
