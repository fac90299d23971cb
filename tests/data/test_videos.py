"""Videos are read frame by frame, or named."""

import os
import sys

import numpy as np
import pytest

from ddep_tf import errors
from ddep_tf.data import image_files, videos

import clips

pytestmark = pytest.mark.quick


def read(path, step=1):
    with videos.opened(path, step) as video:
        frames = list(video)
        return [number for number, _ in frames], [
            pixels for _, pixels in frames], video


@pytest.mark.parametrize('name', ['a.mkv', 'a.mp4', '%03d: a.AVI'])
def test_frames_come_in_order_with_their_colors(tmp_path, name):
    drawn = clips.write(tmp_path / name, 7)
    numbers, frames, video = read(tmp_path / name)
    assert numbers == list(range(7)) and video.claimed == video.read == 7
    for one, other in zip(frames, drawn):
        assert one.dtype == np.uint8 and one.shape == other.shape
        assert np.abs(one.astype(int) - other).mean() < 6


def test_a_step_leaves_frames_out(tmp_path):
    drawn = clips.write(tmp_path / 'a.mkv', 7)
    numbers, frames, video = read(tmp_path / 'a.mkv', 3)
    assert numbers == [0, 3, 6] and video.read == 7
    np.testing.assert_array_equal(frames, drawn[::3])  # FFV1 loses nothing.


def test_a_truncated_video_gives_what_is_left(tmp_path):
    path = tmp_path / 'a.mkv'
    clips.write(path, 7)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) * 2 // 3])
    _, frames, video = read(path)
    assert 0 < len(frames) == video.read < video.claimed == 7


@pytest.mark.parametrize('data', [b'', b'no video', None])
def test_what_is_no_video_is_named(tmp_path, data):
    path = tmp_path / 'a.mp4'
    if data is None:  # One that lost its end, where an .mp4 has its index.
        clips.write(path, 7)
        data = path.read_bytes()[:-900]
    path.write_bytes(data)
    with pytest.raises(image_files.Unusable, match='a.mp4'):
        read(path)


def test_a_name_that_opencv_would_crash_at_is_refused(tmp_path):
    path = tmp_path / os.fsdecode(b'clip\xe9.mkv')
    clips.write(tmp_path / 'a.mkv', 1)
    os.rename(tmp_path / 'a.mkv', path)
    with pytest.raises(image_files.Unusable, match='not UTF-8'):
        read(path)


def test_frames_of_too_many_pixels_are_refused(tmp_path, monkeypatch):
    clips.write(tmp_path / 'a.mkv', 1)
    monkeypatch.setattr(image_files, 'max_pixels', lambda: 500)
    with pytest.raises(image_files.Unusable, match='--max_image_pixels'):
        read(tmp_path / 'a.mkv')


def test_without_opencv_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(errors.UserError, match=r"'ddep_tf\[video\]'") as caught:
        read(tmp_path / 'a.mp4')
    assert not isinstance(caught.value, image_files.Unusable)
