"""Classes whose surface is that of real TensorRT bindings, as the bindings describe themselves in tests/runtime/signatures.

What a release does not have cannot be called, whatever a double would do with it; a call that does not fit the signature
of the release is a broken contract.
"""

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FOLDER = Path(__file__).parent / "signatures"
RELEASES = {"native-10.3": "native", "native-11.4": "native", "rtx-1.7": "rtx"}


class ContractBroken(AssertionError):
    """The product calls something that the real bindings do not have, or not like that."""


@functools.cache
def described(release: str) -> dict[str, Any]:
    """{version, classes} as written by scripts/tensorrt_signatures.py."""
    content: dict[str, Any] = json.loads((FOLDER / f"{release}.json").read_text())
    return content


def as_described(release: str, doubles: dict[str, type]) -> SimpleNamespace:
    """A module with a class for each double, narrowed to what the release has, and all its enumerations."""
    content = described(release)
    module = SimpleNamespace(__version__=content["version"])
    for name, shape in content["classes"].items():
        if shape["members"]:
            setattr(module, name, _enumeration(name, shape["members"]))
        elif name in doubles:
            setattr(module, name, _narrowed(name, shape, doubles[name]))
    for double in doubles.values():
        double._module = module  # type: ignore[attr-defined]
    return module


def _enumeration(name: str, members: list[str]) -> SimpleNamespace:
    kind = type(name, (int,), {"name": property(lambda self: members[int(self)])})
    return SimpleNamespace(**{member: kind(number) for number, member in enumerate(members)})


def _narrowed(name: str, shape: dict[str, Any], double: type) -> type:
    body: dict[str, Any] = {}
    for attribute, signatures in shape["methods"].items():
        if attribute != "__init__" and hasattr(double, attribute):
            body[attribute] = _checked(name, attribute, signatures, getattr(double, attribute))

    def start(self: Any, *given: Any, **named: Any) -> None:
        if "__init__" in shape["methods"]:
            _check(name, "__init__", shape["methods"]["__init__"], given, named)
        double.__init__(self, *given, **named)  # type: ignore[misc]

    def look(self: Any, attribute: str) -> Any:
        listed = attribute.startswith("_") or attribute in shape["methods"] or attribute in shape["properties"]
        if not listed and attribute not in vars(type(self)) and not _of_the_product(type(self), name):
            raise ContractBroken(f"{name} has no {attribute} in this release")
        return object.__getattribute__(self, attribute)

    def put(self: Any, attribute: str, value: Any) -> None:
        own = attribute.startswith("_") or _of_the_product(type(self), name)
        if not own and attribute not in shape["properties"]:
            raise ContractBroken(f"{name}.{attribute} cannot be set in this release")
        object.__setattr__(self, attribute, value)

    body |= {"__init__": start, "__getattribute__": look, "__setattr__": put}
    return type(name, (double,), body)


def _of_the_product(kind: type, name: str) -> bool:
    """True for a class that the product derives from one of the bindings': it may have attributes of its own."""
    return kind.__name__ != name


def _checked(name: str, method: str, signatures: list[str], work: Callable[..., Any]) -> Callable[..., Any]:
    def call(self: Any, *given: Any, **named: Any) -> Any:
        _check(name, method, signatures, given, named)
        return work(self, *given, **named)

    return call


def _check(name: str, method: str, signatures: list[str], given: tuple[Any, ...], named: dict[str, Any]) -> None:
    if not any(_fits(signature, given, named) for signature in signatures):
        shown = ", ".join([*(type(value).__name__ for value in given), *named])
        raise ContractBroken(f"{name}.{method}({shown}) fits none of {signatures}")


def _fits(signature: str, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
    inside = signature[signature.index("(") + 1 : signature.rindex(")")]
    parameters = [part.split(":", 1) for part in re.split(r", (?=\w+: )", inside)][1:]  # without self
    if len(given) > len(parameters) or any(key not in [place for place, _ in parameters] for key in named):
        return False
    values = {place: value for (place, _), value in zip(parameters, given, strict=False)} | named
    for place, kind in parameters:
        if place not in values:
            if "=" not in kind:
                return False
        elif not _is(values[place], kind.split("=")[0].strip()):
            return False
    return True


def _is(value: Any, kind: str) -> bool:
    plain: dict[str, tuple[type, ...]] = {
        "SupportsInt": (int,),
        "int": (int,),
        "str": (str,),
        "bool": (bool,),
        "Buffer": (bytes, bytearray, memoryview),
        "buffer": (bytes, bytearray, memoryview),
    }
    if kind in plain:
        return isinstance(value, plain[kind])
    if kind == "ndarray":
        return type(value).__name__ == "ndarray"
    return kind.removeprefix("nvinfer1::") in {base.__name__ for base in type(value).__mro__}
