"""From an export to a prediction by the commands of docs/own_images.md."""

import pytest

import commands
import exports

pytestmark = pytest.mark.full


def run(launcher, *args):
    code, out, err = commands.run(launcher, *map(str, args))
    assert code == 0, err
    return out


def test_the_commands_from_an_export_to_a_prediction(tmp_path):
    exports.coco(tmp_path / 'in', exports.photos(tmp_path / 'in', 8)[:6])
    data, runs = tmp_path / 'data', tmp_path / 'runs'
    run('import_labels', '--from=coco', f'--input={tmp_path}/in',
        f'--output={data}', '--val=0.3', '--test=0', '--seed=1')
    run('check_data', f'--data_dir={data}', f'--page={tmp_path}/check.html')

    def train(launcher, stage, *args):
        return run(
            launcher, f'--data_dir={data}', '--gin_file=model/tiny.gin',
            '--gin_file=data/folder_unlabelled.gin',
            f'--gin_file=stage/{stage}.gin',
            f'--gin_param={stage}/RunSpec.crop_size=(32, 32)',
            f'--gin_param={stage}/RunSpec.global_batch_size=2',
            f'--gin_param={stage}/RunSpec.steps=2',
            f'--run_dir={runs}/{stage}', *args)
    train('pretrain_decoder', 'denoise')
    train('finetune', 'segment', f'--init_decoder={runs}/denoise')
    out = run('evaluate', f'--data_dir={data}', f'--run_dir={runs}/segment',
              '--split=val')
    assert all(name in out for name in ('background', 'lake', 'house', 'boat'))
    run('predict', f'--run_dir={runs}/segment', f'--input={data}/images/val',
        f'--output_dir={tmp_path}/out')
    assert len(list((tmp_path / 'out').iterdir())) == 2 * len(
        list((data / 'images/val').iterdir()))
