r"""Evaluates a finished run on a split.

  python launch/evaluate.py --run_dir=runs/segment --split=test \
      --gin_param=EvalSpec.flip=True

How images are segmented stands in the run's EvalSpec; gin binds over it:
EvalSpec.flip, scales, tile, overlap, batch_size, single_scale.
"""

from absl import flags

from ddep_tf import cli

cli.define_config_flags()
cli.define_device_flags()
flags.DEFINE_enum('split', 'test', ['val', 'test'], 'Which split.')
flags.DEFINE_string('output', '', 'JSON file for the numbers.')
flags.DEFINE_string('save_label_ids', '', 'Empty folder for the predictions as '
                    'ID.png, 8-bit gray, with the ids that the masks use '
                    '(Cityscapes: labelIds).')
FLAGS = flags.FLAGS


def main():
    run = cli.finished_run()
    if FLAGS.dry_run:
        print(f'{FLAGS.run_dir}: {FLAGS.split} of {run.data[0].name}, '
              f'{run.evaluation}')
        return
    strategy = cli.start_tensorflow()
    from ddep_tf.evaluation import evaluate
    evaluate.evaluate_run(FLAGS.run_dir, run, FLAGS.data_dir, FLAGS.split,
                          strategy, FLAGS.output, FLAGS.save_label_ids)


if __name__ == '__main__':
    cli.main(main)
