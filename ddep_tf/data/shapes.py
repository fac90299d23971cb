"""The embedded procedural set: shapes in clutter, drawn from their index.

Classes differ in shape. Each also has a range of hues, but one so wide that
neighboring classes overlap and color alone says little; background and clutter
have any color. Texture, size and orientation follow the same distribution for
every class, and later objects occlude earlier ones. NumPy only.
"""

import colorsys
import functools

import numpy as np

from ddep_tf import errors

SIZE = 64
LENGTHS = {'train': 2000, 'val': 100, 'test': 200}
SHAPES = ('disc', 'square', 'triangle', 'cross', 'ring')
# One large object with a class, or several with a mask; part of the ids.
OBJECT, SCENE = VIEWS = ('classify', 'segment')
# Largest distance of an object's hue from its class's, in turns of the wheel.
HUE_SPREAD = 0.2

_Y, _X = np.mgrid[:SIZE, :SIZE].astype(np.float32)


@functools.lru_cache(maxsize=8192)
def render(view: str, split: str,
           index: int) -> tuple[np.ndarray, np.ndarray | int]:
    """Draws one example; the same arguments give the same pixels.

    Args:
      view: 'segment', several objects on a background, or 'classify', one
        large object.
      split: one of LENGTHS. Splits share no example.
      index: in [0, LENGTHS[split]).

    Returns:
      (image, label): image [64, 64, 3] uint8. The label is for 'segment' a
      mask, [64, 64] uint8, 0 background and 1 + index in SHAPES for objects;
      for 'classify' the index in SHAPES. The arrays are cached and read-only.

    Raises:
      UserError: the view or split is unknown, the index out of range.
    """
    if view not in VIEWS or not 0 <= index < length(split):
        raise errors.UserError(f'shapes: no example {index} of view {view!r} '
                               f'in split {split!r}')
    entropy = [70_841, VIEWS.index(view), list(LENGTHS).index(split), index]
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
    image = _texture(rng, _any_color(rng), _any_color(rng))
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(_integer(rng, 0, 3)):
        _draw_line(rng, image)
    label: np.ndarray | int
    if view == SCENE:
        for _ in range(_integer(rng, 2, 5)):
            _draw_object(rng, image, mask, radius=_uniform(rng, 9, 18),
                         margin=6)
        label = mask
    else:
        _draw_object(rng, image, mask, radius=_uniform(rng, 14, 24),
                     margin=24)
        label = int(np.max(mask)) - 1
    for _ in range(_integer(rng, 0, 1)):
        _draw_line(rng, image, mask)
    image = _finish(rng, image)
    image.setflags(write=False)
    mask.setflags(write=False)
    return image, label


def length(split: str) -> int:
    """Returns a split's number of examples. UserError if there is none."""
    if split not in LENGTHS:
        raise errors.UserError(f'shapes: no split is called {split!r}: choose '
                               f'one of {", ".join(LENGTHS)}')
    return LENGTHS[split]


# Only random() is drawn from: its stream is the one NumPy never changed.


def _uniform(rng, low, high):
    return low + (high - low) * rng.random()


def _integer(rng, low, high):
    """Uniform from low to high, both included."""
    return low + int((high - low + 1) * rng.random())


def _any_color(rng):
    return rng.random(3).astype(np.float32) * 200 + 28


def _class_color(rng, shape):
    """A color with a hue near that of the class."""
    hue = shape / len(SHAPES) + _uniform(rng, -HUE_SPREAD, HUE_SPREAD)
    rgb = colorsys.hsv_to_rgb(hue % 1, _uniform(rng, 0.3, 1),
                              _uniform(rng, 0.35, 1))
    return np.asarray(rgb, np.float32) * 200 + 28


def _texture(rng, first, second):
    """[64, 64, 3] float32: two colors as stripes, checks, grain or gradient."""
    # Similar colors too, so that contrast does not give objects away.
    second = first + (second - first) * np.float32(rng.random())
    angle, period = _uniform(rng, 0, np.pi), _uniform(rng, 3, 14)
    kind, phase = _integer(rng, 0, 3), _uniform(rng, 0, 2 * np.pi)
    along = np.cos(angle) * _X + np.sin(angle) * _Y
    across = np.cos(angle) * _Y - np.sin(angle) * _X
    wave = np.sin(along * (2 * np.pi / period) + phase)
    if kind == 1:
        wave = wave * np.sin(across * (2 * np.pi / period))
    elif kind == 2:
        cells = rng.random((SIZE // 2, SIZE // 2)) * 2 - 1
        wave = cells.repeat(2, axis=0).repeat(2, axis=1)
    elif kind == 3:
        wave = along * (2 / SIZE) - 1
    weight = np.clip(wave * 0.75 + 0.5, 0, 1).astype(np.float32)[..., None]
    return first + (second - first) * weight


def _draw_object(rng, image, mask, radius, margin):
    """Draws a shape of `radius` pixels, its center `margin` off the border."""
    shape = _integer(rng, 0, len(SHAPES) - 1)
    center_y, center_x = (_uniform(rng, margin, SIZE - margin)
                          for _ in range(2))
    turn = _uniform(rng, 0, 2 * np.pi)
    squash = _uniform(rng, 0.8, 1.0)
    texture = _texture(rng, _class_color(rng, shape),
                       _class_color(rng, shape))
    y, x = _Y - center_y, _X - center_x
    u = (np.cos(turn) * x + np.sin(turn) * y) / radius
    v = (np.cos(turn) * y - np.sin(turn) * x) / (radius * squash)
    inside = _inside(SHAPES[shape], u, v)
    image[inside] = texture[inside]
    mask[inside] = 1 + shape


def _inside(shape, u, v):
    """Whether points (u, v) lie in a shape of about unit radius."""
    far = np.maximum(np.abs(u), np.abs(v))
    if shape == 'square':
        return far < 0.8
    if shape == 'triangle':
        side = np.float32(np.sqrt(3))
        return (v > -0.55) & (v + side * np.abs(u) < 1.1)
    if shape == 'cross':
        return (far < 0.95) & (np.minimum(np.abs(u), np.abs(v)) < 0.33)
    square_radius = u * u + v * v
    if shape == 'ring':
        return (square_radius < 1) & (square_radius > 0.27)
    return square_radius < 0.85


def _draw_line(rng, image, mask=None):
    """Draws a bar across the image: clutter, marked as background."""
    angle, offset = _uniform(rng, 0, np.pi), _uniform(rng, -24, 24)
    thickness = _uniform(rng, 0.6, 1.8)
    distance = (np.cos(angle) * (_X - SIZE / 2)
                + np.sin(angle) * (_Y - SIZE / 2) - offset)
    near = np.abs(distance) < thickness
    image[near] = _any_color(rng)
    if mask is not None:
        mask[near] = 0


def _finish(rng, image):
    """Adds light that falls off to one side, then camera noise."""
    angle, strength = _uniform(rng, 0, 2 * np.pi), _uniform(rng, 0, 0.45)
    slope = (np.cos(angle) * (_X / SIZE - 0.5)
             + np.sin(angle) * (_Y / SIZE - 0.5))
    light = (1 - strength / 2 + strength * slope)[..., None]
    # A sum of three uniform variables is close enough to a normal one.
    noise = rng.random((3, *image.shape)).sum(0) - 1.5
    image = image * light + noise * _uniform(rng, 4, 14)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
