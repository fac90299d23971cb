"""gin files and overrides -> specs. The only importer of gin.

gin binds the dataclasses of specs.py and ExperimentSpec, and nothing else. A
stage's specs are built in that stage's gin scope, so that
`segment/OptimizerSpec.learning_rate` applies to one stage and
`OptimizerSpec.learning_rate` to all. A data file binds in a scope of its own,
`camvid/DatasetSpec.path`, to which a stage refers:
`RunSpec.data = (@camvid/DatasetSpec(),)`.

A gin file can import and call Python: it is code. Read it before you run it.
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import contextvars
import dataclasses
import os
import pathlib
from typing import Any

import gin

from ddep_tf import errors, files, spec_base, specs
from ddep_tf.data import class_files
from ddep_tf.experiments import plan
from ddep_tf.experiments import spec as experiment_spec
from ddep_tf.models import registry

for _root in files.GIN_ROOTS:
    gin.add_config_file_search_path(str(_root))

# Fields of RunSpec that are specs of their own, never bound.
_PARTS = {
    'encoder': specs.EncoderSpec,
    'decoder': specs.DecoderSpec,
    'noise': specs.NoiseSpec,
    'loss': specs.LossSpec,
    'augment': specs.AugmentSpec,
    'optimizer': specs.OptimizerSpec,
    'evaluation': specs.EvalSpec,
}
# Where a factory notes (class name, scope) of what it builds.
_notes: contextvars.ContextVar[set[tuple[str, str]]] = contextvars.ContextVar(
    'notes')
Stages = dict[str, specs.RunSpec]


def _factory(cls):
    """Registers a spec with gin; building it notes in which scope."""
    def build(**kwargs):
        _notes.get().add((cls.__name__, gin.current_scope_str()))
        return cls(**kwargs)
    build.__name__ = cls.__name__
    fields = [f.name for f in dataclasses.fields(cls) if f.name not in _PARTS]
    return gin.configurable(cls.__name__, module='ddep_tf',
                            allowlist=fields)(build)


_FACTORIES = {cls: _factory(cls) for cls in (
    specs.DatasetSpec, *_PARTS.values(), specs.RunSpec,
    experiment_spec.ExperimentSpec)}


def load_run(stage: str, gin_files: Sequence[str] = (),
             gin_params: Sequence[str] = (),
             data_dir: str | os.PathLike | None = None, **overrides: Any
             ) -> tuple[specs.RunSpec, str]:
    """Parses files, then parameters, into a RunSpec.

    Args:
      stage: one of specs.STAGES; its gin scope.
      gin_files: paths, looked up from the working folder, then in gin/.
      gin_params: strings NAME=VALUE, bound after the files.
      data_dir: root folder of the data, whose classes.json name the classes
        of folders; None reads none.
      **overrides: fields of RunSpec that are given as flags; None is not
        given.

    Returns:
      (RunSpec, operative config as text).

    Raises:
      UserError: a file is missing, or a binding is wrong, unknown or unused.
    """
    bindings = _Bindings(gin_files, gin_params)
    run = bindings.build_run(stage, overrides=overrides)
    bindings.check_used()
    run = _with_classes(run, data_dir)
    return run, gin.operative_config_str()


def load_experiment(
        gin_files: Sequence[str] = (), gin_params: Sequence[str] = (),
        data_dir: str | os.PathLike | None = None
) -> tuple[experiment_spec.ExperimentSpec, dict[str, Stages], str]:
    """Parses files, then parameters, into an experiment's specs.

    Args:
      gin_files, gin_params, data_dir: as in `load_run`.

    Returns:
      (ExperimentSpec, {variant: {stage: RunSpec}} of the stages that its arms
      need, operative config as text). A variant binds in its own scope inside
      a stage's, `denoise/wide/DecoderSpec.width_multiplier`.

    Raises:
      UserError: as `load_run`.
    """
    bindings = _Bindings(gin_files, gin_params)
    experiment = bindings.build(experiment_spec.ExperimentSpec)
    stages = {variant: {stage: bindings.build_run(stage, variant)
                        for stage in plan.stages_of(experiment)}
              for variant in experiment.variants or ('',)}
    for templates in stages.values():
        for run in templates.values():
            _check_template(run)
    bindings.check_used()
    stages = {variant: {stage: _with_classes(run, data_dir)
                        for stage, run in templates.items()}
              for variant, templates in stages.items()}
    return experiment, stages, gin.operative_config_str()


def load_evaluation(evaluation: specs.EvalSpec, gin_files: Sequence[str] = (),
                    gin_params: Sequence[str] = ()) -> specs.EvalSpec:
    """Parses files, then parameters, that override an EvalSpec.

    Args:
      evaluation: EvalSpec of a finished run.
      gin_files, gin_params: as in `load_run`.

    Raises:
      UserError: as `load_run`; any other binding is unused.
    """
    bindings = _Bindings(gin_files, gin_params)
    kept = {field.name: getattr(evaluation, field.name)
            for field in dataclasses.fields(specs.EvalSpec)
            if not _is_bound(f'EvalSpec.{field.name}')}
    result = bindings.build(specs.EvalSpec, **kept)
    bindings.check_used()
    return result


def _with_classes(run, data_dir):
    """Returns the RunSpec with the classes that its folders name."""
    if data_dir is None or run.stage != specs.SEGMENT:
        return run  # Other stages must not depend on what masks hold.
    return dataclasses.replace(run, data=tuple(
        class_files.complete(spec, data_dir) for spec in run.data))


def _check_template(run):
    """Refuses bindings that the experiment would override in each run."""
    for name in ('seed', 'init_encoder', 'init_decoder', 'label_count',
                 'label_fraction', 'train_encoder', 'holdout',
                 'decoder_control'):
        if getattr(run, name):
            raise errors.UserError(
                f'RunSpec.{name} is set by the experiment for each run: '
                'remove the binding, and see ExperimentSpec')


def _is_bound(parameter):
    try:
        gin.query_parameter(parameter)
    except ValueError:
        return False
    return True


class _Bindings:
    """What files and parameters bind, and which of it was used.

    gin has one global configuration: a new object replaces the one before.
    """

    def __init__(self, gin_files: Sequence[str], gin_params: Sequence[str]):
        gin.clear_config()
        self._built: set[tuple[str, str]] = set()  # (class name, scope).
        self._given = {_short(text.partition('=')[0].strip())
                       for text in gin_params}
        for name in gin_files:
            _parse_file(name)
        # What files refer to, though a parameter may put another in its place.
        self._of_files = list(_bound())
        for text in gin_params:
            _bind(text)

    def build(self, cls: type[spec_base.SpecType], **kwargs: Any
              ) -> spec_base.SpecType:
        """Builds a spec in the current scope. UserError for wrong values."""
        token = _notes.set(self._built)
        try:
            return _FACTORIES[cls](**kwargs)
        except errors.UserError as error:
            # gin appends lines of its own to what passes through it.
            raise errors.UserError(errors.first_line(error)) from error
        except (TypeError, ValueError, RuntimeError) as error:
            hint = ''
            if 'data' in str(error) and cls is specs.RunSpec:
                hint = ': name a data set with --gin_file=data/NAME.gin'
            raise errors.UserError(
                f'{cls.__name__} cannot be built{hint} '
                f'({errors.first_line(error)})'
            ) from error
        finally:
            _notes.reset(token)

    def build_run(self, stage: str, variant: str = '',
                  overrides: Mapping[str, Any] | None = None
                  ) -> specs.RunSpec:
        """Builds the RunSpec of a stage, and of a variant of it."""
        given = {k: v for k, v in (overrides or {}).items()
                 if v is not None}
        with gin.config_scope('/'.join(filter(None, (stage, variant)))):
            parts: dict[str, Any] = {
                name: self.build(cls) for name, cls in _PARTS.items()}
            registry.check_name(parts['encoder'].name)
            return self.build(specs.RunSpec, stage=stage, **parts, **given)

    def check_used(self) -> None:
        """Refuses bindings that no spec took: a typo would train silently."""
        operative = gin.operative_config_str()
        for scope, selector, parameter, _ in _bound():
            if selector == 'gin.macro':
                if f'{scope} =' not in operative:
                    raise errors.UserError(
                        f'the gin macro {scope} is never used: remove it, or '
                        'correct its name')
                continue
            name = selector.rsplit('.', 1)[-1]
            full = '/'.join(filter(None, [scope, f'{name}.{parameter}']))
            scopes = [s for n, s in self._built
                      if n == name and _covers(scope, s)]
            given = full in self._given
            if not scopes and not given and (
                    self._is_of_other_stage(scope) or self._is_replaced(scope)):
                continue
            if not scopes:
                raise errors.UserError(
                    f'the gin binding {full} is never used: remove it, or '
                    'correct its scope (a stage or a data set)')
            if given:
                _check_takes_effect(scope, selector, parameter, scopes)

    def _is_of_other_stage(self, scope):
        """Whether a file binds for a stage that is not run, or for a data set
        of it, which is fine."""
        stage = scope.partition('/')[0]
        if stage not in specs.STAGES:
            return any(self._is_of_other_stage(user)
                       for user in _users(scope, _bound()) if user != scope)
        return not any(_covers(stage, built) for _, built in self._built)

    def _is_replaced(self, scope):
        """Whether files use a data set in whose place a parameter puts
        another."""
        return bool(_users(scope, self._of_files)
                    and not _users(scope, _bound()))


def _short(binding):
    """Returns SCOPE/CLASS.FIELD of a binding, which may name a module too."""
    scope, slash, rest = binding.rpartition('/')
    return scope + slash + '.'.join(rest.split('.')[-2:])


def _bound() -> Iterator[tuple[str, str, str, Any]]:
    """Yields (scope, selector, parameter, value) of all bindings."""
    # gin's public functions give its bindings as text only.
    for (scope, selector), parameters in gin.config._CONFIG.items():
        for parameter, value in parameters.items():
            yield scope, selector, parameter, value


def _users(scope, bound):
    """Returns the scopes of those bindings that refer to a data set's."""
    return [user for user, *_, value in bound if f'@{scope}/' in str(value)]


