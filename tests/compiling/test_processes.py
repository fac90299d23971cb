"""Lowering and compiling, by the launcher as a user types it."""

import json
import os
import re
import sys

import pytest

from ddep_tf import configure, errors
from ddep_tf.compiling import environment, processes
from ddep_tf.compiling import program as program_lib

import commands

FILES = ('model/tiny.gin', 'data/shapes.gin')
SMALL = ('RunSpec.crop_size=(32, 32)', 'DecoderSpec.entry_channels=16',
         'DecoderSpec.block_channels=(16, 16, 16, 16)')


def _program(stage='denoise', batch=2, params=()):
    run, _ = configure.load_run(stage, FILES, (*SMALL, *params))
    return program_lib.train_step(run, 'v4:2x2x1', batch)


def _compile(stage, *args):
    return commands.run(
        'compile_tpu', f'--stage={stage}',
        *(f'--gin_file={name}' for name in FILES),
        *(f'--gin_param={text}' for text in SMALL), *args)


@pytest.fixture(scope='session')
def libtpu():
    """Skips where the environment of libtpu cannot be made."""
    try:
        return environment.python()
    except errors.UserError as error:
        pytest.skip(str(error))


def test_a_small_step_compiles_for_a_chip_that_is_not_there(libtpu):
    code, out, err = _compile('denoise', '--batch=2')
    assert code == 0, err
    assert 'tiny 1x, float32, denoise 32 x 32, 2 images a chip' in out
    total, *parts = map(float, re.search(
        r'v4: fits, ([\d.]+) of 32 GiB a chip .* arguments ([\d.]+), outputs '
        r'([\d.]+), temporaries ([\d.]+), code ([\d.]+)', out).groups())
    # Weights, and both moments of the decoder.
    assert 0.001 < total < 0.2 and abs(total - sum(parts)) < 0.03


@pytest.mark.full
def test_a_step_with_all_its_options_has_hlo(tmp_path, monkeypatch):
    """Needs TensorFlow alone, with the settings that a TPU has."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    program = _program('segment', params=(
        "RunSpec.precision='mixed_bfloat16'", 'RunSpec.remat=True',
        'RunSpec.accumulate=2', "LossSpec.class_weights='balanced'"))
    hlo, seconds, host = processes._lowered(program)
    assert b'while' in hlo.read_bytes() and seconds > 0
    assert 0.1 < host < 4


def _evaluation(params=()):
    run, _ = configure.load_run('segment', FILES, (
        *SMALL, 'EvalSpec.tile=(32, 32)', 'EvalSpec.flip=True', *params))
    return program_lib.evaluation(run, (40, 64), 2)


def test_an_evaluation_has_hlo(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    hlo, *_ = processes._lowered(_evaluation())
    assert b'while' in hlo.read_bytes()


@pytest.mark.full
def test_an_evaluation_compiles(libtpu):
    found = processes.compile_for(_evaluation(), 'v5e:2x2')
    assert found.outcome == program_lib.FITS and found.gflop > 0


@pytest.mark.full
@pytest.mark.parametrize('stage, params', [
    ('segment', ("RunSpec.precision='mixed_bfloat16'",)),
    ('segment', ("RunSpec.precision='mixed_bfloat16'", 'RunSpec.remat=True',
                 'RunSpec.accumulate=2')),
    ('denoise', ("RunSpec.precision='mixed_bfloat16'",)),
    ('classify', ())])
@pytest.mark.parametrize('topology', ['v4:2x2x1', 'v5e:2x2'])
def test_every_stage_and_precision_compiles(libtpu, stage, params, topology):
    found = processes.compile_for(_program(stage, params=params), topology)
    assert found.outcome == program_lib.FITS
    assert found.gflop > 0 and found.temporaries > 0


@pytest.mark.full
def test_what_does_not_fit_is_a_result(libtpu):
    program = _program(batch=256, params=('RunSpec.crop_size=(512, 512)',))
    found = processes.compile_for(program, 'v5e:2x2')
    assert found.outcome == program_lib.TOO_LARGE and found.total > 15.75


def test_bad_flags_are_one_line():
    code, _, err = _compile('denoise', '--topology=v9:2x2')
    assert code == 2 and len(err.splitlines()) == 1
    assert 'v4:2x2x1 or v5e:2x2' in err
    code, _, err = _compile('denoise',
                            '--gin_param=RunSpec.global_batch_size=6')
    assert code == 2 and 'does not divide over the 4 chips' in err
    for flag, words in (
            ((), 'EvalSpec.tile is not set'),
            (('--image_size=64', '--gin_param=EvalSpec.tile=(32, 32)'),
             'HEIGHT,WIDTH')):
        code, _, err = _compile('segment', '--what=evaluate', *flag)
        assert code == 2 and words in err
    code, _, err = _compile('denoise', '--batch=2', '--table')
    assert code == 2 and '--output_dir' in err


def test_the_batch_is_shared_out_over_the_chips():
    run, _ = configure.load_run('denoise', [*FILES, 'stage/denoise.gin'])
    program = program_lib.train_step(run, 'v4:4x4x2')
    assert (run.global_batch_size, program.run.global_batch_size) == (512, 16)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Returns a function that has a script take the compiler's place."""
    def replace(code):
        script = tmp_path / 'compiler.py'
        script.write_text(code)
        monkeypatch.setattr(processes, '_COMPILER', script)
        monkeypatch.setattr(processes, '_lowered',
                            lambda program: ('x.hlo', 1.0, 2.0))
        monkeypatch.setattr(environment, 'python', lambda: sys.executable)
        return processes.compile_for(_program(), 'v4:2x2x1')
    return replace


