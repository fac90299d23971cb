r"""Says how two finished runs differ, part by part of their networks.

  python launch/compare_runs.py --run_dir=runs/segment --other=runs/denoise

Prints the norms of the kernels, how far apart they are, and how similar what
the parts give of val images is (linear CKA).
"""

from absl import flags

from ddep_tf import cli, errors

cli.define_device_flags()
flags.DEFINE_string('other', '', 'The run folder to compare it with.')
flags.DEFINE_integer('count', 16, 'Number of val images, center crops.',
                     lower_bound=1)
FLAGS = flags.FLAGS


def main():
    if not FLAGS.other:
        raise errors.UserError('--other is missing')
    cli.named_run()  # Or refuse it before TensorFlow starts.
    strategy = cli.start_tensorflow()
    from ddep_tf.evaluation import similarity
    print(similarity.table(similarity.compare(
        FLAGS.run_dir, FLAGS.other, FLAGS.data_dir, strategy, FLAGS.count)))


if __name__ == '__main__':
    cli.main(main)
