"""Protocols by name."""

import re
from collections.abc import Sequence
from typing import Literal

from cavs.adapt.bench.cavs_splits import SCENARIOS, SPLITS, cavs_protocol
from cavs.adapt.bench.cl_avs import cil, class_order, dil, dil_corrupted, tf_cl, til
from cavs.adapt.bench.protocols import SETTINGS, ClassProtocol, Scenario, Setting, split_classes
from cavs.runtime.errors import ConfigError

ORDER_SEED = 0
"""Of the class order on data of our own: one for all, so that runs compare."""
Kind = Literal["classes", "categories", "domains", "stream"]
"""What a protocol learns from: AVSS, S4 by category, S4 by domain, MS3."""
KNOWN = (
    f"cavs-SCENARIO-SPLIT on AVSBench-semantic ({', '.join(SPLITS)}), SCENARIO-BASE-STEP such as cis-6-3 on any AVSS folder "
    f"(SCENARIO: {', '.join(SCENARIOS)}); cil-11-2, til-11-2, dil, dil-corrupted on an S4 folder; tf-cl on an MS3 folder"
)
PUBLISHED = r"cavs-(ci|cis|cim)-(.+)"
OWN = r"(ci|cis|cim)-(\d+)-(\d+)"
INCREMENTAL = r"(cil|til)-(\d+)-(\d+)"


def kind_of(name: str) -> Kind:
    """ConfigError says which protocols there are."""
    published = re.fullmatch(PUBLISHED, name)
    if (published and published[2] in SPLITS) or re.fullmatch(OWN, name):
        return "classes"
    if name == "dil" or re.fullmatch(INCREMENTAL, name):
        return "categories"
    if name == "dil-corrupted":
        return "domains"
    if name == "tf-cl":
        return "stream"
    raise ConfigError(f"protocol {name!r} is unknown; known: {KNOWN}")


def make_protocol(name: str, setting: Setting, classes: Sequence[str]) -> ClassProtocol:
    """The protocol of a name for a data set's sounding classes; those of CL-AVS have no settings.

    ConfigError for one that is unknown, or that the classes cannot be divided by.
    """
    kind = kind_of(name)
    try:
        if kind == "classes":
            return _of_classes(name, setting, classes)
        if kind == "domains":
            return dil_corrupted()
        if kind == "stream":
            return tf_cl()
        incremental = re.fullmatch(INCREMENTAL, name)
        if incremental:
            make = {"cil": cil, "til": til}[incremental[1]]
            return make(classes, ORDER_SEED, int(incremental[2]), int(incremental[3]))
        return dil(classes)
    except ValueError as error:
        raise ConfigError(f"protocol {name}: {error}: {', '.join(sorted(classes))}") from None


def _of_classes(name: str, setting: Setting, classes: Sequence[str]) -> ClassProtocol:
    published = re.fullmatch(PUBLISHED, name)
    if published:
        return cavs_protocol(_scenario(published[1]), published[2], setting)
    scenario, base, step = name.split("-")
    tasks = split_classes(class_order(classes, ORDER_SEED), int(base), int(step))
    return ClassProtocol(f"{name}-{setting}", tasks, _scenario(scenario), setting)


def parted(name: str) -> tuple[str, Setting]:
    """The name and the setting of a name that may end in one, such as cis-6-3-disjoint."""
    for setting in SETTINGS:
        if name.endswith(f"-{setting}"):
            return name.removesuffix(f"-{setting}"), setting
    return name, "overlapped"


def _scenario(text: str) -> Scenario:
    return next(scenario for scenario in SCENARIOS if scenario == text)
