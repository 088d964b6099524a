"""Every method by name, with its source and its options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from cavs.adapt.methods.av_cil import AvCil, AvCilOptions
from cavs.adapt.methods.cavs import CavsOptions, make_cavs
from cavs.adapt.methods.cmr import Cmr, CmrOptions
from cavs.adapt.methods.cross_sdc import CrossSdc, CrossSdcOptions
from cavs.adapt.methods.der import DerOptions, DerPlusPlus
from cavs.adapt.methods.eir import Eir, EirOptions
from cavs.adapt.methods.er import Er, ErOptions
from cavs.adapt.methods.ewc import Ewc, EwcOptions
from cavs.adapt.methods.ewf import Ewf, EwfOptions
from cavs.adapt.methods.fine_tuning import FineTuning
from cavs.adapt.methods.ilt import Ilt, IltOptions
from cavs.adapt.methods.joint import JointOptions, make_joint
from cavs.adapt.methods.lra import Lra, LraOptions
from cavs.adapt.methods.lra_stream import LraStream, LraStreamOptions
from cavs.adapt.methods.lwf import Lwf, LwfOptions
from cavs.adapt.methods.lwf_mc import LwfMc, LwfMcOptions
from cavs.adapt.methods.mas import Mas, MasOptions
from cavs.adapt.methods.method import Method
from cavs.adapt.methods.mib import Mib, MibOptions
from cavs.adapt.methods.orthogonal_lora import OrthogonalLora, OrthogonalLoraOptions
from cavs.adapt.methods.path_integral import PathIntegral, PathIntegralOptions
from cavs.adapt.methods.plop import Plop, PlopOptions
from cavs.adapt.methods.riemannian_walk import RiemannianWalk, RiemannianWalkOptions
from cavs.adapt.methods.ssul import Ssul, SsulOptions
from cavs.runtime.errors import ConfigError


@dataclass(frozen=True, slots=True)
class NoOptions:
    """For methods without any."""


@dataclass(frozen=True, slots=True)
class RehearsedSdcOptions(CrossSdcOptions):
    """CrossSDC on ER with a memory of so many clips."""

    memory: int = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One method: where it comes from, its options as they are by default, and how it is made of them."""

    source: str
    options: Any
    make: Callable[[Any], Method]


METHODS: dict[str, Entry] = {
    "fine-tuning": Entry("lower bound", NoOptions(), lambda _: FineTuning()),
    "joint": Entry("upper bound", JointOptions(), make_joint),
    "lwf": Entry("Li and Hoiem, ECCV 2016", LwfOptions(), Lwf),
    "lwf-mc": Entry("Rebuffi et al., CVPR 2017", LwfMcOptions(), LwfMc),
    "ilt": Entry("Michieli and Zanuttigh, ICCVW 2019", IltOptions(), Ilt),
    "ewc": Entry("Kirkpatrick et al., PNAS 2017", EwcOptions(), Ewc),
    "pi": Entry("Zenke et al., ICML 2017", PathIntegralOptions(), PathIntegral),
    "rw": Entry("Chaudhry et al., ECCV 2018", RiemannianWalkOptions(), RiemannianWalk),
    "mas": Entry("Aljundi et al., ECCV 2018", MasOptions(), Mas),
    "mib": Entry("Cermelli et al., CVPR 2020", MibOptions(), Mib),
    "plop": Entry("Douillard et al., CVPR 2021", PlopOptions(), Plop),
    "ssul": Entry("Cha et al., NeurIPS 2021", SsulOptions(), Ssul),
    "ssul-m": Entry("Cha et al., NeurIPS 2021", SsulOptions(memory=100), Ssul),
    "ewf-mib": Entry("Xiao et al., CVPR 2023", EwfOptions(), lambda options: Ewf(Mib(), options)),
    "ewf-plop": Entry("Xiao et al., CVPR 2023", EwfOptions(), lambda options: Ewf(Plop(), options)),
    "eir": Entry("EIR's public code, as described", EirOptions(), Eir),
    "er": Entry("experience replay, as in mammoth", ErOptions(), Er),
    "der++": Entry("Buzzega et al., NeurIPS 2020", DerOptions(), DerPlusPlus),
    "av-cil": Entry("Pian et al., ICCV 2023", AvCilOptions(), AvCil),
    "o-lora": Entry("arXiv 2310.14152", OrthogonalLoraOptions(), OrthogonalLora),
    "inf-lora": Entry("after InfLoRA, CVPR 2024", OrthogonalLoraOptions(mode="hard"), OrthogonalLora),
    "cross-sdc": Entry(
        "arXiv 2411.02860", RehearsedSdcOptions(), lambda options: CrossSdc(Er(ErOptions(options.memory)), options)
    ),
    "lra": Entry("arXiv 2603.08967, our reading", LraOptions(), Lra),
    "lra-delta": Entry("arXiv 2603.08967, after EWC-LoRA", LraOptions(space="delta"), Lra),
    "lra-stream": Entry("arXiv 2603.08967, our reading", LraStreamOptions(), LraStream),
    "cmr": Entry("arXiv 2510.17234, on PLOP", CmrOptions(), Cmr),
    "cmr-reference": Entry("arXiv 2510.17234, as released", CmrOptions(reference_compat=True), Cmr),
    "cavs": Entry("our default: LRA with CMR's rehearsal", CavsOptions(), make_cavs),
}
"""By the names that the bench takes."""


def make_method(name: str, overrides: Mapping[str, object] | None = None) -> Method:
    """A method by name, some of its options replaced. ConfigError lists what is known."""
    if name not in METHODS:
        raise ConfigError(f"method {name!r} is unknown; known: {', '.join(METHODS)}")
    entry = METHODS[name]
    known = {field.name: getattr(entry.options, field.name) for field in fields(entry.options)}
    strange = sorted(set(overrides or {}) - set(known))
    if strange:
        raise ConfigError(f"method {name}: unknown option {', '.join(strange)}; known: {', '.join(known) or 'none'}")
    try:
        options = TypeAdapter(type(entry.options)).validate_python({**known, **(overrides or {})})
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "options"
        raise ConfigError(f"method {name}: {where}: {fault['msg']}, seen {fault['input']!r}") from None
    return entry.make(options)
