"""A real S3 endpoint on this machine, for tests of what speaks S3."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def s3_server(port: int = 0) -> Iterator[str]:
    """Runs one in a thread; its URL. What was stored outlives it, as long as the process does."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, taken = server.get_host_and_port()
    try:
        yield f"http://{host}:{taken}"
    finally:
        server.stop()


def use_s3(monkeypatch: pytest.MonkeyPatch, url: str, home: Path) -> None:
    """Sets what a user of S3 sets: endpoint, region and credentials, in AWS's own variables."""
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
