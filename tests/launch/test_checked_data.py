"""What one process has checked, the next one does not decode again."""

import json
import os

import pytest

from commands import run
import layouts

FLAGS = ['--gin_file=model/tiny.gin', '--gin_file=data/folder.gin',
         '--gin_file=stage/segment.gin',
         '--gin_param=folder/DatasetSpec.num_classes=3',
         '--gin_param=segment/RunSpec.crop_size=(32, 32)',
         '--gin_param=segment/RunSpec.global_batch_size=2',
         '--gin_param=segment/RunSpec.steps=1']


def _finetune(folder, name):
    return run('finetune', *FLAGS, f'--data_dir={folder}',
               f'--run_dir={folder.parent / name}',
               XDG_CACHE_HOME=str(folder.parent))


@pytest.mark.full
def test_the_second_start_trusts_the_first_one(tmp_path):
    folder = tmp_path / 'data'
    layouts.folder(folder)
    code, _, err = _finetune(folder, 'first')
    assert code == 0, err
    notes = {path: path.read_text() for path in tmp_path.glob(
        'ddep_tf/checked/*.json')}
    assert [json.loads(text)['files'] for text in notes.values()] == [6, 6]
    # Damaged without a trace in its size and time, a mask is found when a
    # step decodes it, and not before.
    mask = min((folder / 'masks/train').iterdir())
    good, stamp = mask.read_bytes(), os.stat(mask)
    mask.write_bytes(good[:-30] + bytes(10) + good[-20:])
    os.utime(mask, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    code, out, err = _finetune(folder, 'second')
    assert code == 2 and mask.stem in err, err
    assert 'step 0 of 1' in out and 'looking for it' in out
    assert notes == {path: path.read_text() for path in notes}
