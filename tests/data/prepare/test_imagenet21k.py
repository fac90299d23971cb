"""ImageNet-21k as TFRecord files with an index."""

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
    total = opened('imagenet21k', tmp_path, 'train_split').num_examples
    some[1].unlink()
    rest = opened('imagenet21k', tmp_path, 'train_split')
    assert total == 10 and 0 < rest.num_examples < 10
    assert rest.num_examples == len(list(rest.records()))
    # Built again, the missing file comes back.
    build('imagenet21k', tmp_path, shard_examples=5)
    assert opened('imagenet21k', tmp_path, 'train_split').num_examples == 10
