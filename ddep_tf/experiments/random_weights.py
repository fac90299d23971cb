r"""Writes a file of the published layout with random numbers.

  python -m ddep_tf.experiments.random_weights R50+ViT-B_16.npz
"""

import os
import sys


def write(path: str | os.PathLike) -> None:
    """Writes the weights of an ImageNet-21k classifier, as initialized."""
    from ddep_tf.models import encoder, weights
    network = encoder.build_classifier(
        'r50_vit_b16', num_classes=21843, representation_size=768)
    weights.save_npz(path, weights.export_arrays(network))


if __name__ == '__main__':
    write(sys.argv[1])
