"""What the tests of prepared data sets share."""

from ddep_tf import configure
from ddep_tf.data.prepare import official_sets, prepare
from ddep_tf.data.sources import factory

import layouts
import raw_sets

STAGES = {'class': 'classify', 'mask': 'segment'}
# Makes the downloads of the sets that the project itself builds.
MAKERS = {'pascal_context': raw_sets.pascal_context,
          'ade20k': layouts.ade20k_folder,
          'imagenet21k': raw_sets.imagenet21k}


def spec(name):
    """The DatasetSpec of the set's gin file."""
    run, _ = configure.load_run(STAGES[official_sets.guide(name).decodes],
                                [f'data/{name}.gin'])
    return run.data[0]


def build(name, root, **options):
    """Builds a set from few images, two per file; returns its folder."""
    return prepare.build(name, root, root / 'manual', **{
        'count_check': False, 'shard_examples': 2} | options)


def check(name, root, **options):
    """Checks a set; returns (whether it is a problem, a line) pairs."""
    return list(prepare.check(name, spec(name), root, **options))


def opened(name, root, split='test_split'):
    """The built set as a source."""
    found = spec(name)
    return factory.open_source(found, getattr(found, split), root,
                               official_sets.guide(name).decodes)


def decoded(source):
    """{id: example} of a source whose examples are all right."""
    source.check()
    return {name: source.decode(record)
            for name, record in zip(source.ids, source.records())}


def contents(folder):
    """{name: bytes} of the files in a folder."""
    return {path.name: path.read_bytes()
            for path in folder.iterdir() if path.is_file()}
