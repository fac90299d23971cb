"""gin files and overrides -> specs. The only importer of gin.

gin binds the dataclasses of specs.py and nothing else. A stage's specs are
built in that stage's gin scope, so that `segment/OptimizerSpec.learning_rate`
holds for one stage and `OptimizerSpec.learning_rate` for all. A data file
binds under its own scope, `camvid/DatasetSpec.path`, and a stage names it:
`RunSpec.data = (@camvid/DatasetSpec(),)`.

A gin file can import and call Python: it is code. Read it before you run it.
"""

import dataclasses
import os
import pathlib

from ddep_tf import errors, specs
from ddep_tf.experiments import plan
from ddep_tf.experiments import spec as experiment_spec
import gin

GIN_ROOT = pathlib.Path(__file__).resolve().parent.parent / 'gin'
PACKAGED_GIN = pathlib.Path(__file__).resolve().parent / 'gin_files'

# Filled in here, from specs of their own, never by a binding.
_BUILT = {
    'encoder': specs.EncoderSpec,
    'decoder': specs.DecoderSpec,
    'noise': specs.NoiseSpec,
    'optimizer': specs.OptimizerSpec,
    'evaluation': specs.EvalSpec,
}

# gin also looks files up as resources of Python packages, and stumbles over
# any folder `data/` on the module path. Plain files are all we have.
gin.config._FILE_READERS[:] = [(open, os.path.isfile)]  # pylint: disable=protected-access
for _root in (GIN_ROOT, PACKAGED_GIN):
    gin.add_config_file_search_path(str(_root))

_used = set()  # (class name, scope) of every spec that was built.


def _factory(cls):
    """Registers a spec with gin, and notes in which scope it is built."""
    def build(**kwargs):
        _used.add((cls.__name__, gin.current_scope_str()))
        return cls(**kwargs)
    build.__name__ = cls.__name__
    fields = [f.name for f in dataclasses.fields(cls) if f.name not in _BUILT]
    return gin.configurable(cls.__name__, module='ddep_tf',
                            allowlist=fields)(build)


_FACTORIES = {cls: _factory(cls) for cls in (
    specs.DatasetSpec, specs.EncoderSpec, specs.DecoderSpec, specs.NoiseSpec,
    specs.OptimizerSpec, specs.EvalSpec, specs.RunSpec,
    experiment_spec.ExperimentSpec)}


def load_run(stage, gin_files=(), gin_params=(), **overrides):
    """Parses files, then parameters, into a RunSpec.

    Args:
      stage: one of specs.STAGES; its gin scope.
      gin_files: paths, looked up from the working folder, then in gin/.
      gin_params: strings NAME=VALUE, bound after the files.
      **overrides: fields of RunSpec that a flag gives; None is not given.

    Returns:
      (RunSpec, operative config as text).

    Raises:
      UserError: a file is missing, or a binding is wrong, unknown or unused.
    """
    _parse(gin_files, gin_params)
    run = _run_spec(stage, overrides)
    _check_used(gin_params)
    return run, _operative()


def load_experiment(gin_files=(), gin_params=()):
    """Parses files, then parameters, into an experiment's specs.

    Returns:
      (ExperimentSpec, {variant: {stage: RunSpec}} of the stages that its arms
      need, operative config as text). A variant binds in its own scope inside
      a stage's, `denoise/wide/DecoderSpec.width_multiplier`.

    Raises:
      UserError: as `load_run`.
    """
    _parse(gin_files, gin_params)
    experiment = _build(experiment_spec.ExperimentSpec)
    names = plan.stages_of(experiment)
    stages = {variant: {name: _run_spec(name, {}, variant) for name in names}
              for variant in experiment.variants or ('',)}
    for templates in stages.values():
        for run in templates.values():
            _check_template(run)
    _check_used(gin_params)
    return experiment, stages, _operative()


def load_evaluation(evaluation, gin_files=(), gin_params=()):
    """Parses files, then parameters, that bind over an EvalSpec.

    Args:
      evaluation: EvalSpec of a finished run.
      gin_files, gin_params: as in `load_run`.

    Returns:
      EvalSpec.

    Raises:
      UserError: as `load_run`; whatever else is bound went unused.
    """
    _parse(gin_files, gin_params)
    kept = {field.name: getattr(evaluation, field.name)
            for field in dataclasses.fields(specs.EvalSpec)
            if not _is_bound(f'EvalSpec.{field.name}')}
    result = _build(specs.EvalSpec, **kept)
    _check_used(gin_params)
    return result


