"""What a report reads of runs stays inside the folder of the experiment."""

import pytest

from ddep_tf import errors
from ddep_tf.reports import run_files

import report_cases

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('name', ['', '.', '..', '../runs/a', '/etc', 'a/b',
                                  'a\0b', '..\\a'])
def test_a_name_that_is_no_folder_has_no_files(tmp_path, name):
    folder = report_cases.make_experiment(tmp_path / 'exp')
    (folder / 'runs' / 'a' / 'samples').mkdir(parents=True)
    assert run_files.folder(folder, name) is None
    assert run_files.pictures(folder, name, ('image',)) == {}
    assert run_files.confusion_matrix(folder, name) is None
    assert run_files.image_scores(folder, name) == []


def test_images_are_sorted_and_those_that_do_not_count_left_out(tmp_path):
    (tmp_path / 'runs/a').mkdir(parents=True)
    path = tmp_path / 'runs/a/per_image.csv'
    path.write_text('id,mean_iou\nbest,0.75\nvoid,nan\n"x, y",0.5\n')
    assert run_files.image_scores(tmp_path, 'a') == [('x, y', 50.0),
                                                     ('best', 75.0)]
    path.write_text('id,mean_iou\nbest,good\n')
    with pytest.raises(errors.UserError, match='per_image.csv, line 2'):
        run_files.image_scores(tmp_path, 'a')
