r"""Compiles a program for a TPU that is not there: will it fit?

  python launch/compile_tpu.py --stage=denoise --topology=v4:2x2x1 --batch=16 \
      --gin_file=model/r50_vit_b16.gin --gin_file=width/1x.gin \
      --gin_file=data/imagenet2012.gin --gin_file=stage/denoise.gin

lowers the whole train step of a replica, as the trainer builds it, and has
libtpu compile it for one chip, in an environment of its own that is made when
it is first needed. Prints the memory that it takes of the chip's.

  python launch/compile_tpu.py --table --output_dir=results/tpu_compile

does so for the paper's network, at the sizes, widths and precisions that
matter, up to the largest batch that fits. Goes on where it was stopped.
"""

from absl import flags

from ddep_tf import cli, errors

flags.DEFINE_multi_string(
    'gin_file', [], 'A gin file, looked up from the working folder, then in '
    'gin/. Repeatable.')
flags.DEFINE_multi_string(
    'gin_param', [], 'NAME=VALUE, bound after the files. Repeatable.')
flags.DEFINE_enum('what', 'train', ['train', 'evaluate'], 'A train step; or '
                  'what evaluates the images of a replica by EvalSpec.')
cli.define_image_size_flag('of the images, with --what=evaluate; else those of '
                           'EvalSpec.tile.')
flags.DEFINE_enum('stage', None, ['classify', 'denoise', 'segment'],
                  'Whose step is compiled, denoise unless it is given; what '
                  'evaluates is of segment.')
flags.DEFINE_multi_string(
    'topology', ['v4:2x2x1'], 'The chip, v4 or v5e, and how many there are. '
    'Repeatable.')
flags.DEFINE_integer(
    'batch', None, 'Images a chip; else RunSpec.global_batch_size over the '
    "topology's chips, or EvalSpec.batch_size.", lower_bound=1)
flags.DEFINE_bool('table', False, 'Fill the table of results/tpu_compile.')
flags.DEFINE_string('output_dir', '', 'With --table: where table.csv and '
                    'README.md go.')
FLAGS = flags.FLAGS
# Flags that say which program is compiled.
_OF_ONE = ('gin_file', 'gin_param', 'what', 'image_size', 'stage', 'topology',
           'batch')


def main():
    from ddep_tf import configure
    from ddep_tf.compiling import processes, program, table
    if FLAGS.table != bool(FLAGS.output_dir):
        raise errors.UserError('--table and --output_dir go together: what is '
                               'compiled, and where its rows go')
    if FLAGS.table:
        cli.refuse(_OF_ONE, 'is not for --table, which has its own plan')
        table.fill(FLAGS.output_dir, configure.load_run)
        return
    run, _ = configure.load_run(_stage(), FLAGS.gin_file, FLAGS.gin_param)
    for topology in FLAGS.topology:
        wanted = _program(run, topology)
        print(program.describe(wanted), flush=True)
        found = processes.compile_for(wanted, topology)
        print(program.verdict(found, topology), flush=True)


def _stage():
    if FLAGS.what == 'train':
        cli.refuse(['image_size'], 'is for --what=evaluate')
        return FLAGS.stage or 'denoise'
    if FLAGS.stage not in (None, 'segment'):
        raise errors.UserError('--what=evaluate is of --stage=segment: the '
                               'others are measured on crops')
    return 'segment'


def _program(run, topology):
    from ddep_tf.compiling import program
    if FLAGS.what == program.EVALUATE:
        return program.evaluation(run, cli.image_size() or (), FLAGS.batch)
    return program.train_step(run, topology, FLAGS.batch)


if __name__ == '__main__':
    cli.main(main)