def _is_bound(parameter):
    try:
        gin.query_parameter(parameter)
        return True
    except ValueError:
        return False


def _check_template(run):
    """An experiment sets these for each run: bound, they would be ignored."""
    for name in ('seed', 'init_encoder', 'init_decoder', 'label_count',
                 'label_fraction', 'train_encoder', 'holdout'):
        if getattr(run, name):
            raise errors.UserError(
                f'RunSpec.{name} is set by the experiment for each run: '
                'remove the binding, and see ExperimentSpec')


def _run_spec(stage, overrides, variant=''):
    with gin.config_scope('/'.join(filter(None, (stage, variant)))):
        parts = {name: _build(cls) for name, cls in _BUILT.items()}
        given = {k: v for k, v in overrides.items() if v is not None}
        return _build(specs.RunSpec, stage=stage, **parts, **given)


def _build(cls, **kwargs):
    try:
        return _FACTORIES[cls](**kwargs)
    except errors.UserError as error:
        # gin adds lines of its own to what passes through it.
        raise errors.UserError(_first_line(error)) from error
    except (TypeError, ValueError, RuntimeError) as error:
        hint = ''
        if 'data' in str(error) and cls is specs.RunSpec:
            hint = ': name a data set with --gin_file=data/NAME.gin'
        raise errors.UserError(
            f'{cls.__name__} cannot be built{hint} ({_first_line(error)})'
        ) from error


def _parse(gin_files, gin_params):
    gin.clear_config()
    _used.clear()
    try:
        for name in gin_files:
            gin.parse_config_file(_find(name))
    except errors.UserError:
        raise
    except Exception as error:  # gin raises whatever its files provoke.
        raise errors.UserError(
            f'--gin_file {name}: {_first_line(error)}') from error
    for text in gin_params:
        _bind(text)


def _find(name):
    for root in (pathlib.Path.cwd(), GIN_ROOT, PACKAGED_GIN):
        if (root / name).is_file():
            return os.fspath(root / name)
    raise errors.UserError(f'--gin_file {name}: no such file, neither here nor '
                           'in the gin/ folder of ddep_tf')


def _bind(text):
    name, equals, value = text.partition('=')
    name, value = name.strip(), value.strip()
    if not equals or not name or not value:
        raise errors.UserError(f'--gin_param {text!r} is not NAME=VALUE')
    try:
        # One binding and nothing else: a line break could smuggle in another.
        if '\n' in text or '\r' in text:
            raise ValueError('a line break')
        gin.parse_config(f'{name} = {value}')
    except Exception as error:
        raise errors.UserError(
            f'--gin_param {text!r}: {_first_line(error)} (a string value '
            'stands in quotes)') from error


def _check_used(gin_params):
    """Refuses bindings that no spec took: a typo would train silently."""
    operative = _operative()
    given = {text.partition('=')[0].strip() for text in gin_params}
    bound = gin.config._CONFIG  # pylint: disable=protected-access
    for (scope, selector), parameters in bound.items():
        name = selector.rsplit('.', 1)[-1]
        if selector == 'gin.macro':
            if f'{scope} =' not in operative:
                raise errors.UserError(f'the gin macro {scope} is never used: '
                                       'remove it, or mend its name')
            continue
        for parameter in parameters:
            full = '/'.join(filter(None, [scope, f'{name}.{parameter}']))
            calls = [w for n, w in _used if n == name and _covers(scope, w)]
            if not calls and full not in given and _of_other_stage(scope):
                continue
            if not calls:
                raise errors.UserError(
                    f'the gin binding {full} is never used: remove it, or '
                    'mend its scope (a stage or a data set)')
            if full in given:
                _check_holds(bound, scope, selector, parameter, calls)


def _of_other_stage(scope):
    """Whether a file binds for a stage that is not run: no typo."""
    stage = scope.partition('/')[0]
    return stage in specs.STAGES and not any(
        _covers(stage, where) for _, where in _used)


def _check_holds(bound, scope, selector, parameter, calls):
    """A file may narrow another's binding; what a user types must hold."""
    closer = [s for (s, other), parameters in bound.items()
              if other == selector and parameter in parameters
              and len(s) > len(scope)]
    if all(any(_covers(s, where) for s in closer) for where in calls):
        name = selector.rsplit('.', 1)[-1]
        raise errors.UserError(
            f'--gin_param {name}.{parameter} never holds, since a file binds '
            f'{closer[0]}/{name}.{parameter}: bind that one')


def _covers(scope, where):
    return not scope or where == scope or where.startswith(scope + '/')


def _operative():
    return gin.operative_config_str()


def _first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
