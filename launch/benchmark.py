r"""Runs the whole chain on the real network, a few steps each, and measures it.

  python launch/benchmark.py --data_dir=DATA --gin_file=data/camvid.gin \
      --output_dir=results/r50_chain

Published .npz -> denoise -> fine-tune -> killed and resumed -> evaluated, each
by its own command: seconds and peak memory of every one. Without --weights, a
file of the published layout with random numbers stands in for the real one.
"""

import csv
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from absl import flags

from ddep_tf import cli, files

flags.DEFINE_multi_string('gin_file', [], 'The data set.')
flags.DEFINE_multi_string('gin_param', [], 'Bound in every command.')
flags.DEFINE_string('data_dir', os.environ.get('DDEP_DATA_DIR', 'data'),
                    'Root folder of the data sets; else $DDEP_DATA_DIR.')
flags.DEFINE_string('weights', '', 'R50+ViT-B_16.npz; else random numbers.')
flags.DEFINE_string('output_dir', '', 'Where README.md and commands.csv go.')
flags.DEFINE_string('work_dir', '', 'Folder of the runs; else a temporary one.')
flags.DEFINE_integer('steps', 4, 'Of each stage.')
flags.DEFINE_integer('batch_size', 2, 'Images a step.')
FLAGS = flags.FLAGS

LAUNCH = pathlib.Path(__file__).resolve().parent
_COLUMNS = ('what', 'seconds', 'peak_gib', 'exit_code')
_MAKE = ('from ddep_tf.models import encoder, weights; import sys; '
         'weights.save_npz(sys.argv[1], weights.export_arrays('
         "encoder.build_classifier('r50_vit_b16', 21843, 768)))")


class Chain:
    """The commands in turn, and what each took.

    Args:
      where: pathlib.Path, folder of the runs.
    """

    def __init__(self, where):
        self.where = where
        self.rows = []

    def run(self):
        """Runs all. RuntimeError where a command fails, or what the killed
        run ends with is not what one that ran through ends with."""
        weights = FLAGS.weights or self._make_weights()
        denoised, tuned = self.where / 'denoise', self.where / 'segment'
        self._do('denoise', 'pretrain_decoder', *_stage('denoise'),
                 f'--init_encoder={weights}', f'--run_dir={denoised}')
        tune = ('finetune', *_stage('segment'), f'--init_encoder={denoised}',
                f'--init_decoder={denoised}')
        self._kill(tuned, *tune, f'--run_dir={tuned}')
        self._do('fine-tune, resumed', *tune, f'--run_dir={tuned}')
        whole = self.where / 'segment_whole'
        self._do('fine-tune in one go', *tune, f'--run_dir={whole}')
        if _sha256(tuned) != _sha256(whole):
            raise RuntimeError('the resumed run ended with other weights')
        self._do('evaluate', 'evaluate', f'--run_dir={tuned}',
                 f'--data_dir={FLAGS.data_dir}',
                 f'--output={self.where / "evaluation.json"}')

    def _make_weights(self):
        path = self.where / 'R50+ViT-B_16.npz'
        if not path.exists():
            self._measure('random weights', [sys.executable, '-c', _MAKE,
                                             str(path)])
        return path

    def _do(self, what, *command):
        self._measure(what, _command(*command))

    def _measure(self, what, command):
        print(f'--- {what}', flush=True)
        self._wait(what, time.monotonic(), _start(command))

    def _kill(self, run_dir, *command):
        """Kills a run as soon as it has saved a state before its end."""
        print('--- fine-tune, killed', flush=True)
        begun, process = time.monotonic(), _start(_command(*command))
        while process.poll() is None and not (
                run_dir / 'state' / 'checkpoint').exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        self._wait('fine-tune, killed', begun, process, -signal.SIGKILL)

    def _wait(self, what, begun, process, expected=0):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        self.rows.append({
            'what': what, 'seconds': round(time.monotonic() - begun, 1),
            'peak_gib': round(usage.ru_maxrss / 2 ** 20, 2),
            'exit_code': code})
        if code != expected:
            raise RuntimeError(f'{what} ended with exit code {code}')


def _command(launcher, *arguments):
    return [sys.executable, str(LAUNCH / f'{launcher}.py'), *arguments]


