"""The sentences of a report, as plain text for page and Markdown."""

from ddep_tf.experiments import spec as spec_lib
from ddep_tf.reports import learning, read, stats, tables

INTERVAL = (
    'A difference is paired: for each seed, the test mIoU of the one arm '
    'minus that of the other on the same labelled subset (same sha256), in '
    'points. '
    'The 95 % interval is a bootstrap: the 2.5 and 97.5 percentiles of the '
    'means of 10,000 draws, with replacement, from the differences. With '
    'fewer than about 8 pairs it is too narrow. It covers what varies with '
    'the seed (subset, initial weights, order, and the denoising where each '
    'seed has its own), not the choice of test images, and is not corrected '
    'for several comparisons.')
LEARNING = (
    'Val mIoU in points, at the steps after which both runs of a pair were '
    'validated. Mean val: the mean over these steps, as a paired difference '
    'with an interval as above. Steps to it: the first of them at which a run '
    f"has {100 * learning.TARGET:g} % of the second arm's end (the mean over "
    'the pairs of its last value): the median over runs, and how many of them '
    'get there. A run that does not counts as later than all that do; the '
    'median is "not reached" where half of the runs or more do not.')
SCORES = (
    'Test mIoU in points (times 100): mean and standard deviation (ddof 1) '
    'over runs that differ in their seed alone, at the learning rate and '
    'weight decay of the arm.')


def arms(experiment: read.Experiment) -> dict[str, str]:
    """Returns {arm: what is pretrained in it}; '' for an unknown arm."""
    weights = experiment.spec.get('encoder_weights')
    encoder = (f'encoder from {weights}' if weights else
               'encoder pretrained by classification')
    return {arm: spec_lib.find_arm(arm).sentence.format(encoder=encoder)
            for arm in experiment.arms}


def headlines(experiment: read.Experiment) -> list[str]:
    """Returns a sentence per label count and variant on the leading arm."""
    pair = spec_lib.headline(experiment.arms)
    several = len(experiment.variants) > 1
    return [_headline(found, f', {found.variant},' if several else '')
            for found in stats.differences(experiment)
            if (found.arm, found.minus) == pair]


def _headline(found: stats.Difference, variant: str) -> str:
    line = (f'With {found.labels} labelled images{variant} {found.arm} - '
            f'{found.minus} is {tables.signed(found.mean)} points of test '
            'mIoU')
    if found.count == 1:
        return f'{line} (one pair, so no interval).'
    return (f'{line} (95 % interval {tables.interval(found)}, {found.count} '
            f'pairs), which {_verb(found)} zero.')


def outcome(experiment: read.Experiment) -> str:
    """Returns what happened in one sentence, '' if nothing is tested yet."""
    scores = stats.scores(experiment)
    if not scores:
        return ''
    first = [score for score in scores
             if (score.variant, score.labels) == (scores[0].variant,
                                                  scores[0].labels)]
    variant = f', {first[0].variant}' if len(experiment.variants) > 1 else ''
    several = {score.count for score in first} != {1}
    return method(experiment) or (
        f'With {first[0].labels} labelled images{variant}, test mIoU is '
        + ', '.join(f'{score.mean:.1f} for {score.arm}' for score in first)
        + (' (means over the seeds).' if several else ' (one seed).'))


def method(experiment: read.Experiment) -> str:
    """Returns what denoising brought, '' if there is nothing to compare yet.

    Of several label counts and variants, the first.
    """
    found = stats.headline(experiment)
    if found is None:
        return ''
    variant = f', {found.variant}' if len(experiment.variants) > 1 else ''
    line = (f'With {found.labels} labelled images{variant}, denoising first '
            f'({found.arm}) gives a test mIoU of {found.arm_mean:.1f}, '
            f'against {found.minus_mean:.1f} {_baseline(found)}')
    difference = f'difference {tables.signed(found.mean)} points'
    if found.count == 1:
        return f'{line} (one seed, so no interval; {difference}).'
    return (f'{line} ({found.count} seeds; {difference}, 95 % interval '
            f'{tables.interval(found)}, which {_verb(found)} zero).')


def _baseline(found: stats.Difference) -> str:
    arm, minus = map(spec_lib.find_arm, (found.arm, found.minus))
    if arm.supervised == minus.supervised:  # They differ in nothing else.
        return f'without it ({found.minus})'
    return f'for {found.minus}'


def _verb(found: stats.Difference) -> str:
    return 'excludes' if found.low > 0 or found.high < 0 else 'includes'


def grid(experiment: read.Experiment) -> str:
    """Returns how the learning rates and weight decays were chosen."""
    if not stats.grids(experiment):
        return ('Fine-tuning ran at one learning rate and weight decay: '
                'nothing was chosen.')
    holdout = experiment.spec.get('holdout')
    swept = experiment.spec.get('sweep_at')
    images = (f'{100 * holdout:g} % of the labelled training images, which '
              "the grid's runs did not train on" if holdout else
              'the val split')
    settings = (f'at the label setting {swept:g} alone, and kept for all '
                'others' if swept else 'for each number of labels')
    count = experiment.spec.get('sweep_seeds', 1)
    seeds = ('at the first seed' if count == 1 else
             f'in the mean over the first {count} seeds')
    rates = ('learning rate, weight decay and encoder factor'
             if experiment.spec.get('encoder_factors') else
             'learning rate and weight decay')
    return (f'For each arm (and variant), the {rates} '
            f'of the fine-tuning with the best mIoU on {images}, {seeds}, '
            f'were chosen from the same grid, {settings}, and '
            'kept for all seeds. The test split took no part in it. The table '
            'has the mIoU on the images that were chosen on, in points.')


RERUN = ("To run one of them again, give the experiment's command the flag "
         '--only with its name, such as ')


def only_flag(experiment: read.Experiment) -> str:
    """Returns the flag that does the first run again that failed."""
    return f'--only={next(iter(experiment.failed))}'
