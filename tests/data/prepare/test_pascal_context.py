"""Pascal Context's 459 labels merged by name; damaged downloads."""

import numpy as np
from PIL import Image
import pytest
import scipy.io

from ddep_tf import errors

from prepare_cases import build, decoded, opened
import raw_sets


def test_pascal_context_is_merged_by_name(tmp_path):
    ids = raw_sets.pascal_context(tmp_path)
    build('pascal_context', tmp_path)
    found = decoded(opened('pascal_context', tmp_path))
    assert sorted(found) == ['2009_000001', '2009_000002', '2009_000003']
    # By hand: the official order of a few names, everything else ignored.
    order = {'aeroplane': 0, 'bicycle': 1, 'table': 10, 'curtain': 41,
             'bedclothes': 51, 'wood': 58}
    base = tmp_path / 'VOCdevkit/VOC2010'
    for name, example in found.items():
        official = scipy.io.loadmat(base / f'trainval/{name}.mat')['LabelMap']
        label = example['label'].numpy()
        for class_name, train_id in order.items():
            np.testing.assert_array_equal(label == train_id,
                                          official == ids[class_name])
        np.testing.assert_array_equal(
            label == 255, np.isin(official, [ids[e] for e in raw_sets.EXTRA]))
        with Image.open(base / f'JPEGImages/{name}.jpg') as picture:
            np.testing.assert_array_equal(example['image'], picture)


def _spoil_mat(base):
    (base / 'trainval/2008_000002.mat').write_bytes(b'no mat')


def _spoil_size(base):
    scipy.io.savemat(base / 'trainval/2008_000002.mat',
                     {'LabelMap': np.ones((5, 5), np.uint16)})


def _spoil_id(base):
    scipy.io.savemat(base / 'trainval/2008_000002.mat',
                     {'LabelMap': np.full((24, 32), 460, np.uint16)})


def _spoil_image(base):
    (base / 'JPEGImages/2008_000002.jpg').write_bytes(b'')


def _spoil_names(base):
    path = base / 'labels.txt'
    path.write_text(path.read_text().replace('curtain', 'drape'))


@pytest.mark.parametrize('spoil, named', [
    (_spoil_mat, '2008_000002.mat'), (_spoil_size, '5 x 5'),
    (_spoil_id, '2008_000002.mat'), (_spoil_image, '2008_000002.jpg'),
    (_spoil_names, "'curtain'")])
def test_damaged_downloads_are_named(tmp_path, spoil, named):
    raw_sets.pascal_context(tmp_path)
    spoil(tmp_path / 'VOCdevkit/VOC2010')
    with pytest.raises(errors.UserError, match=named) as caught:
        build('pascal_context', tmp_path)
    assert '\n' not in str(caught.value)
