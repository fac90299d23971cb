"""The table of claims, computed from results/ and written into pages.

A page has it between the lines START and END.
"""

from collections.abc import Sequence
import os
import pathlib

import numpy as np

from ddep_tf import errors, files, specs
from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import claims as claims_lib
from ddep_tf.reports import formats, output, paired, read, stats, tables

START = '<!-- claims: written by launch/report.py --claims -->'
END = '<!-- end of claims -->'
LEGEND = (
    'Differences are in points of mIoU, over pairs of runs with the same seed '
    'and the same labelled images: on test, or (along) on val as the mean '
    'along the fine-tuning. In brackets is the 95 % bootstrap interval; p is '
    'that of the exact sign-flip test. "Detectable" is the gain that a paired '
    't-test at 5 % would show with a probability of 80 %, from as many pairs '
    f'that spread as these do. "{claims_lib.HOLDS}": the interval lies above '
    f'0, and p <= {claims_lib.LEVEL:g}. "{claims_lib.FAILS}": the interval '
    f'lies below {tables.signed(claims_lib.MARGIN)} point, or below the '
    'margin beside it, and the same test finds that the gain is not as large. '
    f'"{claims_lib.OPEN}": neither. The rule was set before the runs. It takes '
    'pairs that share a denoising run for independent, and is not corrected '
    'for the number of claims. "Less that with 40" is how much larger a '
    'difference is than the same one with 40 labelled images, by seed. The '
    'last column completes `python launch/experiment.py --data_dir=DATA`, '
    'which runs the experiment again; the commit of each run is in `runs.csv` '
    'of its results, the versions that the last ones ran with in '
    '`experiment.json`.')
_HEAD = ['Claim', 'Where measured', 'Difference (95 %)', 'Pairs', 'p',
         'Detectable', 'Verdict', 'Command']
_LEFT = ('Where measured', 'Verdict', 'Command')
_OUTCOMES = {'test': 'test mIoU', 'along': 'val mIoU along'}


def block(path: str | os.PathLike, folder: str | os.PathLike = '.') -> str:
    """Returns the table and its legend, computed from the files of results.

    Args:
      path: claims.json.
      folder: of the page, which links start from.

    Raises:
      UserError: a claim is malformed, or names what its experiment does not
        have.
    """
    root = files.path(path).parent
    claims = claims_lib.read_claims(path)
    experiments = {name: _read(root / name)
                   for name in {claim.results for claim in claims}}
    link = os.path.relpath(root, folder).replace(os.sep, '/')
    rows = [_row(claim, labels, experiments[claim.results], link)
            for claim in claims for labels in claim.labels]
    return formats.markdown([_HEAD, *rows], _LEFT) + f'\n\n{LEGEND}'


def write_page(path: str | os.PathLike, page: str | os.PathLike) -> None:
    """Writes the table of claims.json between START and END of a page.

    UserError as `updated`, or if the page cannot be read or written.
    """
    try:
        text = files.path(page).read_text(encoding='utf-8')
    except OSError as error:
        raise errors.UserError(f'{page} cannot be read: {error.strerror}'
                               ) from None
    output.write_text(page, updated(text, path, page))


def updated(text: str, path: str | os.PathLike,
            page: str | os.PathLike) -> str:
    """Returns the text of a page with the table of claims.json as it is now.

    UserError as `block`, or if the page lacks START or END.
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise errors.UserError(f'{page} has no place for the claims: add the '
                               f'lines {START} and {END}')
    table = block(path, files.path(page).parent)
    return f'{before}{start}\n\n{table}\n\n{end}{after}'


def _read(folder: pathlib.Path) -> read.Experiment | None:
    """Returns None if the experiment has no results yet."""
    if not (folder / 'experiment.json').is_file():
        return None
    return read.read_experiment(folder)


def _row(claim: claims_lib.Claim, labels: int,
         experiment: read.Experiment | None, link: str) -> list[str]:
    found = experiment and claims_lib.measure(claim, labels, experiment)
    text = f'{claim.claim} {claim.source}'.strip()
    where = f'{labels} labelled images, {_OUTCOMES[claim.outcome]}: ' + (
        ' - '.join(map(_side, claim.sides)) + _than(claim))
    if not experiment or not found:
        return [text, f'{claim.results}, {where}', *[tables.BLANK] * 4,
                claims_lib.UNMEASURED, tables.BLANK]
    values = np.array(found.values)
    return [
        text, _linked(claim.results, link, where + _incomplete(experiment)),
        f'{tables.signed(found.mean)} ({tables.interval(found)})',
        _pairs(found, experiment), _p(paired.sign_flip_p(values)),
        tables.points(paired.detectable(values)), _verdict(claim, found),
        formats.Markup(f'`--gin_file=experiments/{experiment.name}.gin`')]


def _linked(name: str, link: str, where: str) -> formats.Markup:
    return formats.Markup(f'[{formats.plain(name)}]({link}/{name}/README.md), '
                          + formats.plain(where))


def _side(side: stats.Side) -> str:
    return f'{side.arm} ({side.variant})' if side.variant else side.arm


def _than(claim: claims_lib.Claim) -> str:
    """Returns such as ', less that with 40'."""
    parts = ([f'with {claim.than_labels}'] if claim.than_labels else []) + (
        [f'of {claim.than_variant}'] if claim.than_variant else [])
    return f', less that {" ".join(parts)}' if parts else ''


def _incomplete(experiment: read.Experiment) -> str:
    done, planned = (experiment.info.get(k) for k in ('done', 'planned'))
    return '' if done == planned else f' ({experiment.status})'


def _verdict(claim: claims_lib.Claim, found: stats.Difference) -> str:
    margin = '' if claim.margin == claims_lib.MARGIN else (
        f' (margin {tables.signed(claim.margin)})')
    return claims_lib.verdict(found, claim.margin) + margin


def _pairs(found: stats.Difference, experiment: read.Experiment) -> str:
    """Returns such as '8 (seeds 0 to 7; 2 denoising runs)'."""
    arm = spec_lib.find_arm(found.arm).denoising or found.arm
    denoised = sum((run.stage, run.variant, run.arm) == (
        specs.DENOISE, found.variant, arm) for run in experiment.runs)
    runs = f'; {denoised} denoising run{"s"[:denoised != 1]}'
    return (f'{found.count} (seed{"s"[:found.count != 1]} '
            f'{_ranges(found.seeds)}{runs if denoised else ""})')


def _ranges(seeds: Sequence[int]) -> str:
    """Returns '0 to 7' for consecutive seeds, else all of them."""
    first, last = seeds[0], seeds[-1]
    if len(seeds) > 2 and list(seeds) == list(range(first, last + 1)):
        return f'{first} to {last}'
    return ', '.join(map(str, seeds))


def _p(value: float) -> str:
    return '< 0.001' if value < 0.001 else f'{value:.3f}'
