"""ImageNet-21k as TFRecord files with an index."""

import shutil

import pytest

from ddep_tf import errors

from prepare_cases import build, opened
import raw_sets


def test_imagenet21k_is_mixed_and_needs_no_scan(tmp_path, monkeypatch):
    raw_sets.imagenet21k(tmp_path, synsets=4, count=6)
    build('imagenet21k', tmp_path, shard_examples=24)
    source = opened('imagenet21k', tmp_path, 'train_split')
    monkeypatch.setattr(source, '_iterate_ids', None)  # Would be a scan.
    assert source.num_examples == 24 and source._ids is None
    classes = [int(source.decode(r)['label']) for r in source.records()]
    assert sorted(classes) == sorted([*range(4)] * 6)
    assert classes != sorted(classes)
    monkeypatch.undo()
    for name, label in zip(source.ids, classes):
        assert name.startswith(f'n{4475 + label:08d}_')


def test_an_index_of_other_files_is_not_trusted(tmp_path):
    raw_sets.imagenet21k(tmp_path, synsets=2, count=5)
    folder = build('imagenet21k', tmp_path, shard_examples=5)
    some = sorted(folder.glob('*.tfrecord'))
    assert len(some) == 2
    assert opened('imagenet21k', tmp_path, 'train_split').num_examples == 10
    some[1].unlink()
    with pytest.raises(errors.UserError, match='1 of 2 files'):
        opened('imagenet21k', tmp_path, 'train_split')
    # Built again, the missing file comes back.
    build('imagenet21k', tmp_path, shard_examples=5)
    assert opened('imagenet21k', tmp_path, 'train_split').num_examples == 10


@pytest.mark.parametrize('count', [6, 9])
def test_what_came_later_is_in_the_set_that_is_built_again(tmp_path, count):
    """In as many files as before, or in more."""
    raw_sets.imagenet21k(tmp_path, synsets=2, count=5)
    build('imagenet21k', tmp_path, shard_examples=6)
    shutil.rmtree(tmp_path / 'imagenet21k/images')
    raw_sets.imagenet21k(tmp_path, synsets=3, count=count)
    folder = build('imagenet21k', tmp_path, shard_examples=6 * count // 4)
    source = opened('imagenet21k', tmp_path, 'train_split')
    assert sorted(source.ids) == sorted({
        path.stem for path in (folder / 'images').rglob('*.JPEG')})