def _check_takes_effect(scope, selector, parameter, scopes):
    """Refuses a flag's binding that narrower ones of files always override.

    Between files the narrower binding is meant to win; what a user types must
    not be ignored.
    """
    narrower = [s for s, *rest, _ in _bound()
                if rest == [selector, parameter] and len(s) > len(scope)]
    if all(any(_covers(s, built) for s in narrower) for built in scopes):
        name = selector.rsplit('.', 1)[-1]
        raise errors.UserError(
            f'--gin_param {name}.{parameter} has no effect, since a file binds '
            f'{narrower[0]}/{name}.{parameter}: bind that one')


def _covers(scope, inner):
    return not scope or inner == scope or inner.startswith(scope + '/')


def _parse_file(name):
    path = _find(name)
    try:
        with _plain_files_only():
            gin.parse_config_file(path)
    except Exception as error:  # gin raises whatever its files raise.
        raise errors.UserError(
            f'--gin_file {name}: {errors.first_line(error)}') from error


@contextlib.contextmanager
def _plain_files_only():
    """Keeps gin from looking included files up in Python packages.

    It would fail on any folder `data/` of the module path. gin has a public
    function to add a reader of files, and none to take one away.
    """
    readers = gin.config._FILE_READERS
    before = list(readers)
    readers[:] = [(lambda name: files.path(name).open(encoding='utf-8'),
                   lambda name: files.path(name).is_file())]
    try:
        yield
    finally:
        readers[:] = before


def _find(name):
    for path in dict.fromkeys(files.path(root, name) for root in (
            pathlib.Path.cwd(), *files.GIN_ROOTS)):
        if path.is_file():
            return os.fspath(path)
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
            f'--gin_param {text!r}: {errors.first_line(error)} (a string value '
            'must be in quotes)') from error
