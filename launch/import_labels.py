r"""Brings the export of an annotation tool into the layout that we train on.

  python launch/import_labels.py --from=coco --input=EXPORT --output=DATA
  python launch/import_labels.py --from=masks --input=MASKS --images=PHOTOS \
      --output=DATA --map=0=background --map=255=cell

--from is coco, labelme, cvat ("CVAT for images" or "Segmentation mask"),
label_studio (JSON, and brushes as PNG), voc, or masks.
DATA then holds images/SPLIT and masks/SPLIT, images without labels in
images/unlabelled, classes.json, and sources.csv, which says what each image
was called. It is written whole or not at all.
"""

from absl import flags

from ddep_tf import cli

flags.DEFINE_enum('from', None, [
    'coco', 'labelme', 'cvat', 'label_studio', 'voc', 'masks'],
    'The tool, or the format, of the export.')
flags.DEFINE_string('input', '', 'The export: its folder, unpacked, or its '
                    'one file.')
flags.DEFINE_string('images', '', 'Folder of the images; else that of the '
                    'export. Those without labels go along.')
flags.DEFINE_string('output', '', 'Folder for the data, new or empty.')
flags.DEFINE_multi_string('map', [], 'LABEL=NAME: a label, id or color '
                          '(#rrggbb) of the export, and its class; or '
                          'LABEL=ignore. Repeatable.')
flags.DEFINE_string('background', 'background', 'Class of the pixels that no '
                    'shape covers; or ignore.')
flags.DEFINE_enum('empty', 'unlabelled', ['unlabelled', 'background'], 'What '
                  'an image is in which nothing was drawn.')
flags.DEFINE_enum('exif', '', ['', 'upright', 'stored'], 'Which view of a '
                  'turned photo was labelled, where that cannot be seen.')
flags.DEFINE_string('mask_suffix', '.png', 'With --from=masks: how the names '
                    'of masks end, such as _mask.png.')
flags.DEFINE_float('val', 0.15, 'Fraction of the labelled images, about, to '
                   'validate on; where the export has no splits.')
flags.DEFINE_float('test', 0.15, 'The same, to test on.')
flags.DEFINE_integer('seed', 0, 'Another one gives other splits.')
flags.DEFINE_bool('resplit', False, 'Split anew, not as the export does.')
flags.DEFINE_string('group_by', '', 'Regular expression: images whose paths '
                    'agree in its first group, or its match, stay in one '
                    'split, such as ([^/]+)_frame for the frames of a video.')
flags.DEFINE_bool('skip_bad', False, 'Leave out what cannot be used, and list '
                  'it.')
cli.define_image_flags()
FLAGS = flags.FLAGS


def main():
    from ddep_tf import errors, files
    for name in ('from', 'input', 'output'):
        if not FLAGS[name].value:
            raise errors.UserError(f'--{name} is missing')
    for name in ('input', 'images', 'output'):
        files.require_local(FLAGS[name].value or '.', f'--{name}',
                            'copy it to a local disk')
    from ddep_tf.data import image_files
    from ddep_tf.data.importing import classes, importer
    if FLAGS.max_image_pixels:
        image_files.set_max_pixels(FLAGS.max_image_pixels)
    lines = importer.import_labels(importer.Options(
        kind=FLAGS['from'].value, input=files.path(FLAGS.input),
        output=files.path(FLAGS.output),
        images=files.path(FLAGS.images) if FLAGS.images else None,
        renamed=classes.parse_map(FLAGS.map), background=FLAGS.background,
        empty=FLAGS.empty, exif=FLAGS.exif, mask_suffix=FLAGS.mask_suffix,
        resplit=FLAGS.resplit, group_by=FLAGS.group_by, val=FLAGS.val,
        test=FLAGS.test, seed=FLAGS.seed, skip_bad=FLAGS.skip_bad))
    print('\n'.join(lines))
    print(f'{FLAGS.output}: look at it with launch/check_data.py '
          f'--data_dir={FLAGS.output}')


if __name__ == '__main__':
    cli.main(main)
