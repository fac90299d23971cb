"""The frames of videos, by OpenCV. No TF."""

from collections.abc import Iterator
import contextlib
import os
from typing import Any

import numpy as np
import PIL.Image

from ddep_tf import errors, files
from ddep_tf.data import image_files


class Video:
    """An open video; an iterable of its frames, once.

    Attributes:
      claimed: number of frames that its header claims; some are estimates.
      read: frames that were read so far.

    Args:
      path: of the file, for messages.
      capture: cv2.VideoCapture.
      frame_step: every so many frames one is taken.
    """

    def __init__(self, path: str | os.PathLike, capture: Any, frame_step: int):
        import cv2
        self._path, self._capture, self._step = path, capture, frame_step
        self.read = 0
        self.claimed = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        pixels = (capture.get(cv2.CAP_PROP_FRAME_WIDTH) *
                  capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if pixels > image_files.max_pixels():
            raise image_files.unreadable(
                path, PIL.Image.DecompressionBombError())

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (number of the frame, [H, W, 3] uint8 RGB).

        Raises:
          image_files.Unusable: there is none.
        """
        while self._capture.grab():
            self.read += 1
            if (self.read - 1) % self._step == 0:
                is_whole, frame = self._capture.retrieve()
                if is_whole:
                    yield self.read - 1, np.ascontiguousarray(
                        frame[..., ::-1])
        if not self.read:
            raise _unreadable(self._path)


@contextlib.contextmanager
def opened(path: str | os.PathLike, frame_step: int = 1) -> Iterator[Video]:
    """Opens a video file, local or gs://.

    Raises:
      image_files.Unusable: it cannot be read.
      UserError: OpenCV is not installed.
    """
    cv2 = _opencv()
    if not _is_utf8(str(path)):
        # OpenCV 4.11 ends the process with a segmentation fault.
        raise image_files.Unusable(f'cannot read the video {path}: its name '
                                   'is not UTF-8: rename it')
    with files.local_copy(path) as copy:
        # Other backends take some names for patterns, or for cameras.
        capture = cv2.VideoCapture(str(copy.resolve()), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise _unreadable(path)
            yield Video(path, capture, frame_step)
        finally:
            capture.release()


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise errors.UserError(f'videos need OpenCV ({error}): pip install '
                               "'ddep_tf[video]'") from None
    # It would print what it, and FFmpeg, think of a damaged file. OpenCV 5 has
    # moved the function.
    set_log_level = getattr(cv2, 'setLogLevel', None) or (
        cv2.utils.logging.setLogLevel)
    set_log_level(0)
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    return cv2


def _is_utf8(text):
    try:
        text.encode()
        return True
    except UnicodeEncodeError:
        return False


def _unreadable(path):
    return image_files.Unusable(
        f'cannot read the video {path}: it is truncated, or of a format that '
        "OpenCV's FFmpeg does not know: convert it to H.264 in .mp4")
