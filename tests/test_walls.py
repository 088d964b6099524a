"""The walls between the rooms: imports go one way, and the live process never sees torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("runtime", "stream", "adapt", "export")
MAY_IMPORT = {
    "runtime": {"runtime"},
    "stream": {"stream", "runtime"},
    "adapt": {"adapt", "runtime"},
    "export": {"export", "adapt", "runtime"},
}
LIVE = ("runtime", "stream")
LEARNERS_ONLY = {"torch", "onnx", "onnxscript", "torchvision", "timm", "scipy", "matplotlib"}
"""What the live rooms may not import, not even inside a function."""


def files_of(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import in a file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def breaches(room: str) -> Iterator[str]:
    for path in files_of(room):
        for line, name in imports_of(path):
            parts = name.split(".")
            where = f"{path.relative_to(ROOT)}:{line} imports {name}"
            if parts[0] == "" or parts[0] in ROOMS:
                yield f"{where}: write cavs.<room>.<module>"
            elif parts[0] == "cavs" and (len(parts) < 2 or parts[1] not in MAY_IMPORT[room]):
                yield f"{where}: {room} may import only {sorted(MAY_IMPORT[room])}"
            elif parts[0] == "tests":
                yield f"{where}: the product never imports its tests"
            elif room in LIVE and parts[0] in LEARNERS_ONLY:
                yield f"{where}: the live rooms do without {parts[0]}"


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    assert files_of(room)
    assert list(breaches(room)) == []


def test_cavs_is_a_namespace_without_a_file_of_its_own() -> None:
    assert not (ROOT / "__init__.py").exists()
    assert not (ROOT / "cavs").exists()


BLOCKED_IMPORTS = """
import importlib, importlib.abc, sys

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ImportError("the wall: " + name)

sys.meta_path.insert(0, Wall())
for module in {modules!r}:
    importlib.import_module(module)
print("imported", len({modules!r}))
"""


def test_every_live_module_is_imported_where_torch_cannot_be() -> None:
    modules = [
        ".".join(("cavs", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for room in LIVE
        for path in files_of(room)
        if path.name != "__main__.py"
    ]
    code = BLOCKED_IMPORTS.format(blocked=LEARNERS_ONLY, modules=modules)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd="/")
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == f"imported {len(modules)}"
