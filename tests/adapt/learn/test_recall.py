"""What is asked of the statistics of classes without pictures."""

import pytest
import torch

from cavs.adapt.learn.from_bundle import network_from_bundle
from cavs.adapt.learn.recall import recall_of
from cavs.adapt.model.network import Network
from cavs.runtime.bundle import default_bundle_path, read_bundle
from tests.small_network import small_network


@pytest.fixture(scope="module")
def shipped() -> Network:
    return network_from_bundle(read_bundle(default_bundle_path()))


def test_the_shipped_network_knows_what_its_statistics_are_of(shipped: Network) -> None:
    recalled = recall_of(shipped)
    assert {"person", "dog", "rooster"} < recalled.keys()
    assert min(one.seen for one in recalled.values()) > 0.5
    assert min(one.heard for one in recalled.values()) > 0.5


def test_a_class_whose_row_is_spoiled_is_no_longer_recalled(shipped: Network) -> None:
    before, row = recall_of(shipped), shipped.class_names.index("dog")
    kept = shipped.classes.table.detach().clone()
    with torch.no_grad():
        shipped.classes.table[row] = -kept[row]
        after = recall_of(shipped)
        shipped.classes.table.copy_(kept)
    assert after["dog"].seen < before["dog"].seen - 0.5
    assert after["dog"].heard < before["dog"].heard - 0.5
    assert after["piano"].seen >= before["piano"].seen


def test_of_another_network_nothing_is_known() -> None:
    assert recall_of(small_network()) == {}
