"""Many runs on many machines through Ray (the extra `ray`).

Every machine needs this package, and the folders of --data, --network and --out at the same paths, as on a shared file
system. A run whose machine is lost is started again by Ray and goes on after its last finished task.
"""

from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType
from typing import Any

from cavs.adapt.bench.pool import Job, Outcome, Told, run_job
from cavs.runtime.errors import ConfigError

LISTEN_S = 0.5
"""Longest time between two looks at how far the runs have come."""
HERE = "local"
"""The address that starts Ray on this machine alone."""


def run_on_ray(jobs: Sequence[Job], address: str, at_once: int, threads: int, told: Told) -> list[Outcome]:
    """The outcomes in the order of the jobs. at_once: only where Ray is started here; elsewhere its cluster decides."""
    ray = _ray()
    workers = {"num_cpus": at_once * threads, "include_dashboard": False} if address == HERE else {}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **workers)
    except Exception as error:  # noqa: BLE001  Ray says so with a bare one where its own processes do not come up in time
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"--ray {address}: no cluster there ({reason}); start one (ray start --head) or give {HERE}"
        ) from None
    try:
        return _run(ray, jobs, threads, told)
    finally:
        ray.shutdown()


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray needs Ray, which is not installed; pip install 'cavs-stream[ray]'") from None
    module: ModuleType = ray
    return module


def _run(ray: Any, jobs: Sequence[Job], threads: int, told: Told) -> list[Outcome]:
    from ray.util.queue import Queue

    news = Queue(actor_options={"num_cpus": 0})
    run_there = ray.remote(num_cpus=threads)(_run_there)
    label_of = {run_there.remote(job, threads, news): job.label for job in jobs}
    found: dict[str, Outcome] = {}
    waiting = list(label_of)
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=LISTEN_S)
        while not news.empty():
            told(*news.get())
        for reference in done:
            label = label_of[reference]
            try:
                found[label] = Outcome(**ray.get(reference))
            except ray.exceptions.RayError as error:
                last = str(error).strip().splitlines()[-1]
                found[label] = Outcome(label, fault=f"the worker of the run failed ({last}); run the same again to go on")
    return [found[job.label] for job in jobs]


def _run_there(job: Job, threads: int, news: Any) -> dict[str, str | None]:
    import torch

    torch.set_num_threads(threads)
    return asdict(run_job(job, lambda share: news.put((job.label, share))))
