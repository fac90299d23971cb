"""ADE20K as built for TFDS, against the folder that it unpacks to."""

import numpy as np
from PIL import Image
import pytest

from ddep_tf import errors

import layouts
from prepare_cases import build, decoded, opened


def test_ade20k_is_that_of_the_folder(tmp_path):
    layouts.ade20k_folder(tmp_path)
    build('ade20k', tmp_path)
    for split in ('train_split', 'test_split'):
        built = decoded(opened('ade20k', tmp_path, split))
        raw = decoded(opened('ade20k_folder', tmp_path, split))
        assert sorted(built) == sorted(raw)
        for name, example in raw.items():
            for key in ('image', 'label'):
                np.testing.assert_array_equal(built[name][key], example[key])


def test_a_turned_photo_is_not_built(tmp_path):
    """180 degrees: its size would not give it away."""
    layouts.ade20k_folder(tmp_path)
    path = sorted(tmp_path.rglob('images/training/*.jpg'))[0]
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(path) as photo:
        photo.save(path, exif=exif)
    with pytest.raises(errors.UserError, match='orientation 3') as caught:
        build('ade20k', tmp_path)
    assert path.name in str(caught.value)
