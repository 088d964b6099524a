"""The kernels that TensorRT for RTX compiled on this device, kept from one start to the next.

They are native code like the plan, so they lie in the private directory under a keyed digest. A file that is missing, torn,
edited or of another driver is only a slower start.
"""

import hashlib
import hmac
from pathlib import Path
from typing import Any

from cavs.runtime.disk import Disk
from cavs.runtime.plan import Device, TrustedPlan

DIGEST_BYTES = 32
NAME_CHARS = 16


class RuntimeCacheFile:
    """One file for one plan on one device with one driver. `problem` says why it could not be read or written, if so."""

    def __init__(self, directory: Path, key: bytes, plan: TrustedPlan, device: Device, disk: Disk | None = None) -> None:
        purpose = f"{plan.entry.file.sha256} {device.sm} {device.cuda_version} {device.driver_version}"
        self._key = key
        self._purpose = purpose.encode()
        self._disk = disk or Disk()
        self.path = directory / f"rtx-{hashlib.sha256(self._purpose).hexdigest()[:NAME_CHARS]}.cache"
        self.problem = ""
        self._cache: Any = None
        self._read = b""

    def attach(self, config: Any) -> None:
        """Gives a runtime configuration (IRuntimeConfig) a cache with what is on disk."""
        self._cache = config.create_runtime_cache()
        self._read = self._content()
        if self._read and not self._cache.deserialize(self._read):
            self.problem, self._read = f"{self.path}: TensorRT does not take it", b""
        config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Writes what was compiled since, after the warm-up."""
        content = bytes(self._cache.serialize())
        if content == self._read:
            return
        staged = self.path.with_suffix(".writing")
        try:
            self._disk.write(staged, self._digest(content) + content)
            self._disk.rename(staged, self.path)
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}; kernels are compiled again at the next start"

    def _content(self) -> bytes:
        try:
            whole = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror}"
            return b""
        digest, content = whole[:DIGEST_BYTES], whole[DIGEST_BYTES:]
        if not hmac.compare_digest(digest, self._digest(content)):
            self.problem = f"{self.path}: torn or edited"
            return b""
        return content

    def _digest(self, content: bytes) -> bytes:
        return hmac.new(self._key, self._purpose + b"\n" + content, hashlib.sha256).digest()
