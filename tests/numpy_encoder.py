"""The tiny hybrid encoder in numpy, from published keys, for comparison.

Written from the published definition alone, with loops, in float64. It shares
no code with the package.
"""

import numpy as np
import scipy.ndimage

UNITS = (1, 2, 1)
HEADS = 3
BLOCKS = 2


def random_arrays(grid, seed=0, num_classes=None, representation_size=None):
    """Returns a published file's dict of tiny's arrays, all of them random."""
    rng = np.random.default_rng(seed)
    arrays = {}

    def put(key, shape, scale, mean=0.0):
        arrays[key] = (mean + scale * rng.normal(size=shape)).astype('f4')

    def conv(key, size, inputs, outputs):
        put(f'{key}/kernel', (size, size, inputs, outputs), 0.3, 0.05)

    def norm(key, channels, shape=None):
        put(f'{key}/scale', shape or (channels,), 0.2, 1.0)
        put(f'{key}/bias', shape or (channels,), 0.2)

    def dense(key, shape, bias):
        put(f'{key}/kernel', shape, 0.15)
        put(f'{key}/bias', bias, 0.1)

    conv('conv_root', 7, 3, 32)
    norm('gn_root', 32, (1, 1, 1, 32))
    inputs = 32
    for i, units in enumerate(UNITS):
        width = 32 * 2 ** i
        for j in range(units):
            unit = f'block{i + 1}/unit{j + 1}'
            conv(f'{unit}/conv1', 1, inputs, width)
            conv(f'{unit}/conv2', 3, width, width)
            conv(f'{unit}/conv3', 1, width, 4 * width)
            if not j:
                conv(f'{unit}/conv_proj', 1, inputs, 4 * width)
                norm(f'{unit}/gn_proj', 4 * width)
            norm(f'{unit}/gn1', width, (1, 1, 1, width))
            norm(f'{unit}/gn2', width)
            norm(f'{unit}/gn3', 4 * width)
            inputs = 4 * width
    dense('embedding', (1, 1, 512, 48), (48,))
    put('cls', (1, 1, 48), 0.5)
    put('Transformer/posembed_input/pos_embedding',
        (1, 1 + grid[0] * grid[1], 48), 0.5)
    for n in range(BLOCKS):
        block = f'Transformer/encoderblock_{n}'
        attention = f'{block}/MultiHeadDotProductAttention_1'
        for part in ('query', 'key', 'value'):
            dense(f'{attention}/{part}', (48, 3, 16), (3, 16))
        dense(f'{attention}/out', (3, 16, 48), (48,))
        dense(f'{block}/MlpBlock_3/Dense_0', (48, 96), (96,))
        dense(f'{block}/MlpBlock_3/Dense_1', (96, 48), (48,))
        norm(f'{block}/LayerNorm_0', 48)
        norm(f'{block}/LayerNorm_2', 48)
    norm('Transformer/encoder_norm', 48)
    hidden = 48
    if representation_size:
        dense('pre_logits', (48, representation_size), (representation_size,))
        hidden = representation_size
    if num_classes:
        dense('head', (hidden, num_classes), (num_classes,))
    return arrays


