r"""Fine-tunes encoder and decoder on labelled images: the third stage.

  python launch/finetune.py --gin_file=model/efficientnet_lite0.gin \
      --gin_file=data/camvid.gin --gin_file=stage/segment.gin \
      --gin_param='segment/RunSpec.crop_size=(128, 160)' \
      --gin_param=RunSpec.label_count=40 \
      --init_encoder=runs/denoise --init_decoder=runs/denoise \
      --run_dir=runs/segment
"""

from ddep_tf import cli

cli.define_run_flags()

if __name__ == '__main__':
    cli.main(lambda: cli.run_stage('segment'))
