"""What a check of a folder found."""

import dataclasses
import pathlib

import numpy as np

from ddep_tf.data import labels
from ddep_tf.data.checking import looks
from ddep_tf.data.importing import splits

UNLABELLED = splits.UNLABELLED


@dataclasses.dataclass(frozen=True)
class Checked:
    """An image that can be read.

    Attributes:
      split: name of its split.
      id: stem of its file.
      image: its file.
      mask: the file of its mask; None without one.
      size: (width, height).
      mode: PIL's, such as 'RGB' or 'L'.
      turn: EXIF orientation; 1 is upright.
      sha256: of the file's bytes.
      look: looks.Look.
      pixels: [256] int64, how many of each id the mask has; None without one.
    """
    split: str
    id: str
    image: pathlib.Path
    mask: pathlib.Path | None
    size: tuple[int, int]
    mode: str
    turn: int
    sha256: str
    look: looks.Look
    pixels: np.ndarray | None


@dataclasses.dataclass
class Findings:
    """What was found.

    Attributes:
      label_set: LabelSet of the masks; None if their classes are not known.
      images: those that can be read.
      problems: a line for each thing that keeps it from being trained on.
      warnings: a line for each thing to look at.
      twins: pairs of images of different splits that look alike.
    """
    label_set: labels.LabelSet | None
    images: list[Checked]
    problems: list[str]
    warnings: list[str]
    twins: list[tuple[Checked, Checked]]

    def of_split(self, split: str) -> list[Checked]:
        """Returns the images of a split."""
        return [image for image in self.images if image.split == split]

    def masks_of(self, split: str) -> list[np.ndarray]:
        """Returns the counts of pixels of each mask of a split."""
        return [image.pixels for image in self.of_split(split)
                if image.pixels is not None]

    @property
    def splits(self) -> list[str]:
        """Names of the splits that hold images, in the order of the check."""
        return list(dict.fromkeys(image.split for image in self.images))