def _start(command):
    """Starts a command with the package of this checkout."""
    path = os.pathsep.join(filter(None, [
        str(LAUNCH.parent), os.environ.get('PYTHONPATH', '')]))
    return subprocess.Popen(command, env={**os.environ, 'PYTHONPATH': path})


def _stage(stage):
    files = ['model/r50_vit_b16.gin', 'width/1x.gin', *FLAGS.gin_file,
             f'stage/{stage}.gin']
    params = [f'{stage}/RunSpec.steps={FLAGS.steps}',
              f'{stage}/RunSpec.global_batch_size={FLAGS.batch_size}',
              f'{stage}/RunSpec.crop_size=(224, 224)',
              f'{stage}/RunSpec.checkpoint_every=1',
              f'{stage}/RunSpec.log_every=1', *FLAGS.gin_param]
    return [f'--data_dir={FLAGS.data_dir}',
            *(f'--gin_file={name}' for name in files),
            *(f'--gin_param={param}' for param in params)]


def _sha256(run_dir):
    return json.loads((run_dir / 'weights.json').read_text())['sha256']


def _step_seconds(run_dir):
    """Seconds of a step: the median, without the first, which traces."""
    with open(run_dir / 'metrics.csv', newline='', encoding='utf-8') as file:
        seconds = sorted(float(row['step_seconds'])
                         for row in list(csv.DictReader(file))[1:])
    return seconds[len(seconds) // 2]


def _write(chain, folder):
    """Writes commands.csv and README.md."""
    from ddep_tf.runtime import run_folder as folders
    folder.mkdir(parents=True, exist_ok=True)
    lines = [_COLUMNS, *(tuple(row[c] for c in _COLUMNS)
                         for row in chain.rows)]
    files.write_text(folder / 'commands.csv', ''.join(
        ','.join(f'"{cell}"' if ',' in str(cell) else str(cell)
                 for cell in line) + '\n' for line in lines))
    steps = {name: _step_seconds(chain.where / name)
             for name in ('denoise', 'segment_whole')}
    rows = ['| command | seconds | peak memory (GiB) |', '|---|---:|---:|',
            *(f'| {row["what"]} | {row["seconds"]} | {row["peak_gib"]} |'
              for row in chain.rows)]
    files.write_text(folder / 'README.md', '\n'.join([
        '# The chain on the real network',
        '', '<!-- Written by launch/benchmark.py: do not edit. -->', '',
        f'R50+ViT-B/16, decoder 1x, crops of 224 x 224, {FLAGS.steps} steps of '
        f'{FLAGS.batch_size} images a stage, {os.cpu_count()} cores, commit '
        f'`{folders.commit()}`. ' + _weights_sentence(), '', *rows, '',
        'A step took '
        f'{steps["denoise"]:.2f} s (denoising) and '
        f'{steps["segment_whole"]:.2f} s (fine-tuning), median without the '
        'first. The fine-tuning that was killed by SIGKILL after a saved step '
        'and resumed ended with the same weights, bit for bit, as the one in '
        'one go. Scores of a few steps mean nothing, and are not given.', '',
        '```', *_invocation(), '```', '']))


def _weights_sentence():
    if FLAGS.weights:
        return f'Encoder from {os.path.basename(FLAGS.weights)}.'
    return ('The encoder came from a file of the published layout '
            '(ImageNet-21k, 224 x 224, head of 21,843) with random numbers.')


def _invocation():
    """This command as it can be typed again, without folders of its own."""
    flags_ = [*(f'--gin_file={name}' for name in FLAGS.gin_file),
              *(shlex.quote(f'--gin_param={text}')
                for text in FLAGS.gin_param),
              f'--steps={FLAGS.steps}', f'--batch_size={FLAGS.batch_size}']
    return ['python launch/benchmark.py --data_dir=DATA --output_dir=OUTPUT \\',
            ' \\\n'.join(f'    {flag}' for flag in flags_)]


def main():
    from ddep_tf import errors
    if not FLAGS.output_dir or not FLAGS.gin_file:
        raise errors.UserError('--output_dir and --gin_file are needed: where '
                               'the numbers go, and a file of gin/data')
    with tempfile.TemporaryDirectory() as temporary:
        where = pathlib.Path(FLAGS.work_dir or temporary)
        where.mkdir(parents=True, exist_ok=True)
        chain = Chain(where)
        chain.run()
        _write(chain, pathlib.Path(FLAGS.output_dir))


if __name__ == '__main__':
    cli.main(main)
