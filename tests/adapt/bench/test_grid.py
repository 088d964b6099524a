"""Many runs: every combination, in processes of their own, what fails apart from what does not."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cavs.adapt.bench.grid import is_finished, plans_of, run_grid, varied_options
from cavs.adapt.bench.pool import Job, run_on_this_machine
from cavs.adapt.bench.report import read_runs
from cavs.adapt.cli import command_parser, main
from cavs.runtime.errors import ConfigError


def parsed(data: Path, network: Path, out: Path, *more: str) -> argparse.Namespace:
    return command_parser().parse_args(words(data, network, out, *more))


def words(data: Path, network: Path, out: Path, *more: str) -> list[str]:
    paths = ["--data", str(data), "--network", str(network), "--out", str(out)]
    return ["bench", "--grid", "--protocol", "cis-2-2", *paths, "--epochs", "1", "1", "--batch", "8", *more]


def test_every_method_meets_every_value_and_every_seed(avss: Path, start_from: Path, tmp_path: Path) -> None:
    more = ("--method", "er", "der++", "--vary", "memory=1,2", "--set", "share=0.5", "--seeds", "0", "1")
    plans = plans_of(parsed(avss, start_from, tmp_path, *more))
    assert len(plans) == 2 * 2 * 2
    assert len({plan.model_dump_json() for plan in plans}) == 8
    assert {plan.options["memory"] for plan in plans} == {1, 2}
    assert all(plan.options["share"] == 0.5 for plan in plans)
    assert varied_options(["criterion=abs_min,random", "extra=0,1.5"]) == {
        "criterion": ["abs_min", "random"],
        "extra": [0, 1.5],
    }
    with pytest.raises(ConfigError, match="unknown option memory"):
        plans_of(parsed(avss, start_from, tmp_path, "--method", "er", "lwf", "--vary", "memory=1,2"))


def test_a_run_that_fails_does_not_stop_the_others_and_the_rest_is_not_run_again(
    avss: Path, start_from: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three processes that import torch: the slowest test of the bench."""
    blocked = tmp_path / "cis-2-2-overlapped" / "lwf"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    asked = words(avss, start_from, tmp_path, "--method", "fine-tuning", "lwf", "--jobs", "2")
    assert main(asked) == 1
    said = capsys.readouterr().out
    assert f"failed: lwf/0: {blocked}/0: cannot be made" in said
    (only,) = read_runs(tmp_path)
    assert only.method == "fine-tuning"
    blocked.unlink()
    outcomes = run_grid(parsed(avss, start_from, tmp_path, "--method", "fine-tuning", "lwf"), Console(quiet=True))
    assert [(outcome.label, outcome.fault) for outcome in outcomes] == [("lwf/0", None)]
    assert {run.method for run in read_runs(tmp_path)} == {"fine-tuning", "lwf"}


def test_a_run_is_finished_only_under_the_very_same_plan(avss: Path, start_from: Path, tmp_path: Path) -> None:
    (plan,) = plans_of(parsed(avss, start_from, tmp_path, "--method", "lwf"))
    assert not is_finished(tmp_path, plan)
    (tmp_path / "plan.json").write_text(plan.model_dump_json())
    (tmp_path / "run.json").write_text("{}")
    assert is_finished(tmp_path, plan)
    assert not is_finished(tmp_path, plan.model_copy(update={"batch": 9}))


def test_a_process_that_dies_is_one_failed_run() -> None:
    """The plan is no plan, so the child ends with a traceback; its exit code is what is known of it."""
    shares: list[float] = []
    (outcome,) = run_on_this_machine([Job("broken", "{", "/nowhere")], 1, 1, lambda label, share: shares.append(share))
    assert outcome.fault is not None
    assert "exit code 1" in outcome.fault
    assert shares == []


def test_a_grid_of_nonsense_is_refused_in_one_line(
    avss: Path, start_from: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(avss, start_from, tmp_path, "--method", "fine-tuning", "--jobs", "0")) == 1
    assert "--jobs 0" in capsys.readouterr().err
    without = [word for word in words(avss, start_from, tmp_path, "--method", "er", "lwf") if word != "--grid"]
    assert main(without) == 1
    assert "several methods without --grid" in capsys.readouterr().err


def test_ray_that_is_not_installed_is_named_with_its_cure() -> None:
    program = """
import sys
sys.modules["ray"] = None
from cavs.adapt.bench.ray_pool import run_on_ray
from cavs.runtime.errors import ConfigError
try:
    run_on_ray([], "local", 1, 1, print)
except ConfigError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'cavs-stream[ray]'" in done.stdout
