"""launch/import_labels.py, as a user types it."""

import numpy as np

from ddep_tf.data import class_files

import commands
import exports


def test_an_export_is_imported_or_refused_in_one_line(tmp_path):
    names = exports.photos(tmp_path / 'export', 6)
    exports.coco(tmp_path / 'export', names[:5])
    flags = ['--from=coco', f'--input={tmp_path}/export', '--val=0.3',
             '--test=0', f'--output={tmp_path}/data', '--map=boat=vessel',
             '--seed=1']
    code, out, err = commands.run('import_labels', *flags)
    assert code == 0, err
    assert 'class 3, vessel: in 5 images' in out
    assert f'--data_dir={tmp_path}/data' in out
    classes = class_files.read(tmp_path / 'data/classes.json')
    assert [c.name for c in classes] == ['background', 'lake', 'house',
                                         'vessel']
    masks = exports.read_masks(tmp_path / 'data')
    assert len(masks) == 5
    for mask in masks.values():
        np.testing.assert_array_equal(mask, exports.truth())
    assert (tmp_path / 'data/images/unlabelled/f.jpg').is_file()

    code, out, err = commands.run('import_labels', *flags)
    assert code == 2 and 'data is not empty' in err
    assert len(err.splitlines()) == 1

    code, out, err = commands.run('import_labels', '--from=coco')
    assert code == 2 and '--input is missing' in err


def test_limits_and_faults_reach_the_user(tmp_path):
    exports.coco(tmp_path / 'export', exports.photos(tmp_path / 'export', 2))
    exports.photo(tmp_path / 'export/images/big.jpg', size=(200, 200))
    flags = ['--from=coco', f'--input={tmp_path}/export', '--val=0',
             '--test=0', f'--output={tmp_path}/data',
             '--max_image_pixels=10000']
    code, _, err = commands.run('import_labels', *flags)
    assert code == 2 and 'big.jpg has more than 10,000 pixels' in err
    assert not (tmp_path / 'data').exists()
    code, out, err = commands.run('import_labels', *flags, '--skip_bad')
    assert code == 0 and 'left out, 1:' in out and 'big.jpg' in out
