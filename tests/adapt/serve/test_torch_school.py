"""The real school on a small network: what the learner asks of it beside training, which has its own tests."""

import sys

import numpy as np
import pytest

from cavs.adapt.model.network import Network
from cavs.adapt.serve.desk import Stopped
from cavs.adapt.serve.torch_school import TorchSchool, _run
from cavs.runtime import contract
from cavs.runtime.adapter import Adapter, check_adapter
from cavs.runtime.bundle import Bundle
from cavs.runtime.errors import AdaptError
from tests.adapt.learn.lessons import exemplars, knowing

KNOWN = ("dog", "kettle", "drone")


@pytest.fixture
def taught() -> tuple[TorchSchool, Network, Bundle, Adapter]:
    """A school that has read its bundle: this one is only described, there is no graph to read."""
    network, bundle, adapter = knowing(*KNOWN)
    school = TorchSchool()
    school._networks[bundle.id] = network
    return school, network, bundle, adapter


def test_a_class_is_given_up_with_its_row(taught: tuple[TorchSchool, Network, Bundle, Adapter]) -> None:
    school, _, bundle, adapter = taught
    without = school.without(bundle, adapter, "kettle")
    check_adapter(without, bundle)
    assert without.classes == ((0, "dog"), (2, "drone"))
    assert not without.tensors[contract.CLASS_TABLE][1].any()
    assert np.array_equal(without.tensors[contract.CLASS_TABLE][2], adapter.tensors[contract.CLASS_TABLE][2])


def test_labels_are_those_of_the_adapter_that_is_asked_for(taught: tuple[TorchSchool, Network, Bundle, Adapter]) -> None:
    school, _, bundle, adapter = taught
    (one,) = exemplars(1)
    everything = {name: tensor.copy() for name, tensor in adapter.tensors.items()}
    everything[contract.THRESHOLDS][:] = (1e-6, 0.99999)
    loud = Adapter(everything, adapter.manifest)
    assert (school.labels(bundle, loud, one.frame[None], one.sound[None]) == 1).all()
    assert school.labels(bundle, adapter, one.frame[None], one.sound[None]).shape == (1, 64, 64)


def test_a_child_that_fails_says_its_last_line() -> None:
    calls: list[int] = []
    _run([sys.executable, "-c", "print('all well')"], lambda: calls.append(1))
    with pytest.raises(AdaptError, match="ended with code 3: no room"):
        _run([sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(3)"], lambda: calls.append(1))


def test_a_child_ends_with_whoever_waits_for_it() -> None:
    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        _run([sys.executable, "-c", "import time; time.sleep(600)"], stop)
