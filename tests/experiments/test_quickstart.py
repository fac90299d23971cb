"""What is chosen for a folder of images, and that it is what gin reads."""

import dataclasses

import numpy as np
from PIL import Image
import pytest

from ddep_tf import configure, errors, files
from ddep_tf.data.checking import check_folder
from ddep_tf.experiments import duration, plan, quickstart

import commands

LAPTOP = quickstart.Machine(cores=4, gpus=0, memory=16)
GPU = quickstart.Machine(cores=8, gpus=1, memory=30)
FEW = quickstart.Images(labelled=12, val=4, test=0, unlabelled=100,
                        height=300, width=400, longest=400)


def _choose(images=FEW, machine=LAPTOP, encoder='small', weights='',
            compare=False):
    return quickstart.choose(images, machine, encoder, weights, compare)


def test_what_is_chosen_fits_images_and_machine():
    choice = _choose()
    assert choice.scale * 300 <= 256 and choice.crop == 128
    assert choice.arms == ('dep',) and not choice.tiles
    assert _choose(machine=GPU).scale == 1 and _choose(
        machine=GPU).crop == 256
    small = dataclasses.replace(FEW, height=40, width=90)
    assert (_choose(small).crop, _choose(small).scale) == (32, 1)
    with pytest.raises(errors.UserError, match='8 x 9 pixels'):
        _choose(dataclasses.replace(FEW, height=9, width=8))
    large = dataclasses.replace(FEW, height=3000, width=4000, longest=4000)
    assert _choose(large).scale == 0.0853 and not _choose(large).tiles
    # One of them is longer than what it is resized by can make small.
    assert _choose(dataclasses.replace(large, longest=20000)).tiles
    many = dataclasses.replace(FEW, labelled=10 ** 6)
    assert _choose().segment_steps < _choose(many).segment_steps == 3000
    poor = dataclasses.replace(LAPTOP, memory=4)
    assert _choose(machine=poor).batch < choice.batch
    assert _choose(weights='weights/x.npz', compare=True).arms == (
        'supervised', 'ddep')


@pytest.mark.parametrize('gpus', range(1, 9))
def test_every_gpu_gets_the_same_number_of_images(gpus):
    batch = _choose(machine=dataclasses.replace(GPU, gpus=gpus)).batch
    assert batch % gpus == 0 and 16 <= batch < 16 + gpus


@pytest.fixture(name='folder')
def _folder(tmp_path):
    """A folder of 32 x 48 images, two without masks."""
    rng = np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2), ('unlabelled', 2)):
        for kind in ('images', 'masks')[:1 + (split != 'unlabelled')]:
            where = tmp_path / 'data' / kind / split
            where.mkdir(parents=True)
            for index in range(count):
                size = (32, 48, 3) if kind == 'images' else (32, 48)
                top = 256 if kind == 'images' else 2
                Image.fromarray(rng.integers(0, top, size, np.uint8)).save(
                    where / f'{split}{index}.png')
    files.write_json(tmp_path / 'data' / 'classes.json', {'classes': [
        {'id': 0, 'name': 'a', 'color': '#000000'},
        {'id': 1, 'name': 'b', 'color': '#ff0000'}]})
    return tmp_path / 'data'


@pytest.mark.parametrize('weights, compare, machine', [
    ('', True, LAPTOP), ('weights/EfficientNetV2B0.npz', False, GPU)])
