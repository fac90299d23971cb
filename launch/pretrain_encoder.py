r"""Trains an encoder as a classifier: the first stage.

  python launch/pretrain_encoder.py --gin_file=model/tiny.gin \
      --gin_file=data/shapes.gin --gin_file=stage/classify.gin \
      --run_dir=runs/encoder
"""

from ddep_tf import cli

cli.define_run_flags()

if __name__ == '__main__':
    cli.main(lambda: cli.run_stage('classify'))
