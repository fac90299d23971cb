"""The guides against the gin files of their sets."""

import pytest

from ddep_tf.data.prepare import official_sets

from prepare_cases import spec


@pytest.mark.parametrize('name', official_sets.GUIDES)
def test_every_guide_fits_its_gin_file(name):
    found, guide = spec(name), official_sets.guide(name)
    assert found.name == name and found.train_split in guide.counts
    if guide.decodes == 'mask':
        assert found.test_split in guide.counts
    shown = '\n'.join(official_sets.text(name, 'DATA', 'DATA/manual'))
    assert guide.page in shown and 'license' in shown and '{' not in shown
