"""Many runs on one machine, a process for each: what one does to its process, the others do not feel.

A thread for every place starts a process for one run at a time and listens to it; how far a run has come and how it ended
comes through a pipe, as JSON.
"""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection

from cavs.runtime.errors import CavsError

INTERRUPTED = 130
"""Exit code after Ctrl-C."""

Told = Callable[[str, float], None]
"""Hears the label of a run and how far it has come, 0 to 1. Called from several threads."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run, as plain values that any process can be given.

    label: unique among the runs. plan: a `RunPlan` as JSON. out: the folder of all runs.
    """

    label: str
    plan: str
    out: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. fault: one line; None if it went well. said: a line for the reader."""

    label: str
    fault: str | None = None
    said: str = ""


def run_job(job: Job, told: Callable[[float], None]) -> Outcome:
    """Runs it here. What the world did wrong is in the outcome; a bug is raised."""
    from cavs.adapt.bench.start import run_planned  # torch, which the process that only listens need not load

    try:
        return Outcome(job.label, said=run_planned(job.plan, job.out, told))
    except CavsError as error:
        return Outcome(job.label, fault=str(error))


def run_on_this_machine(jobs: Sequence[Job], at_once: int, threads: int, told: Told) -> list[Outcome]:
    """The outcomes in the order of the jobs. threads: that each run computes with."""
    places = ThreadPoolExecutor(at_once)
    try:
        return list(places.map(lambda job: _in_a_process(job, threads, told), jobs))
    finally:
        places.shutdown(cancel_futures=True)  # Ctrl-C ends the processes that run, and no other is started


def _in_a_process(job: Job, threads: int, told: Told) -> Outcome:
    context = multiprocessing.get_context("spawn")  # a forked torch may hang
    ears, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_run_and_tell, args=(job, threads, mouth), name=job.label, daemon=True)
    process.start()
    mouth.close()
    outcome = None
    while True:
        try:
            message = json.loads(ears.recv_bytes())
        except EOFError:
            break
        if "share" in message:
            told(job.label, message["share"])
        else:
            outcome = Outcome(**message)
    process.join()
    ears.close()
    code = process.exitcode
    process.close()
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}, traceback above"
    return outcome or Outcome(job.label, fault=f"the process of the run ended early ({how}); run the same again to go on")


def _run_and_tell(job: Job, threads: int, mouth: Connection) -> None:
    import torch

    torch.set_num_threads(threads)
    try:
        outcome = run_job(job, lambda share: mouth.send_bytes(json.dumps({"share": share}).encode()))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    mouth.send_bytes(json.dumps(asdict(outcome)).encode())
