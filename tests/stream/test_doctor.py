import json
from pathlib import Path

import pytest

from cavs.runtime.bundle import Bundle
from cavs.stream.doctor import LOOKS, Finding, can_run, examine, look_at_bundle, main


def test_every_look_gives_one_finding_with_something_seen() -> None:
    findings = examine()
    assert len(findings) == len(LOOKS)
    assert all(finding.seen for finding in findings)
    assert len({finding.name for finding in findings}) == len(findings)


def test_what_is_needed_decides() -> None:
    fine = Finding("opencv", "ok", "5.0", needed=True)
    no_camera = Finding("cameras", "missing", "no /dev/video*")
    torn = Finding("default bundle", "broken", "torn", needed=True)
    assert can_run([fine, no_camera])
    assert not can_run([fine, torn])


def test_a_good_and_a_torn_bundle(tiny_bundle: Bundle, tmp_path: Path) -> None:
    good = look_at_bundle(tiny_bundle.root)
    assert good.state == "ok"
    assert "red" in good.seen
    assert look_at_bundle(tmp_path).state == "broken"


def test_json_says_the_same_as_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--json"])
    said = json.loads(capsys.readouterr().out)
    assert code == (0 if said["can_run"] else 1)
    assert {finding["name"] for finding in said["findings"]} >= {"python", "engine onnx", "zeromq", "cameras"}
