"""launch/predict.py, as a user types it."""

import os

import numpy as np
from PIL import Image
import pytest

from ddep_tf import files

import clips
import commands
import saved_runs
from source_cases import claiming


@pytest.fixture(scope='module')
def run_dir(make_run, tmp_path_factory):
    path = tmp_path_factory.mktemp('run')
    saved_runs.save_random(make_run('segment'), path)
    return path


def photo(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(path)


def predict(run_dir, *args):
    code, out, err = commands.run('predict', f'--run_dir={run_dir}', *args)
    # Nothing but the bar, and one line if it fails.
    assert not any(word in err for word in ('Traceback', 'WARN', 'moov'))
    return code, out, [line for line in err.splitlines()
                       if line.startswith('predict.py:')]


def test_photos_and_videos_of_all_kinds(run_dir, tmp_path):
    """Sizes that fit no stride, tiles, frames, and one broken file."""
    photo(tmp_path / 'in/a.jpg', (37, 51))
    photo(tmp_path / 'in/deep/a.png', (50, 33))
    photo(tmp_path / 'in/thin.jpg', (1, 40))
    (tmp_path / 'in' / os.fsdecode(b'br\xf6ken.jpg')).write_text('no image')
    (tmp_path / 'in/broken.mp4').write_text('not a video')
    clips.write(tmp_path / 'in/clip.mkv', 5)
    out = tmp_path / 'in/out'
    code, text, err = predict(
        run_dir, f'--input={tmp_path}/in/**/*', f'--output_dir={out}',
        '--write=ids,overlay,probabilities,legend,summary', '--frame_step=2',
        '--gin_param=EvalSpec.tile=(32, 32)', '--gin_param=EvalSpec.flip=True')
    assert code == 0 and not err
    assert f'6 masks in {out}' in text
    assert f'cannot read the image {tmp_path}/in/br\\udcf6ken.jpg' in text
    assert f'skipped: cannot read the video {tmp_path}/in/broken.mp4' in text
    assert '2 of 6 skipped' in text
    sizes = {'a': (37, 51), 'deep/a': (50, 33), 'thin': (1, 40),
             **{f'clip/{number:06d}': (24, 32) for number in (0, 2, 4)}}
    assert {path.relative_to(out).as_posix() for path in out.rglob('*.*')} == {
        'legend.png', 'summary.csv', *(
            name + end for name in sizes
            for end in ('.png', '_overlay.png', '_probabilities.npz'))}
    for row in files.read_csv(out / 'summary.csv'):
        height, width = sizes[row['image']]
        assert row['width'] == str(width)
        ids = np.asarray(Image.open(out / f'{row["image"]}.png'))
        assert ids.shape == (height, width)
        for index, name in enumerate(('background', 'disc', 'square')):
            assert int(row[f'{name} pixels']) == (ids == index).sum()
        with np.load(out / f'{row["image"]}_probabilities.npz') as arrays:
            odds = arrays['probabilities'].astype('f4')
        np.testing.assert_allclose(odds.sum(-1), 1, atol=5e-3)
        best = np.take_along_axis(odds, ids[..., None].astype(int), -1)[..., 0]
        np.testing.assert_array_equal(best, odds.max(-1))


def test_what_cannot_be_read_ends_it_where_asked_or_where_nothing_is_left(
        run_dir, tmp_path):
    photo(tmp_path / 'in/b.png', (8, 8))
    bomb = tmp_path / 'in/a.png'
    photo(bomb, (8, 8))
    claiming(bomb, 60_000)
    for inputs in ([bomb], [tmp_path / 'in', '--strict']):
        code, _, (line,) = predict(run_dir, f'--input={inputs[0]}',
                                   *inputs[1:], f'--output_dir={tmp_path}/out')
        assert code == 2 and 'a.png' in line and '--max_image_pixels' in line
    assert not (tmp_path / 'out').exists()


def test_workers_that_would_write_the_same_files_are_refused(
        run_dir, tmp_path):
    photo(tmp_path / 'a.jpg', (8, 8))
    code, _, (line,) = predict(run_dir, f'--input={tmp_path}/a.jpg',
                               '--strategy=multi_worker',
                               f'--output_dir={tmp_path}/out')
    assert code == 2 and 'give each machine a part of the images' in line
    assert not (tmp_path / 'out').exists()


def test_dry_run_counts_what_is_found(run_dir, tmp_path):
    for name in ('a.jpg', 'x/b.jpg'):
        photo(tmp_path / name, (8, 8))
    code, out, _ = predict(run_dir, f'--input={tmp_path}/**/*.jpg',
                           '--dry_run', f'--output_dir={tmp_path}/out')
    assert code == 0 and ': 2 images and videos to' in out
    assert not (tmp_path / 'out').exists()
