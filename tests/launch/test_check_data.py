"""launch/check_data.py, as a user types it."""

import commands
import exports


def test_a_folder_is_checked(tmp_path):
    exports.coco(tmp_path / 'in', exports.photos(tmp_path / 'in', 6))
    exports.run(tmp_path / 'in', tmp_path / 'data', val=0.3, seed=1)
    flags = [f'--data_dir={tmp_path}/data', f'--page={tmp_path}/out/page.html']
    code, out, err = commands.run('check_data', *flags, '--label_count=1',
                                  '--rare=2')
    assert code == 0, err
    assert '| 1 | lake |' in out and 'ready to train on' in out
    assert "warning: the class 'boat' is in 1 of the 1 labelled" in out
    assert (tmp_path / 'out/page.html').read_text().startswith('<!DOCTYPE')

    next((tmp_path / 'data/masks/train').iterdir()).unlink()
    code, out, err = commands.run('check_data', f'--data_dir={tmp_path}/data',
                                  '--page=', '--label_count=1000')
    assert code == 2 and 'has no mask' in out
    assert 'problem: --label_count' in out
    assert err.splitlines()[-1] == (
        f'check_data.py: {tmp_path}/data: 2 problems named above: solve '
        'them and check again')