def test_the_compilers_word_on_memory_is_understood(fake):
    words = ('RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used '
             '40.50G of 30.75G hbm. Exceeded hbm capacity by 9.75G.')
    told = json.dumps({'exhausted': words, 'seconds': 3, 'host': 2 ** 30})
    found = fake(f'print({told!r})')
    assert (found.outcome, found.total) == ('does not fit', 40.5)
    assert (found.host, found.compile_seconds) == (2.0, 3)


def test_both_cores_of_a_v4_are_one_chip(fake):
    """Else the compiler takes one core, with half of the memory."""
    with pytest.raises(errors.UserError, match='v4:2x2x1 megacore'):
        fake('import sys; sys.exit(" ".join(sys.argv[2:]))')


def test_a_failure_is_one_line(fake):
    with pytest.raises(errors.UserError, match='^libtpu does not .*: bad op$'):
        fake('import sys; sys.exit("first\\nbad op")')
    with pytest.raises(errors.UserError, match='signal 9'):
        fake('import os; os.kill(os.getpid(), 9)')


def test_what_takes_too_long_is_stopped(fake, monkeypatch):
    monkeypatch.setattr(processes, '_LIMITED', [
        part.replace(str(processes.SECONDS), '1')
        for part in processes._LIMITED])
    assert fake('while True: pass').outcome == program_lib.TIMED_OUT


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    uv = tmp_path / 'uv'
    uv.write_text('#!/bin/sh\necho no route to the index >&2; exit 1\n')
    uv.chmod(0o755)
    monkeypatch.setattr(environment, '_uv', lambda: str(uv))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    with pytest.raises(errors.UserError, match='no route to the index'):
        environment.python()
    assert not os.listdir(tmp_path / 'cache' / 'ddep_tf')


def test_hlo_is_lowered_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(processes, '_run', lambda command, failure: (
        asked.append(command), {'seconds': 9.0, 'host': 2 ** 30})[1])
    first = processes._lowered(_program())
    assert processes._lowered(_program()) == first and len(asked) == 1
    processes._lowered(_program(batch=4))
    assert len(asked) == 2
