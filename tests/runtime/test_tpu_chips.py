"""TPU chips are told from what else has Google's vendor id."""

import pytest

from ddep_tf.runtime import tpu_chips

import tpu_machines

pytestmark = pytest.mark.quick


@pytest.mark.parametrize('devices, nodes, found', [
    ([], [], []),
    ([tpu_machines.V4] * 4, ['accel0', 'accel1'], ['v4'] * 4),
    ([tpu_machines.NIC, tpu_machines.V5E], ['vfio/vfio', 'vfio/0'], ['v5e']),
    ([tpu_machines.NIC], ['vfio/vfio', 'vfio/0'], []),
    # A container that was given no chip, on a host that has them.
    ([tpu_machines.V5E], ['vfio/vfio'], []), ([tpu_machines.V5E], [], [])])
def test_chips_that_can_be_opened_are_found(tmp_path, monkeypatch, devices,
                                            nodes, found):
    monkeypatch.setattr(tpu_chips, 'ROOT',
                        str(tpu_machines.make(tmp_path, devices, nodes)))
    assert tpu_chips.kinds() == found


def test_a_device_of_another_maker_is_no_chip(tmp_path, monkeypatch):
    monkeypatch.setattr(tpu_chips, 'ROOT', str(tpu_machines.make(
        tmp_path, [tpu_machines.V4], ['accel0'], vendor='0x10de')))
    assert not tpu_chips.kinds()
