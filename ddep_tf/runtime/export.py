"""Exports the weights of a finished run under their published names. No TF."""

import os
from typing import Any

from ddep_tf import errors, files
from ddep_tf.models import npz
from ddep_tf.runtime import handover, run_folder

PARTS = ('encoder', 'all')
_OURS = ('decoder/', 'head/')


def export(run_dir: str | os.PathLike, output: str | os.PathLike,
           part: str = 'encoder') -> list[str]:
    """Writes a run's weights as a published file, and a .json beside it.

    Args:
      run_dir: finished run.
      output: .npz file to write; must not exist.
      part: 'encoder' writes what a published file has: of a classifier the
        encoder, pre_logits and head; of other networks the encoder alone,
        since their `head/kernel` is a 3x3 convolution. 'all' writes every
        array, `decoder/...` too.

    Returns:
      The keys written.

    Raises:
      UserError: a bad argument, the run is not finished, its files are
        damaged, or the output cannot be written.
    """
    source = files.path(run_dir, run_folder.WEIGHTS)
    target = files.path(output)
    if part not in PARTS:
        raise errors.UserError(f'--part must be one of {", ".join(PARTS)}, '
                               f'got {part!r}')
    if target.suffix != '.npz':
        raise errors.UserError(f'--output {target} must end in .npz')
    for path in (target, target.with_suffix('.json')):
        if path.exists():
            raise errors.UserError(f'--output: {path} exists: choose another '
                                   'name')
    facts = _facts(run_dir, source)
    keys = npz.read_keys(source)
    # A network with a decoder is no classifier: its head is not published.
    if part == 'encoder' and any(key.startswith('decoder/') for key in keys):
        keys = [key for key in keys if not key.startswith(_OURS)]
    handover.write(target, npz.read_npz(source, keys),
                   {**facts, 'part': part})
    return keys


def _facts(run_dir, source) -> dict[str, Any]:
    """Returns the facts beside a run's weights, which are written last."""
    run_folder.read_run(run_dir)  # Says so where it is no run folder.
    path = source.with_suffix('.json')
    if not path.exists():
        raise errors.UserError(f'{run_dir} has no {path.name}: the run is not '
                               'finished, start it again')
    facts = files.read_json(path)
    if 'stage' not in facts or 'position_grid' not in facts:
        raise errors.UserError(f'{path} names no stage or position_grid: '
                               'restore it')
    return facts
