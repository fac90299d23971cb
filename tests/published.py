"""Keys and shapes of the published R50+ViT-B/16 files, written out by hand."""

import numpy as np


def shapes(num_classes, grid=(14, 14), representation_size=0):
    """Returns {key: shape} of a published file, its GroupNorms flat."""
    slots, top = 1 + grid[0] * grid[1], representation_size or 768
    found = {'conv_root/kernel': (7, 7, 3, 64), 'cls': (1, 1, 768),
             'embedding/kernel': (1, 1, 1024, 768),
             'embedding/bias': (768,),
             'Transformer/posembed_input/pos_embedding': (1, slots, 768),
             'head/kernel': (top, num_classes), 'head/bias': (num_classes,)}

    def norm(key, channels):
        found[f'{key}/scale'] = found[f'{key}/bias'] = (channels,)

    norm('gn_root', 64)
    norm('Transformer/encoder_norm', 768)
    inputs = 64
    for i, (units, width) in enumerate(((3, 64), (4, 128), (9, 256)), 1):
        for j in range(1, units + 1):
            unit = f'block{i}/unit{j}'
            found[f'{unit}/conv1/kernel'] = (1, 1, inputs, width)
            found[f'{unit}/conv2/kernel'] = (3, 3, width, width)
            found[f'{unit}/conv3/kernel'] = (1, 1, width, 4 * width)
            norm(f'{unit}/gn1', width)
            norm(f'{unit}/gn2', width)
            norm(f'{unit}/gn3', 4 * width)
            if j == 1:
                found[f'{unit}/conv_proj/kernel'] = (1, 1, inputs, 4 * width)
                norm(f'{unit}/gn_proj', 4 * width)
            inputs = 4 * width
    for n in range(12):
        block = f'Transformer/encoderblock_{n}'
        norm(f'{block}/LayerNorm_0', 768)
        norm(f'{block}/LayerNorm_2', 768)
        attention = f'{block}/MultiHeadDotProductAttention_1'
        for part in ('query', 'key', 'value'):
            found[f'{attention}/{part}/kernel'] = (768, 12, 64)
            found[f'{attention}/{part}/bias'] = (12, 64)
        found[f'{attention}/out/kernel'] = (12, 64, 768)
        found[f'{attention}/out/bias'] = (768,)
        mlp = f'{block}/MlpBlock_3'
        found[f'{mlp}/Dense_0/kernel'] = (768, 3072)
        found[f'{mlp}/Dense_0/bias'] = (3072,)
        found[f'{mlp}/Dense_1/kernel'] = (3072, 768)
        found[f'{mlp}/Dense_1/bias'] = (768,)
    if representation_size:
        found['pre_logits/kernel'] = (768, representation_size)
        found['pre_logits/bias'] = (representation_size,)
    return found


def arrays(num_classes, grid, representation_size=0, seed=0):
    """Returns {key: random float32 array}, GroupNorms [1, 1, 1, C]."""
    rng = np.random.default_rng(seed)
    made = {}
    for key, shape in shapes(num_classes, grid, representation_size).items():
        if len(shape) == 1 and '/gn' in f'/{key}':
            shape = (1, 1, 1, *shape)
        made[key] = rng.random(shape, np.float32) - np.float32(0.5)
    return made
