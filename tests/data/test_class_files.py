"""classes.json: read, written, refused, and what the house makes of it."""

import json

import pytest

from ddep_tf import configure, errors, spec_base, specs
from ddep_tf.data import class_files, labels

pytestmark = pytest.mark.quick

CLASSES = (specs.ClassSpec(id=0, name='background', color='#000000'),
           specs.ClassSpec(id=7, name='Fußgänger', color='#e6194b'),
           specs.ClassSpec(id=3, name='car', color='#3cb44b'))
FILES = ['model/tiny.gin', 'data/folder.gin']


@pytest.fixture
def folder(tmp_path):
    class_files.write(tmp_path / 'classes.json', CLASSES)
    return tmp_path


def load(stage, data_dir, *params):
    return configure.load_run(
        stage, [*FILES, f'stage/{stage}.gin'], params, data_dir)[0]


def test_colors_may_be_in_capitals():
    assert specs.ClassSpec(0, 'a', '#FF00aa') == specs.ClassSpec(
        0, 'a', '#ff00aa')


def test_a_file_is_read_as_it_was_written(folder):
    assert class_files.read(folder / 'classes.json') == CLASSES


def test_a_run_takes_classes_names_and_colors_from_the_folder(folder):
    run = load('segment', folder)
    assert run.data[0].num_classes == 3
    # What predict and reports have is the run's config alone.
    run = spec_base.from_dict(specs.RunSpec,
                              json.loads(spec_base.to_json(run)))
    found = labels.for_spec(run.data[0])
    assert found.class_names == ('background', 'Fußgänger', 'car')
    assert found.palette.tolist() == [
        [0, 0, 0], [0xe6, 0x19, 0x4b], [0x3c, 0xb4, 0x4b]]
    assert found.source_ids.tolist() == [0, 7, 3]
    assert found.table[[0, 3, 7, 255]].tolist() == [0, 2, 1, 255]
    assert found.table[[1, 2, 4, 8, 254]].tolist() == [-1] * 5


def test_an_experiment_takes_them_for_its_fine_tuning_alone(folder):
    own = folder / 'own.gin'
    own.write_text("include 'data/folder.gin'\n"
                   + ''.join(f"include 'stage/{stage}.gin'\n"
                             for stage in specs.STAGES)
                   + "ExperimentSpec.name = 'own'\n"
                   "ExperimentSpec.arms = ('ddep',)\n")
    _, stages, _ = configure.load_experiment(
        ['model/tiny.gin', str(own)], (), folder)
    classes = {stage: run.data[0].classes
               for stage, run in next(iter(stages.values())).items()}
    assert classes.pop('segment') == CLASSES and not any(classes.values())


def test_a_stage_without_masks_does_not_depend_on_it(folder):
    assert load('denoise', folder).data[0].classes == ()


def test_a_named_label_set_wins(folder):
    spec = load('segment', folder, "folder/DatasetSpec.label_set='camvid'",
                'folder/DatasetSpec.num_classes=11').data[0]
    assert spec.classes == () and labels.for_spec(spec).name == 'camvid'


def test_without_the_file_all_is_as_before(tmp_path):
    spec = load('segment', tmp_path, 'folder/DatasetSpec.num_classes=2').data[0]
    assert spec.classes == ()
    assert labels.for_spec(spec).class_names == ('class 0', 'class 1')


def test_another_number_of_classes_is_refused(folder):
    with pytest.raises(errors.UserError, match='num_classes is 4, but .* 3'):
        load('segment', folder, 'folder/DatasetSpec.num_classes=4')


@pytest.mark.parametrize('text, said', [
    ('', 'cannot be read'), ('[1]', 'no JSON object'), ('{}', 'no list'),
    ('{"classes": []}', 'no list'), ('{"classes": [1]}', 'no list'),
    ('{"classes": [{"id": 0, "name": "a"}]}', 'class 0: .*color'),
    ('{"classes": [{"id": 0, "name": " ", "color": "#000000"}]}', 'name'),
    (r'{"classes": [{"id": 0, "name": "a\nb", "color": "#000000"}]}',
     'of one line'),
    ('{"classes": [{"id": 255, "name": "a", "color": "#000000"}]}', '254'),
    ('{"classes": [{"id": 0, "name": "a", "color": "red"}]}', 'rrggbb'),
    ('{"classes": [{"id": 0, "name": "a", "color": "#000000", "x": 1}]}',
     "no field 'x'")])
def test_a_broken_file_is_named(tmp_path, text, said):
    path = tmp_path / 'classes.json'
    path.write_text(text)
    with pytest.raises(errors.UserError, match=said) as caught:
        class_files.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('what', ['id', 'name'])
def test_classes_are_distinct(tmp_path, what):
    path = tmp_path / 'classes.json'
    entries = [{'id': i, 'name': str(i), 'color': '#000000'} for i in range(2)]
    entries[1][what] = entries[0][what]
    path.write_text(json.dumps({'classes': entries}))
    with pytest.raises(errors.UserError, match=f'two classes .* {what}'):
        class_files.read(path)
