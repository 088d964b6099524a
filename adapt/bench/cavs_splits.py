"""CAVS, the protocols of CMR (arXiv 2510.17234) on AVSBench-semantic: AVSBench-CI, -CIS and -CIM in six splits.

`a` orders keep people and instruments, which often sound together, for the last tasks. The released code has only the
overlapped setting.
"""

from cavs.adapt.bench.protocols import ClassProtocol, ProtocolTask, Scenario, Setting
from cavs.adapt.data.palette import AVSS_CLASSES

A_BASE = (
    10, 39, 43, 55, 28, 47, 19, 14, 24, 51, 17, 65, 56, 61, 53, 49, 33, 11, 31, 29, 15, 7, 62, 50, 30, 34, 46, 27, 36, 20,
    59, 48, 44, 8, 37, 40, 25, 12, 3, 18, 67, 66, 21, 45, 22, 16, 38, 58, 57, 52, 69, 6, 35, 2, 60, 54, 42, 23, 32, 4,
)  # fmt: skip
"""Mask indices of the base classes of the `a` order, the background left out."""
A_NEXT, A_LAST = (41, 70, 68, 13, 26), (1, 5, 63, 9, 64)
ALPHABETICAL = tuple(range(1, 71))
CI_65_SS_LAST = (65, 51, 68, 64, 70)

SPLITS = ("60-10", "60-10a", "60-5", "60-5a", "65-s1", "65-ss")
SCENARIOS: tuple[Scenario, ...] = ("ci", "cis", "cim")
Steps = tuple[tuple[int, ...], ...]


def class_steps(scenario: Scenario, split: str) -> Steps:
    """Mask indices of the classes of every task. ValueError lists the splits there are.

    Two splits differ between scenarios in the released code: 65-s1 of CIS has bird where the others have boy, and 65-ss of CI
    ends on other classes (in which order its base comes is not known; alphabetical here).
    """
    singles = {cls: (cls,) for cls in ALPHABETICAL}
    if split == "65-s1":
        exchanged = {9: 7, 7: 9} if scenario == "cis" else {}
        base, last = (tuple(exchanged.get(cls, cls) for cls in part) for part in (A_BASE + A_NEXT, A_LAST))
        return (base, *(singles[cls] for cls in last))
    if split == "65-ss":
        last = CI_65_SS_LAST if scenario == "ci" else ALPHABETICAL[65:]
        return (tuple(cls for cls in ALPHABETICAL if cls not in last), *(singles[cls] for cls in last))
    alphabetical, a = ALPHABETICAL[:60], A_BASE
    steps: dict[str, Steps] = {
        "60-10": (alphabetical, ALPHABETICAL[60:]),
        "60-5": (alphabetical, ALPHABETICAL[60:65], ALPHABETICAL[65:]),
        "60-10a": (a, A_NEXT + A_LAST),
        "60-5a": (a, A_NEXT, A_LAST),
    }
    if split not in steps:
        raise ValueError(f"split {split!r}; expected one of {', '.join(SPLITS)}")
    return steps[split]


def cavs_protocol(scenario: Scenario, split: str, setting: Setting = "overlapped") -> ClassProtocol:
    """One of the 6 splits of one of the 3 scenarios in one of the 3 settings."""
    tasks = tuple(
        ProtocolTask(f"task {number}", tuple(AVSS_CLASSES[cls] for cls in classes))
        for number, classes in enumerate(class_steps(scenario, split))
    )
    return ClassProtocol(f"cavs-{scenario}-{split}-{setting}", tasks, scenario, setting)
