import pytest

from ddep_tf import configure, errors, spec_base, specs

pytestmark = pytest.mark.quick

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


def test_the_operative_config_of_an_experiment_plans_the_same(tmp_path):
    leaf = 'experiments/evidence_nuclei_controls.gin'
    spec, stages, operative = configure.load_experiment([leaf], ())
    path = tmp_path / 'operative.gin'
    path.write_text(operative)
    assert configure.load_experiment([str(path)], ())[:2] == (spec, stages)


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
    'ddep_tf.RunSpec.steps=5',               # The same, as gin spells it.
    'STEPS=5',                               # A macro that nothing uses.
    'EncoderSpec.name=tiny',                 # A string without quotes.
    "EncoderSpec.name='nonsense'",
    'EncoderSpec.name',
    'RunSpec.seed=1\nRunSpec.keep=1',
    'DecoderSpec.width_multiplier=0',
    "segment/RunSpec.steps='a'",
    'segment/RunSpec.crop_size=(60, 64)',
    'OptimizerSpec.learning_rate=-1',
    "LossSpec.class_weights='balance'",
    'LossSpec.class_weights=3',
    'LossSpec.class_weights=(1, 2)',         # Of six classes.
    'LossSpec.class_weights=(0, 0, 0, 0, 0, 0)',
    'LossSpec.label_smoothing=1',
    'LossSpec.focal_gamma=-1',
    'AugmentSpec.hue=0.6',
    'AugmentSpec.contrast=-0.1',
    'DecoderSpec.group_size=0',
    'RunSpec.length=1e999',
    'RunSpec.seed=4294967296',
    f'RunSpec.seed=1{400 * "0"}',
    f'OptimizerSpec.weight_decay=1{400 * "0"}',
    'EvalSpec.scales=(1e999,)',
    'OptimizerSpec.epsilon=0',
    'OptimizerSpec.beta_1=1.0',
    'OptimizerSpec.beta_2=-0.1',
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


@pytest.mark.parametrize('given, kept', [
    ("'balanced'", 'balanced'), ('(1, 2, 0.5, 0, 1, 1)', (1, 2, 0.5, 0, 1, 1)),
    ("''", '')])
def test_class_weights_are_a_word_or_numbers(given, kept):
    run = _run(f'LossSpec.class_weights={given}', 'LossSpec.dice_weight=1')
    assert run.loss == specs.LossSpec(class_weights=kept, dice_weight=1.0)


@pytest.mark.parametrize('stage', ['classify', 'denoise'])
def test_the_loss_is_that_of_one_stage(stage, tmp_path):
    files = [*FILES[:2], f'stage/{stage}.gin']
    with pytest.raises(errors.UserError, match='bind segment/LossSpec'):
        configure.load_run(stage, files, ['LossSpec.dice_weight=1'])
    own = tmp_path / 'own.gin'
    own.write_text('segment/LossSpec.dice_weight = 1\n'
                   'AugmentSpec.flip_vertical = True\n')
    run, _ = configure.load_run(stage, [*files, str(own)])
    assert run.loss == specs.LossSpec() and run.augment.flip_vertical


def test_only_square_crops_are_turned():
    params = 'AugmentSpec.rotate=True', 'segment/RunSpec.crop_size=(32, 48)'
    with pytest.raises(errors.UserError, match='square'):
        _run(*params)
    assert _run(params[0]).augment.rotate


@pytest.mark.parametrize('params', [
    (), ('LossSpec.class_weights=(1, 2, 3, 4, 5, 6)', 'AugmentSpec.hue=0.1')])
def test_specs_survive_json(params):
    import json
    run = _run(*params)
    again = spec_base.from_dict(specs.RunSpec,
                                json.loads(spec_base.to_json(run)))
    assert again == run


def test_gin_binds_over_the_evaluation_of_a_run():
    kept = specs.EvalSpec(batch_size=3, tile=(64, 64))
    assert configure.load_evaluation(kept) == kept
    changed = configure.load_evaluation(
        kept, (), ['EvalSpec.flip=True', 'EvalSpec.tile=()'])
    assert changed == specs.EvalSpec(batch_size=3, flip=True)


@pytest.mark.parametrize('param', [
    'EvalSpec.flips=True', 'RunSpec.steps=3', 'EvalSpec.overlap=1.5'])
def test_what_an_evaluation_cannot_take_is_refused(param):
    with pytest.raises(errors.UserError):
        configure.load_evaluation(specs.EvalSpec(), (), [param])


def test_a_set_in_whose_place_a_parameter_puts_another_may_stay_bound():
    run = _run('RunSpec.data=(@camvid/DatasetSpec(),)',
               files=[*FILES, 'data/camvid.gin', 'data/shapes.gin'])
    assert run.data[0].name == 'camvid'
    # Nothing ever refers to it: a typo, whatever else is replaced.
    with pytest.raises(errors.UserError, match=r'shpes/.* is never used'):
        _run('RunSpec.data=(@camvid/DatasetSpec(),)',
             "shpes/DatasetSpec.path='x'",
             files=[*FILES, 'data/camvid.gin', 'data/shapes.gin'])


def test_a_data_set_that_only_other_arms_need_may_stay_bound():
    """An experiment cut down to some of its arms, to repeat a cell of it."""
    files = ['experiments/evidence_camvid.gin']
    _, stages, _ = configure.load_experiment(
        files, ["ExperimentSpec.arms=('supervised',)"])
    assert set(stages['']) == {'segment'}
    with pytest.raises(errors.UserError, match=r'imagenet/.* is never used'):
        configure.load_experiment(
            files, ['imagenet/DatasetSpec.short_side=144'])
