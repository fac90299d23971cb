r"""Measures speed and memory here, or the whole chain on the real network.

  python launch/benchmark.py --what=denoise --encoder=r50_vit_b16 --width=1 \
      --batch=4 --size=224 --precision=float32 --json

Random weights, generated images: seconds of a training step, of its input, of
an evaluation or of a prediction, the peak memory, and what is reached of a
product of matrices. One JSON line, or a table.

  python launch/benchmark.py --what=growth --output_dir=results/growth

Time and memory of a step of denoising at three sizes and three batches, each
in a process of its own, with lines fitted to them.

  python launch/benchmark.py --data_dir=DATA --gin_file=data/camvid.gin \
      --output_dir=results/r50_chain

Published .npz -> denoise -> fine-tune -> killed and resumed -> evaluated, each
by a command of its own: seconds and peak memory of every one. Without
--weights, a file of the published layout with random numbers takes the place
of the real one.
"""

import contextlib
import json
import os
import sys
import tempfile

from absl import flags

from ddep_tf import cli, errors, files, specs

# The stage whose network and input are measured.
STAGES = {'denoise': specs.DENOISE, 'segment': specs.SEGMENT,
          'input': specs.DENOISE, 'evaluate': specs.SEGMENT,
          'predict': specs.SEGMENT}

flags.DEFINE_enum('what', 'chain', ['chain', 'growth', *STAGES],
                  'What is measured.')
flags.DEFINE_multi_string('gin_file', [], 'Of the chain, the data set; else '
                          'read before --gin_param.')
flags.DEFINE_multi_string('gin_param', [], 'Bound in every command; not for '
                          '--what=growth.')
flags.DEFINE_integer('steps', None, 'Of each stage of the chain, 4; else '
                     'measured after the warm-up, 5.', lower_bound=1)
flags.DEFINE_string('data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
                    'Chain: root folder of the data sets; else '
                    '$DDEP_DATA_DIR.')
flags.DEFINE_string('weights', '', 'Chain: R50+ViT-B_16.npz; else random '
                    'numbers.')
flags.DEFINE_string('output_dir', '', 'Chain, growth: where README.md and '
                    'the table go.')
flags.DEFINE_string('work_dir', '', 'Chain: folder of the runs; else a '
                    'temporary one.')
flags.DEFINE_integer('batch_size', 2, 'Chain: images per step.')
flags.DEFINE_string('encoder', 'r50_vit_b16', 'A file of gin/model.')
flags.DEFINE_integer('width', 1, 'Multiplier of the decoder.')
flags.DEFINE_integer('batch', 4, 'Images per step, over all replicas.')
flags.DEFINE_integer('size', 224, 'Side of the crops, pixels; of the images '
                     'that are evaluated or predicted.')
flags.DEFINE_integer('classes', 21, 'Of the masks.', lower_bound=1,
                     upper_bound=specs.IGNORE_LABEL)
flags.DEFINE_enum('precision', specs.FLOAT32, list(specs.PRECISIONS),
                  'In which the network computes.')
flags.DEFINE_integer('replicas', 0, 'Virtual CPUs to train on, mirrored; 0 '
                     'takes --strategy.', lower_bound=0)
flags.DEFINE_bool('json', False, 'Print one line of JSON.')
cli.define_strategy_flags()
cli.define_image_flags()
FLAGS = flags.FLAGS
# Flags of the chain alone, and of one measurement alone.
_OF_CHAIN = ('data_dir', 'weights', 'work_dir', 'batch_size')
_OF_ONE = ('classes', 'batch', 'size', 'replicas', 'json', 'strategy', 'tpu',
           'zone', 'project', 'max_image_pixels')


def main():
    if FLAGS.what == 'chain':
        _measure_chain()
        return
    if FLAGS.what == 'growth':
        _measure_growth()
        return
    # TensorFlow's start and the bars are not what a program reads.
    with contextlib.redirect_stdout(sys.stderr):
        measured, table = _measure()
    print(json.dumps(measured) if FLAGS.json else table)


def _measure():
    """Returns what was measured, and as a table."""
    from ddep_tf import configure
    from ddep_tf.experiments import generated
    cli.refuse((*_OF_CHAIN, 'output_dir'), f'is not for --what={FLAGS.what}')
    warm_up = 2  # Steps: the first one traces.
    stage, steps = STAGES[FLAGS.what], FLAGS.steps or 5
    run, _ = configure.load_run(
        stage, [f'model/{FLAGS.encoder}.gin', f'stage/{stage}.gin',
                *FLAGS.gin_file],
        [*generated.bindings(FLAGS.classes),
         f'DecoderSpec.width_multiplier={FLAGS.width}',
         f'{stage}/RunSpec.global_batch_size={FLAGS.batch}',
         f'{stage}/RunSpec.crop_size=({FLAGS.size}, {FLAGS.size})',
         f'{stage}/RunSpec.steps={warm_up + steps}',
         f'{stage}/RunSpec.log_every=1', *FLAGS.gin_param],
        precision=FLAGS.precision)
    strategy = _strategy()
    from ddep_tf.experiments import speed
    from ddep_tf.runtime import strategy as strategies
    strategies.check_batch(run.global_batch_size, strategy, run.accumulate)
    with tempfile.TemporaryDirectory() as folder:
        measured = speed.measure(FLAGS.what, run, warm_up, strategy, folder)
    return measured, speed.table(measured)


def _strategy():
    if not FLAGS.replicas:
        return cli.start_tensorflow()
    cli.start_worker(FLAGS.max_image_pixels)
    from ddep_tf.runtime import strategy
    return strategy.virtual_cpus(FLAGS.replicas)


def _measure_growth():
    from ddep_tf.experiments import growth
    from ddep_tf.reports import growth_page
    if not FLAGS.output_dir:
        raise errors.UserError('--output_dir is needed: where the table goes')
    # Rows of growth are not told apart by bindings of gin.
    cli.refuse((*_OF_CHAIN, *_OF_ONE, 'gin_file', 'gin_param'),
               'is not for --what=growth')
    rows = growth.measure(FLAGS.output_dir, {
        'what': specs.DENOISE, 'encoder': FLAGS.encoder,
        'width': str(FLAGS.width), 'precision': FLAGS.precision},
        FLAGS.steps or 5)
    growth_page.write(FLAGS.output_dir, rows)


def _measure_chain():
    from ddep_tf.experiments import benchmark
    if not FLAGS.output_dir or not FLAGS.gin_file:
        raise errors.UserError('--output_dir and --gin_file are needed: where '
                               'the numbers go, and a file of gin/data')
    cli.refuse((*_OF_ONE, 'encoder', 'width', 'precision'),
               'is not for --what=chain')
    settings = benchmark.Settings(
        tuple(FLAGS.gin_file), tuple(FLAGS.gin_param), FLAGS.data_dir,
        FLAGS.weights, FLAGS.steps or 4, FLAGS.batch_size)
    with tempfile.TemporaryDirectory() as temporary:
        work_dir = files.path(FLAGS.work_dir or temporary)
        work_dir.mkdir(parents=True, exist_ok=True)
        chain = benchmark.Chain(settings, work_dir)
        chain.run()
        benchmark.write(chain, files.path(FLAGS.output_dir))


if __name__ == '__main__':
    cli.main(main)
