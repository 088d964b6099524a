"""The gate: a candidate becomes a version only if it forgot nothing, learned its lesson, and answers as the engine must."""

from collections.abc import Callable, Iterator
from pathlib import Path

from cavs.adapt.serve import gate_checks, gate_live, gate_scores
from cavs.adapt.serve.ground import GateLimits, Ground
from cavs.adapt.serve.school import School
from cavs.adapt.serve.trial import Contender
from cavs.adapt.serve.verdict import CHECKS, Check, Verdict, failed
from cavs.runtime.adapter import Adapter, read_adapter
from cavs.runtime.errors import AdapterRejected, EngineError


class Gate:
    """Tries candidates. One thread."""

    def __init__(self, school: School, limits: GateLimits | None = None, between: Callable[[], None] = lambda: None) -> None:
        """between: called after each window that is run, so that a trial gives way to the stream."""
        self._school = school
        self.limits = limits or GateLimits()
        self._between = between

    def judge(self, candidate: Path, ground: Ground, wall_ns: int) -> Verdict:
        """Tries the adapter in a directory. It is accepted if every check passes or could not be made."""
        checks: list[Check] = []
        adapter: Adapter | None = None
        try:
            adapter = read_adapter(candidate)
        except AdapterRejected as error:
            checks.append(failed("digests", str(error)))
        else:
            for check in self._checks(adapter, ground):
                checks.append(check)
                if check.state == "failed":
                    break
        last = checks[-1]
        accepted = last.state != "failed" and len(checks) == len(CHECKS)
        return Verdict(
            lesson=ground.lesson,
            adapter=adapter.id if adapter else None,
            parent=adapter.manifest.parent if adapter else None,
            bundle=ground.bundle.id,
            accepted=accepted,
            reason="" if accepted else f"{last.name}: {last.reason}",
            checks=tuple(checks),
            wall_ns=wall_ns,
            windows=len(ground.anchors) + len(ground.held_out) + (len(ground.live) if ground.live else 0),
        )

    def _checks(self, adapter: Adapter, ground: Ground) -> Iterator[Check]:
        """In the order of CHECKS. What an engine cannot run fails the check that ran it."""
        yield gate_checks.digests(adapter, ground)
        yield gate_checks.finite(adapter, ground)
        limits = self.limits
        try:
            contender = Contender(ground.engine, adapter)
            yield gate_checks.parity(contender, ground, limits, self._school, self._between)
        except EngineError as error:
            yield failed("parity", str(error))
            return
        scored = gate_scores.Scored(contender, ground, limits, self._between)
        for name, check in (
            ("anchors", scored.anchors),
            ("recalled", lambda: gate_checks.recalled(adapter, ground, limits, self._school)),
            ("lesson", scored.lesson),
            ("muted", scored.muted),
            ("swapped", scored.swapped),
            ("latency", lambda: gate_live.latency(contender, ground, limits, self._between)),
            ("shadow", lambda: gate_live.shadow(contender, ground, limits, self._between)),
        ):
            try:
                yield check()
            except EngineError as error:
                yield failed(name, str(error))
                return