def _same(x, size, stride, value):
    """Pads so that ceil(n / stride) windows fit, the odd pixel last."""
    pads = [(0, 0)]
    for n in x.shape[1:3]:
        total = max((-(-n // stride) - 1) * stride + size - n, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, [*pads, (0, 0)], constant_values=value)


def _windows(x, size, stride, value):
    """Yields (row, column, [B, H', W', C]) of each place in the window."""
    height, width = (-(-n // stride) for n in x.shape[1:3])
    padded = _same(x, size, stride, value)
    for i in range(size):
        for j in range(size):
            yield i, j, padded[:, i:i + stride * height:stride,
                               j:j + stride * width:stride][:, :height, :width]


def std_conv(x, kernel, stride=1):
    kernel = kernel.astype(np.float64)
    kernel = (kernel - kernel.mean((0, 1, 2))) / (
        kernel.std((0, 1, 2)) + 1e-5)
    return sum(np.einsum('bhwc,cd->bhwd', part, kernel[i, j])
               for i, j, part in _windows(x, kernel.shape[0], stride, 0.0))


def max_pool(x):
    return np.max([p for _, _, p in _windows(x, 3, 2, -np.inf)], axis=0)


def group_norm(x, arrays, key, groups=32):
    parts = []
    for group in np.split(x, groups, axis=-1):
        mean = group.mean((1, 2, 3), keepdims=True)
        variance = ((group - mean) ** 2).mean((1, 2, 3), keepdims=True)
        parts.append((group - mean) / np.sqrt(variance + 1e-6))
    scale, bias = (arrays[f'{key}/{leaf}'].reshape(-1)
                   for leaf in ('scale', 'bias'))
    return np.concatenate(parts, -1) * scale + bias


def layer_norm(x, arrays, key):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return ((x - mean) / np.sqrt(variance + 1e-6) * arrays[f'{key}/scale']
            + arrays[f'{key}/bias'])


def _relu(x):
    return np.maximum(x, 0)


def residual_unit(x, arrays, key, stride):
    def conv(y, name, stride=1):
        return std_conv(y, arrays[f'{key}/{name}/kernel'], stride)

    def norm(y, name):
        return group_norm(y, arrays, f'{key}/{name}')

    y = _relu(norm(conv(x, 'conv1'), 'gn1'))
    y = _relu(norm(conv(y, 'conv2', stride), 'gn2'))
    y = norm(conv(y, 'conv3'), 'gn3')
    if f'{key}/conv_proj/kernel' in arrays:
        x = norm(conv(x, 'conv_proj', stride), 'gn_proj')
    return _relu(x + y)


def _dense(x, arrays, key, equation='bnc,cd->bnd'):
    return (np.einsum(equation, x, arrays[f'{key}/kernel'].astype(np.float64))
            + arrays[f'{key}/bias'])


def _attention(x, arrays, key):
    query, keys, value = (_dense(x, arrays, f'{key}/{part}',
                                 'bnc,chd->bnhd')
                          for part in ('query', 'key', 'value'))
    scores = np.einsum('bqhd,bkhd->bhqk', query, keys) / np.sqrt(16)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    mixed = np.einsum('bhqk,bkhd->bqhd', scores, value)
    return _dense(mixed, arrays, f'{key}/out', 'bnhd,hdc->bnc')


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi)
                                  * (x + 0.044715 * x ** 3)))


def _block(x, arrays, key):
    y = layer_norm(x, arrays, f'{key}/LayerNorm_0')
    x = x + _attention(y, arrays, f'{key}/MultiHeadDotProductAttention_1')
    y = layer_norm(x, arrays, f'{key}/LayerNorm_2')
    y = _gelu(_dense(y, arrays, f'{key}/MlpBlock_3/Dense_0'))
    return x + _dense(y, arrays, f'{key}/MlpBlock_3/Dense_1')


def _positions(arrays, stored, wanted):
    array = arrays['Transformer/posembed_input/pos_embedding']
    grid = scipy.ndimage.zoom(
        array[0, 1:].astype(np.float64).reshape(*stored, -1),
        (wanted[0] / stored[0], wanted[1] / stored[1], 1), order=1)
    return array[:, :1], grid.reshape(1, -1, array.shape[-1])


def encode(arrays, images, grid, class_token):
    """Returns the encoder's dict, float64.

    Args:
      arrays: as `random_arrays`.
      images: [B, H, W, 3] in [-1, 1].
      grid: (rows, columns) of the stored position embedding.
      class_token: whether it attends.
    """
    x = std_conv(images.astype(np.float64), arrays['conv_root/kernel'], 2)
    x = _relu(group_norm(x, arrays, 'gn_root'))
    maps = {'stride2': x}
    x = max_pool(x)
    for i, units in enumerate(UNITS):
        for j in range(units):
            x = residual_unit(x, arrays, f'block{i + 1}/unit{j + 1}',
                              2 if i and not j else 1)
        maps[f'stride{4 * 2 ** i}'] = x
    x = _dense(x, {'e/kernel': arrays['embedding/kernel'][0, 0],
                   'e/bias': arrays['embedding/bias']}, 'e',
               'bhwc,cd->bhwd')
    batch, height, width, channels = x.shape
    slot, positions = _positions(arrays, grid, (height, width))
    x = x.reshape(batch, -1, channels) + positions
    if class_token:
        token = np.tile(arrays['cls'] + slot, (batch, 1, 1))
        x = np.concatenate([token, x], 1)
    for n in range(BLOCKS):
        x = _block(x, arrays, f'Transformer/encoderblock_{n}')
    x = layer_norm(x, arrays, 'Transformer/encoder_norm')
    if class_token:
        maps['class_token'], x = x[:, 0], x[:, 1:]
    maps['stride16'] = x.reshape(batch, height, width, channels)
    return maps
