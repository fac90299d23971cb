import pytest

from ddep_tf import configure, errors, specs

FILES = ['model/tiny.gin', 'data/shapes.gin', 'stage/segment.gin']


def _run(*params, files=FILES, **overrides):
    return configure.load_run('segment', files, params, **overrides)[0]


def test_files_parameters_and_flags_reach_the_spec():
    run = _run('DecoderSpec.width_multiplier=2',
               'segment/RunSpec.steps=7', seed=5)
    assert run.encoder.name == 'tiny'
    assert run.decoder.width_multiplier == 2
    assert (run.steps, run.seed) == (7, 5)
    assert run.data[0].source == 'shapes'


def test_the_operative_config_parses_to_the_same_run(tmp_path):
    run, operative = configure.load_run('segment', FILES, ())
    path = tmp_path / 'operative.gin'
    path.write_text(operative)
    assert configure.load_run('segment', [str(path)], ())[0] == run


@pytest.mark.parametrize('param', [
    'DecoderSpec.width=2',                   # An unknown parameter.
    'DecodrSpec.width_multiplier=2',         # An unknown class.
    'denoise/RunSpec.steps=5',               # Another stage's scope.
    'RunSpec.steps=5',                       # A file binds the scope closer.
    'STEPS=5',                               # A macro that nothing uses.
    'EncoderSpec.name=tiny',                 # A string without quotes.
    'EncoderSpec.name',
    'RunSpec.seed=1\nRunSpec.keep=1',
    'DecoderSpec.width_multiplier=0',
    "segment/RunSpec.steps='a'",
    'segment/RunSpec.crop_size=(60, 64)',
    'OptimizerSpec.learning_rate=-1',
])
def test_mistakes_are_refused_in_one_line(param):
    with pytest.raises(errors.UserError) as caught:
        _run(param)
    assert '\n' not in str(caught.value).strip()


def test_missing_file_is_named():
    with pytest.raises(errors.UserError, match='data/nowhere.gin'):
        _run(files=['data/nowhere.gin'])


def test_a_run_without_data_says_so():
    with pytest.raises(errors.UserError, match='--gin_file=data'):
        _run(files=['model/tiny.gin'])


def test_specs_survive_json():
    import json
    run = _run()
    again = specs.from_dict(specs.RunSpec, json.loads(specs.to_json(run)))
    assert again == run


def _shipped(folder):
    return sorted(str(path.relative_to(configure.GIN_ROOT))
                  for path in (configure.GIN_ROOT / folder).glob('*.gin'))


@pytest.mark.parametrize('model', _shipped('model'))
@pytest.mark.parametrize('width', _shipped('width'))
@pytest.mark.parametrize('stage', specs.STAGES)
@pytest.mark.parametrize('data', _shipped('data'))
def test_every_shipped_combination_parses(model, width, data, stage):
    files = [model, width, data, f'stage/{stage}.gin']
    run, _ = configure.load_run(stage, files, ())
    assert run.stage == stage and run.data[0].name in data


@pytest.mark.parametrize('leaf', _shipped('experiments'))
def test_every_experiment_parses(leaf):
    experiment, stages, _ = configure.load_experiment([leaf], ())
    assert f'experiments/{experiment.name}.gin' == leaf
    assert 'segment' in stages
