"""Writes what the Python bindings of one TensorRT say about themselves: the file that the API-contract tests read.

    python scripts/tensorrt_signatures.py rtx OUT.json                  the installed TensorRT for RTX
    python scripts/tensorrt_signatures.py WHEEL.whl OUT.json            bindings of the full TensorRT, from their wheel

The bindings' wheels are on PyPI (`pip download --no-deps tensorrt-cu12-bindings==10.3.0`), the libraries they call are not
needed: empty ones of the same names let Python import the module and read the signatures. Needs gcc for that.
"""

import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

CLASSES = (
    "Builder",
    "BuilderFlag",
    "ComputeCapability",
    "CudaGraphStrategy",
    "DataType",
    "EngineInspector",
    "IBuilderConfig",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ILogger",
    "INetworkDefinition",
    "IProgressMonitor",
    "IRuntimeCache",
    "IRuntimeConfig",
    "ITensor",
    "ITimingCache",
    "LayerInformationFormat",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "OnnxParser",
    "ParserError",
    "ProfilingVerbosity",
    "Refitter",
    "Runtime",
    "TensorIOMode",
    "Weights",
)
EMPTY_LIBRARY = "\n".join(
    f"void *{name}(void) {{ return 0; }}"
    for name in (
        "createInferBuilder_INTERNAL",
        "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL",
        "createNvOnnxParserRefitter_INTERNAL",
        "createNvOnnxParser_INTERNAL",
        "getBuilderPluginRegistry",
        "getNvOnnxParserVersion",
        "getPluginRegistry",
        "initLibNvInferPlugins",
    )
)


def described(module: Any, version: str) -> dict[str, Any]:
    """{version, classes: {name: {methods: {name: [signature]}, properties, members}}} of a bindings module."""
    seen = {name: _class(getattr(module, name)) for name in CLASSES if hasattr(module, name)}
    return {"version": version, "classes": seen}


def _class(kind: Any) -> dict[str, Any]:
    members = sorted(getattr(kind, "__members__", {}))
    methods, properties = {}, []
    for name in dir(kind):
        value = getattr(kind, name)
        if name in members or name.startswith("add_") or (name.startswith("_") and name != "__init__"):
            continue
        if isinstance(value, property):
            properties.append(name)
        elif signatures := _signatures(name, value.__doc__ or ""):
            methods[name] = signatures
    return {"methods": methods, "properties": sorted(properties), "members": members}


def _signatures(name: str, text: str) -> list[str]:
    """The signatures that pybind11 writes at the head of a docstring, one for each overload."""
    found = re.findall(rf"^(?:\d+\. )?{re.escape(name)}\((?!\*args).*$", text.strip(), re.MULTILINE)
    return [re.sub(r"\b(?:\w+\.)+(?=\w)", "", line) for line in found]


def _from_wheel(wheel: Path, out: Path) -> None:
    """In a process of its own, whose loader finds the empty libraries."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        zipfile.ZipFile(wheel).extractall(folder)
        (folder / "empty.c").write_text(EMPTY_LIBRARY)
        needed = subprocess.run(
            ["readelf", "-d", next(folder.glob("*/tensorrt*.so"))], capture_output=True, text=True, check=True
        ).stdout
        for library in re.findall(r"\[(libnv\S+)\]", needed):
            subprocess.run(
                ["gcc", "-shared", "-fPIC", "-o", folder / library, f"-Wl,-soname,{library}", folder / "empty.c"], check=True
            )
        found = {"LD_LIBRARY_PATH": scratch, "PYTHONPATH": scratch}
        subprocess.run([sys.executable, __file__, "tensorrt_bindings", str(out)], env={**os.environ, **found}, check=True)


def main(source: str, out: str) -> None:
    """Writes OUT."""
    if source.endswith(".whl"):
        return _from_wheel(Path(source), Path(out))
    if source == "rtx":
        importlib.import_module("onnxruntime_ep_nv_tensorrt_rtx")  # loads the libraries that the bindings look for
        source = "tensorrt_rtx_bindings"
    module = importlib.import_module(source)
    Path(out).write_text(json.dumps(described(module, module.__version__), indent=1, sort_keys=True) + "\n")
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
