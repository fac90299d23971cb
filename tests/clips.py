"""Writes videos, by OpenCV, which tf-models-official brings."""

import cv2
import numpy as np

_CODECS = {'.mkv': 'FFV1', '.mp4': 'mp4v', '.avi': 'MJPG'}


def write(path, count, size=(32, 24)):
    """Writes a video; returns its frames, `count` of [H, W, 3] uint8 RGB."""
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG,
        cv2.VideoWriter_fourcc(*_CODECS[path.suffix.lower()]), 10, size)
    frames = []
    for index in range(count):
        frame = np.empty((size[1], size[0], 3), np.uint8)
        frame[:] = 250, 30 * index, 20  # Red is not blue.
        frame[:4, :4] = 128
        writer.write(frame[..., ::-1])
        frames.append(frame)
    writer.release()
    return frames
