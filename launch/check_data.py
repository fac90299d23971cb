r"""Looks at a folder of images and masks before you train on it.

  python launch/check_data.py --data_dir=DATA
  python launch/check_data.py --data_dir=DATA --label_count=40 --subset_seed=0

Checks that images and masks belong together and can be read, their ids and
sizes, classes that are too rare, and the same or similar images in two splits.
Writes a page with pictures of the masks over their images. Exits with 2 if
there is something that cannot be trained on.
"""

import os

from absl import flags

from ddep_tf import cli

flags.DEFINE_string(
    'data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
    'The folder, with images/SPLIT and masks/SPLIT; else $DDEP_DATA_DIR.')
flags.DEFINE_multi_string('gin_param', [], 'NAME=VALUE, bound over '
                          'data/folder.gin, such as '
                          'folder/DatasetSpec.num_classes=3. Repeatable.')
flags.DEFINE_string('page', 'check_data.html', 'HTML file for the page; empty '
                    'writes none.')
flags.DEFINE_integer('samples', 6, 'Images of each split on the page.',
                     lower_bound=0)
flags.DEFINE_integer('label_count', 0, 'See whether each class is in the '
                     'subset that RunSpec.label_count chooses.', lower_bound=0)
flags.DEFINE_integer('subset_seed', 0, 'The seed of that run.', lower_bound=0)
flags.DEFINE_integer('rare', 3, 'Name classes that fewer training images '
                     'hold.', lower_bound=1)
cli.define_image_flags()
FLAGS = flags.FLAGS
_MOST_LINES = 50


def main():
    from ddep_tf import configure, errors, files
    from ddep_tf.data import image_files
    from ddep_tf.data.checking import check_folder
    files.require_local(FLAGS.data_dir, '--data_dir',
                        'copy the folder to a local disk')
    if FLAGS.max_image_pixels:
        image_files.set_max_pixels(FLAGS.max_image_pixels)
    run, _ = configure.load_run('segment', ['data/folder.gin'],
                                FLAGS.gin_param, FLAGS.data_dir)
    spec, = run.data
    found = check_folder.check(spec, FLAGS.data_dir)
    try:
        subset = _subset(found, spec)
    except errors.UserError as error:  # Fewer images can be read.
        found.problems.append(f'--label_count: {error}')
        subset = None
    found.warnings += check_folder.rare_classes(
        found, subset, spec.train_split, spec.val_split, FLAGS.rare)
    _print(found)
    if FLAGS.page:
        from ddep_tf.reports import data_page, output
        output.write_text(FLAGS.page, data_page.build_page(
            found, FLAGS.data_dir, FLAGS.samples))
        print(f'page: {FLAGS.page}')
    if found.problems:
        count = len(found.problems)
        raise errors.UserError(
            f'{FLAGS.data_dir}: {count} problem{"s" * (count > 1)} named '
            'above: solve them and check again')
    print(f'{FLAGS.data_dir}: ready to train on')


def _subset(found, spec):
    """Returns the ids that --label_count chooses, None for all."""
    if not FLAGS.label_count:
        return None
    from ddep_tf.data import subsets
    return subsets.label_subset(
        [image.id for image in found.of_split(spec.train_split)],
        count=FLAGS.label_count, seed=FLAGS.subset_seed)


def _print(found):
    from ddep_tf.data.checking import summary
    from ddep_tf.reports import formats
    for rows in (summary.split_rows(found), summary.class_rows(found)):
        if len(rows) > 1:
            print(formats.markdown(rows, left=('class',)), end='\n\n')
    for kind, lines in (('warning', found.warnings),
                        ('problem', found.problems)):
        for line in lines[:_MOST_LINES]:
            print(f'{kind}: {line}')
        if len(lines) > _MOST_LINES:
            print(f'{kind}: {len(lines) - _MOST_LINES} more, on the page')


if __name__ == '__main__':
    cli.main(main)
