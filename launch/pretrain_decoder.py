r"""Trains the decoder to denoise, the encoder frozen: the second stage.

  python launch/pretrain_decoder.py --gin_file=model/r50_vit_b16.gin \
      --gin_file=width/1x.gin --gin_file=data/imagenet2012.gin \
      --gin_file=stage/denoise.gin --init_encoder=R50+ViT-B_16.npz \
      --run_dir=runs/denoise
"""

from ddep_tf import cli

cli.define_run_flags()

if __name__ == '__main__':
    cli.main(lambda: cli.run_stage('denoise'))
