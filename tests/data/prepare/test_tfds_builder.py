"""Sets that TFDS' own builders make from their archives."""

import numpy as np

from prepare_cases import build, check, decoded, opened
import raw_sets


def test_cityscapes_is_built_by_tfds_from_its_archives(tmp_path):
    raw_sets.cityscapes(tmp_path)
    build('cityscapes', tmp_path)
    found = decoded(opened('cityscapes', tmp_path))
    folder = decoded(opened('cityscapes_folder', tmp_path))
    assert sorted(found) == sorted(folder)
    for name, example in folder.items():
        np.testing.assert_array_equal(found[name]['label'], example['label'])
    good = check('cityscapes', tmp_path, count_check=False)
    assert [wrong for wrong, _ in good] == [False, False]
    small = [line for wrong, line in check('cityscapes', tmp_path) if wrong]
    assert any('128 x 96 pixels, not 2048 x 1024' in line for line in small)
