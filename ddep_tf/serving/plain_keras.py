"""Segments images by a .keras file where there is Keras alone.

  python -I plain_keras.py model.keras images.npz results.npz

A script, which imports nothing of ddep_tf: that the file opens without it is
what is shown. The results hold ids_N and probabilities_N of image_N, and the
milliseconds of a call.
"""

import sys
import time

import keras
import numpy as np


def main(model_path, images_path, results_path):
    model = keras.saving.load_model(model_path, compile=False)
    results = {}
    with np.load(images_path) as images:
        for i in range(len(images)):
            image = images[f'image_{i}']
            for name, value in model.predict_on_batch(image).items():
                results[f'{name}_{i}'] = value
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            model.predict_on_batch(images['image_0'])
            seconds.append(time.perf_counter() - start)
    if 'ddep_tf' in sys.modules:
        sys.exit('the file needs ddep_tf')
    np.savez(results_path, milliseconds=1000 * np.median(seconds), **results)


if __name__ == '__main__':
    main(*sys.argv[1:])
