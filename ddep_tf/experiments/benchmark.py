"""Measures the chain from published weights to evaluation, by command. No TF.

Each stage is a command of its own, as a user would run it: its seconds and its
peak memory are measured.
"""

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from ddep_tf import files, specs
from ddep_tf.runtime import child_process, run_folder

COLUMNS = ('what', 'seconds', 'peak_gib', 'exit_code')


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
      gin_files: the data set, and files that bind over it.
      gin_params: NAME=VALUE, bound in every command.
      data_dir: root folder of the data.
      weights: R50+ViT-B_16.npz; '' takes random numbers.
      steps: of each stage.
      batch_size: images per step.
    """
    gin_files: tuple[str, ...]
    gin_params: tuple[str, ...]
    data_dir: str
    weights: str
    steps: int
    batch_size: int

    def of_stage(self, stage: str) -> list[str]:
        """Returns the flags of a command that trains a stage."""
        gin_files = ['model/r50_vit_b16.gin', 'width/1x.gin', *self.gin_files,
                     f'stage/{stage}.gin']
        params = [f'{stage}/RunSpec.steps={self.steps}',
                  f'{stage}/RunSpec.global_batch_size={self.batch_size}',
                  f'{stage}/RunSpec.crop_size=(224, 224)',
                  f'{stage}/RunSpec.checkpoint_every=1',
                  f'{stage}/RunSpec.log_every=1', *self.gin_params]
        return [f'--data_dir={self.data_dir}',
                *(f'--gin_file={name}' for name in gin_files),
                *(f'--gin_param={param}' for param in params)]


class Chain:
    """The commands of the chain, and what each of them took.

    Args:
      settings: Settings.
      work_dir: folder of the runs.

    Attributes:
      rows: list of {column of COLUMNS: value}.
    """

    def __init__(self, settings: Settings, work_dir: pathlib.Path):
        self.settings = settings
        self.work_dir = work_dir
        self.rows: list[dict[str, object]] = []

    def run(self) -> None:
        """Runs all commands.

        Raises:
          RuntimeError: a command failed, or the run that was killed and
            resumed ended with other weights than one that ran through.
        """
        weights = self.settings.weights or self._make_weights()
        denoised, tuned, whole = (
            self.work_dir / name
            for name in ('denoise', 'segment', 'segment_whole'))
        self._do('denoise', _launch(
            'pretrain_decoder', *self.settings.of_stage(specs.DENOISE),
            f'--init_encoder={weights}', f'--run_dir={denoised}'))
        tune = _launch('finetune', *self.settings.of_stage(specs.SEGMENT),
                       f'--init_encoder={denoised}',
                       f'--init_decoder={denoised}')
        self._kill('fine-tune, killed', tuned, [*tune, f'--run_dir={tuned}'])
        self._do('fine-tune, resumed', [*tune, f'--run_dir={tuned}'])
        self._do('fine-tune in one go', [*tune, f'--run_dir={whole}'])
        if _sha256(tuned) != _sha256(whole):
            raise RuntimeError('the resumed run ended with other weights')
        self._do('evaluate', _launch(
            'evaluate', f'--run_dir={tuned}',
            f'--data_dir={self.settings.data_dir}',
            f'--output={self.work_dir / "evaluation.json"}'))

    def step_seconds(self) -> dict[str, float]:
        """Returns {stage: median seconds of a step}, without the first.

        The first step includes the tracing.
        """
        found = {}
        for stage, name in ((specs.DENOISE, 'denoise'),
                            (specs.SEGMENT, 'segment_whole')):
            rows = files.read_csv(self.work_dir / name / 'metrics.csv')[1:]
            seconds = sorted(float(row['step_seconds']) for row in rows)
            found[stage] = seconds[len(seconds) // 2]
        return found

    def _make_weights(self) -> pathlib.Path:
        path = self.work_dir / 'R50+ViT-B_16.npz'
        if not path.exists():
            self._do('random weights', [
                sys.executable, '-m', 'ddep_tf.experiments.random_weights',
                str(path)])
        return path

    def _do(self, what: str, command: Sequence[str]) -> None:
        print(f'--- {what}', flush=True)
        self._wait(what, time.monotonic(), _start(command))

    def _kill(self, what: str, run_dir: pathlib.Path,
              command: Sequence[str]) -> None:
        """Kills a run as soon as it has saved a state before its end."""
        print(f'--- {what}', flush=True)
        begin, process = time.monotonic(), _start(command)
        while process.poll() is None and not (
                run_dir / 'state' / 'checkpoint').exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        self._wait(what, begin, process, -signal.SIGKILL)

    def _wait(self, what, begin, process, expected=0):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = code = os.waitstatus_to_exitcode(status)
        self.rows.append({
            'what': what, 'seconds': round(time.monotonic() - begin, 1),
            'peak_gib': round(usage.ru_maxrss / 2 ** 20, 2),
            'exit_code': code})
        if code != expected:
            raise RuntimeError(f'{what} ended with exit code {code}')


def write(chain: Chain, output_dir: pathlib.Path) -> None:
    """Writes commands.csv and README.md."""
    output_dir.mkdir(parents=True, exist_ok=True)
    files.write_text(output_dir / 'commands.csv',
                     files.csv_text(COLUMNS, chain.rows))
    files.write_text(output_dir / 'README.md', _readme(chain))


def _readme(chain: Chain) -> str:
    settings, steps = chain.settings, chain.step_seconds()
    rows = ['| command | seconds | peak memory (GiB) |', '|---|---:|---:|',
            *(f'| {row["what"]} | {row["seconds"]} | {row["peak_gib"]} |'
              for row in chain.rows)]
    return '\n'.join([
        '# The chain on the real network',
        '', '<!-- Written by launch/benchmark.py: do not edit. -->', '',
        'R50+ViT-B/16, decoder 1x, crops of 224 x 224, '
        f'{settings.steps} steps of {settings.batch_size} images a stage, '
        f'{os.cpu_count()} cores, commit `{run_folder.commit()}`. '
        + _weights_sentence(settings), '', *rows, '',
        f'A step took {steps[specs.DENOISE]:.2f} s (denoising) and '
        f'{steps[specs.SEGMENT]:.2f} s (fine-tuning), median without the '
        'first. The fine-tuning that was killed by SIGKILL after a saved step '
        'and resumed ended with the same weights, bit for bit, as the one in '
        'one go. Scores of a few steps mean nothing, and are not given.', '',
        '```', _invocation(settings), '```', ''])


def _weights_sentence(settings: Settings) -> str:
    if settings.weights:
        return f'Encoder from {files.path(settings.weights).name}.'
    return ('The encoder came from a file of the published layout '
            '(ImageNet-21k, 224 x 224, head of 21,843) with random numbers.')


def _invocation(settings: Settings) -> str:
    """Returns the command to type again, without this machine's folders."""
    flags = [*(f'--gin_file={name}' for name in settings.gin_files),
             *(f'--gin_param={text}' for text in settings.gin_params),
             f'--steps={settings.steps}', f'--batch_size={settings.batch_size}']
    return ' \\\n    '.join([
        'python launch/benchmark.py --data_dir=DATA --output_dir=OUTPUT',
        *map(shlex.quote, flags)])


def _launch(name: str, *flags: str) -> list[str]:
    """Returns the command of a launcher."""
    return [sys.executable, '-m', f'ddep_tf.launch.{name}', *flags]


def _start(command: Sequence[str]) -> subprocess.Popen:
    return subprocess.Popen(command, env=child_process.environment())


def _sha256(run_dir: pathlib.Path) -> str:
    return files.read_json(run_dir / 'weights.json')['sha256']
