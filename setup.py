"""Installs ddep_tf: Decoder Denoising Pretraining for semantic segmentation."""

import pathlib

import setuptools

ROOT = pathlib.Path(__file__).parent

# Listed one by one: a namespace search would also find `gin/`, whose name is
# that of gin-config's package, and write our files into it.
PACKAGES = [
    'ddep_tf',
    'ddep_tf.compiling',
    'ddep_tf.data',
    'ddep_tf.data.checking',
    'ddep_tf.data.importing',
    'ddep_tf.data.prepare',
    'ddep_tf.data.sources',
    'ddep_tf.evaluation',
    'ddep_tf.experiments',
    'ddep_tf.jobs',
    'ddep_tf.models',
    'ddep_tf.objectives',
    'ddep_tf.reports',
    'ddep_tf.runtime',
    'ddep_tf.serving',
    'ddep_tf.training',
]

# What a checkout has beside the package, a wheel holds inside of it:
# `python -m ddep_tf.launch.NAME` is `python launch/NAME.py`.
MAPPED = {'ddep_tf.gin_files': 'gin', 'ddep_tf.launch': 'launch'}

setuptools.setup(
    name='ddep_tf',
    version='0.1.0',
    description='Decoder Denoising Pretraining for semantic segmentation, in '
                'TensorFlow and Keras 3',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.11,<3.14',
    packages=[*PACKAGES, *MAPPED],
    package_dir=MAPPED,
    package_data={
        'ddep_tf.data': ['packaged/*/*', 'packaged/*/*/*'],
        'ddep_tf.gin_files': ['*.gin', '*/*.gin'],
    },
    install_requires=[
        'absl-py>=1.4',                   # Flags and entry points of launch/.
        'etils[epath]>=1.9.1',            # Paths of TFDS.
        'gin-config==0.5.*',              # Configuration.
        'importlib_resources>=6.0',       # Needed, not declared, by tfds.
        'keras==3.15.*',
        'matplotlib>=3.8',                # The curves of a report.
        'numpy>=1.26',
        'pillow>=10.0',                   # Masks and pictures on the host.
        'pyyaml>=6.0',                    # Jobs for Kubernetes.
        'scipy>=1.15',                    # Bootstrap of a report; .mat masks.
        'tensorboard>=2.20',              # tf.summary's writers.
        'tensorflow==2.20.*',
        'tensorflow-datasets>=4.9.7,<5',
        'tf-models-official==2.20.*',     # orbit, the training loop.
        'tqdm>=4.66',                     # Progress bars.
    ],
    extras_require={
        'docs': [                         # docs/ as a site: make docs.
            'mkdocs-material>=9.6,<10',
            'mkdocstrings[python]>=0.30',
        ],
        'gpu': ['tensorflow[and-cuda]==2.20.*'],
        'lint': [
            'mypy>=1.15',
            'pre-commit>=4.0',
            'ruff>=0.12',
        ],
        'mlflow': ['mlflow>=3.0'],        # --track=mlflow.
        'onnx': [                         # launch/export.py --format=onnx.
            'onnx>=1.18',
            'onnxruntime>=1.22',
            'tf2onnx>=1.17',
        ],
        'test': [
            'ipykernel>=6.29',            # Runs the notebook, with:
            'jsonschema>=4.23',           # Shape of a JobSet.
            'kubernetes-validate>=1.33',  # Shape of a Kubernetes Job.
            'mlflow>=3.0',
            'nbclient>=0.10',
            'playwright>=1.49',           # Reports in Chromium, where it is.
            'pycocotools>=2.0.8',         # Reference of COCO's masks.
            'pytest>=8.0',
            'pytest-xdist>=3.5',          # Tests on all cores.
            'scikit-learn>=1.4',          # Reference of the confusion matrix.
            'trustme>=1.1',               # Certificate of a gs:// on loopback.
            'uv>=0.5',                    # Resolves what setup.py asks for.
            'wandb>=0.21',
        ],
        # Frames, for prediction. tf-models-official asks for it too.
        'video': ['opencv-python-headless>=4.8'],
        'wandb': ['wandb>=0.21'],         # --track=wandb.
    },
)
