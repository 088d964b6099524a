"""Sensors -> synchronised windows -> runtime -> masks on the wire. Never imports torch.

For programs that use the masks: `from cavs.stream import Subscriber`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cavs.stream.masks import Masks as Masks
    from cavs.stream.subscriber import Subscriber as Subscriber

__all__ = ["Masks", "Subscriber"]


def __getattr__(name: str) -> Any:
    # Late, so that `cavs-stream doctor` and the like start without loading ZeroMQ and OpenCV.
    if name == "Subscriber":
        from cavs.stream.subscriber import Subscriber

        return Subscriber
    if name == "Masks":
        from cavs.stream.masks import Masks

        return Masks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
