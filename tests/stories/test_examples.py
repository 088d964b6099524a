"""The examples read a running stream, and the golden messages, without anything of ours."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cavs.runtime.clock import MonotonicClock
from cavs.stream.publisher import Publisher
from tests.one_window import MODEL, pixels, prediction, thing, window

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).parents[1] / "stream" / "golden"
LABELS = pixels("..........", ".222......", ".2222.11..", "..222..1..", "..........")
WAIT_MS = 20_000
BETWEEN_WINDOWS_S = 0.02
EXPECTED = ["object 3 dog 0.75 at 1,1 4x3, 10 pixels", "object 4 unknown 0.75 at 6,2 2x2, 3 pixels"]


@pytest.fixture(params=["bits+zstd", "raw"])
def publisher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Publisher]:
    with Publisher(f"ipc://{tmp_path}/masks", "s", clock=MonotonicClock(), encoding=request.param) as made:
        yield made


def lines_of(command: list[str], publisher: Publisher) -> list[str]:
    """What a subscriber prints of one window while the stream runs."""
    objects = (thing(3, LABELS, 2, "dog"), thing(4, LABELS, 1, "unknown"))
    with subprocess.Popen(
        [*command, publisher.address, "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert publisher.wait_for_watcher(WAIT_MS), process.communicate(timeout=1)[1]
            for seq in range(500):
                publisher.publish(window(seq), prediction(LABELS), objects, MODEL, {}, {})
                try:
                    out, err = process.communicate(timeout=BETWEEN_WINDOWS_S)
                except subprocess.TimeoutExpired:
                    continue
                assert process.returncode == 0, err
                return [line.split(": ", 1)[1] for line in out.splitlines()]
        finally:
            process.kill()
    raise AssertionError("the example did not end after 500 windows")


def test_the_python_example_reads_a_stream(publisher: Publisher) -> None:
    assert lines_of([sys.executable, str(EXAMPLES / "subscribe.py")], publisher) == EXPECTED


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("needs a C++ compiler")
    wanted = "#include <zmq.h>\n#include <zstd.h>\n#include <nlohmann/json.hpp>\n"
    probe = subprocess.run([compiler, "-E", "-x", "c++", "-"], input=wanted, capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip("needs libzmq3-dev libzstd-dev nlohmann-json3-dev")
    made = tmp_path_factory.mktemp("cpp") / "subscribe"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
    command = [compiler, *flags, str(EXAMPLES / "subscribe.cpp"), "-o", str(made), "-lzmq", "-lzstd"]
    subprocess.run(command, check=True)
    return made


@pytest.mark.slow  # the JSON header compiles for ten seconds
def test_the_cpp_example_reads_a_stream(program: Path, publisher: Publisher) -> None:
    assert lines_of([str(program)], publisher) == EXPECTED


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("needs node")
    return found


def test_the_node_example_reads_a_stream(node: str, publisher: Publisher) -> None:
    if not (EXAMPLES / "node_modules" / "zeromq").is_dir():
        pytest.skip("needs: cd examples && npm install zeromq @msgpack/msgpack")
    if publisher.encoding == "bits+zstd" and not node_has_zstd(node):
        pytest.skip("needs Node 22.15 for zstd")
    assert lines_of([node, str(EXAMPLES / "subscribe.mjs")], publisher) == EXPECTED


def node_has_zstd(node: str) -> bool:
    script = "process.exit(typeof require('node:zlib').zstdDecompressSync === 'function' ? 0 : 1)"
    return subprocess.run([node, "-e", script], check=False).returncode == 0


@pytest.mark.parametrize("name", ["masks-raw", "masks-bits-zstd"])
def test_the_node_example_reads_the_golden_masks(node: str, name: str, tmp_path: Path) -> None:
    if "zstd" in name and not node_has_zstd(node):
        pytest.skip("needs Node 22.15 for zstd")
    script = tmp_path / "golden.mjs"
    # The header comes from the golden JSON, so that no msgpack library is needed here.
    script.write_text(
        f"""
        import fs from "node:fs";
        import {{ read, linesOf }} from {json.dumps(str(EXAMPLES / "subscribe.mjs"))};
        const golden = JSON.parse(fs.readFileSync({json.dumps(str(GOLDEN / f"{name}.json"))}));
        const {{ header, payload }} = read(fs.readFileSync({json.dumps(str(GOLDEN / f"{name}.bin"))}), () => golden.header);
        for (const line of linesOf(header, payload)) console.log(line);
        """
    )
    done = subprocess.run([node, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "41: object 7 dog 0.88 at 1,1 4x3, 10 pixels",
        "41: object 9 unknown 0.50 at 6,1 2x2, 3 pixels",
    ]
