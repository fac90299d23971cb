"""Images that look alike, and images that only share their texture."""

import io

import numpy as np
from PIL import Image, ImageEnhance
import pytest

from ddep_tf.data.checking import looks

pytestmark = pytest.mark.quick


def scene(seed):
    """A picture of some blobs, 320 x 240."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return coarse.resize((320, 240), Image.Resampling.BICUBIC)


def encoded(image, quality):
    data = io.BytesIO()
    image.save(data, 'JPEG', quality=quality)
    return Image.open(data)


def found(some, others):
    return list(looks.pairs([looks.look_of(i) for i in some],
                            [looks.look_of(i) for i in others]))


@pytest.mark.parametrize('change', [
    lambda image: image, lambda image: encoded(image, 30),
    lambda image: image.resize((97, 73)), lambda image: image.convert('L'),
    lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    lambda image: image.transform(  # The next frame of a video.
        image.size, Image.Transform.AFFINE, (1, 0, 3, 0, 1, 2))])
def test_other_versions_of_a_picture_are_found(change):
    scenes = [scene(seed) for seed in range(8)]
    assert found(scenes, [change(image) for image in scenes]) == [
        (i, i) for i in range(8)]


def test_other_pictures_are_not(monkeypatch):
    monkeypatch.setattr(looks, '_ROWS', 7)  # Several rounds.
    assert not found([scene(i) for i in range(40)],
                     [scene(i) for i in range(40, 80)])


def test_pictures_of_even_texture_are_not():
    rng = np.random.default_rng(0)
    plain = [Image.fromarray(rng.normal(120, 9, (240, 320)).astype(np.uint8))
             for _ in range(40)]
    assert not found(plain[:20], plain[20:])


def test_blank_pictures_are_not():
    blank = [Image.new('RGB', (50, 50), color) for color in ('red', 'blue')]
    assert not found(blank, blank)


def test_nothing_is_like_nothing():
    assert not found([], [scene(0)]) and not found([scene(0)], [])