def test_the_gin_file_says_what_was_chosen(folder, tmp_path, weights, compare,
                                           machine):
    run, _ = configure.load_run('segment', ['data/folder.gin'], [], folder)
    images = quickstart.look(check_folder.check(run.data[0], folder))
    assert images == quickstart.Images(4, 2, 0, 2, 32, 48, 48)
    name = quickstart.PRETRAINED if weights else 'small'
    choice = _choose(images, machine, name, weights, compare)
    path = tmp_path / 'quickstart.gin'
    path.write_text(quickstart.gin_text(choice, images, machine, ['run it']))
    spec, stages, _ = configure.load_experiment([str(path)], [], folder)
    assert (spec.arms, spec.encoder_weights) == (choice.arms, weights)
    denoise, segment = (stages[''][stage] for stage in ('denoise', 'segment'))
    assert [len(run.data) for run in (denoise, segment)] == [2, 1]
    assert (denoise.steps, segment.steps) == (
        choice.denoise_steps, choice.segment_steps)
    for run in (denoise, segment):
        assert run.encoder.name == name
        assert run.crop_size == (choice.crop, choice.crop)
        assert run.global_batch_size == choice.batch
        assert {data.scale for data in run.data} == {choice.scale}
    assert segment.data[0].test_split == 'val'
    assert [c.name for c in segment.data[0].classes] == ['a', 'b']


def test_a_folder_without_masks_is_refused(folder):
    for path in (folder / 'masks' / 'val').iterdir():
        path.unlink()
    run, _ = configure.load_run('segment', ['data/folder.gin'], [], folder)
    found = check_folder.check(run.data[0], folder)
    with pytest.raises(errors.UserError, match='images/val has a mask'):
        quickstart.look(found)


def test_more_steps_take_longer():
    params = ['data/folder_unlabelled.gin', 'model/tiny.gin']
    bound = ["ExperimentSpec.name='x'", "ExperimentSpec.arms=['dep']",
             'folder/DatasetSpec.num_classes=2', 'RunSpec.crop_size=(32, 32)']

    def seconds(steps, flops=1e9):
        spec, stages, _ = configure.load_experiment(
            params, [*bound, f'RunSpec.steps={steps}'])
        return duration.seconds(plan.Plan(spec, stages, '', ''), flops, 4, 4,
                                1024)
    one, two = seconds(100), seconds(200)
    assert one < two < 2 * one
    assert seconds(200, 1e12) < two
    assert duration.device_flops(0) > 1e8
    assert duration.device_flops(2) == 2 * duration.device_flops(1)


def test_the_command_chooses_and_estimates(folder, tmp_path):
    flags = [f'--data_dir={folder}', f'--run_dir={tmp_path / "run"}']
    code, out, err = commands.run('quickstart', *flags, '--encoder=tiny',
                                  '--dry_run')
    assert code == 0, err
    assert 'about' in out and 'minutes' in out
    path = tmp_path / 'run' / 'quickstart.gin'
    assert 'model/tiny.gin' in path.read_text()
    for flag in (f'--data_dir={tmp_path}/none', '--encoder=nonsense'):
        code, _, err = commands.run('quickstart', *flags, flag,
                                    f'--run_dir={tmp_path / "other"}')
        assert code == 2 and flag.split('=')[1] in err.splitlines()[-1], err
    assert not (tmp_path / 'other').exists()


@pytest.mark.full
def test_from_a_folder_to_a_model(folder, tmp_path):
    """Stopped after the choice; it then runs the file as its owner left it."""
    flags = [f'--data_dir={folder}', f'--run_dir={tmp_path / "run"}']
    code, _, err = commands.run('quickstart', *flags, '--encoder=tiny',
                                '--compare', '--dry_run')
    assert code == 0, err
    path = tmp_path / 'run' / 'quickstart.gin'
    path.write_text(path.read_text() + (
        'denoise/RunSpec.steps = 2\nsegment/RunSpec.steps = 2\n'
        'segment/RunSpec.eval_every = 1\nRunSpec.eager = True\n'))
    code, out, err = commands.run('quickstart', *flags, '--compare')
    assert code == 0, err
    assert 'taken as it is' in out and '| dep |' in out and 'report:' in out
    for arm in ('scratch', 'dep'):
        assert (tmp_path / 'run' / 'runs' / f'segment-{arm}-nall-s0' /
                'weights.npz').exists()
    code, out, err = commands.run('quickstart', *flags, '--compare')
    assert code == 0 and '| dep |' in out, err
