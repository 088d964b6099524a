import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from cavs.runtime.errors import ConfigError
from cavs.stream.metrics import MetricsServer

SNAPSHOT: dict[str, Any] = {
    "counters": {"frames_stale": 3, "windows_published": 90},
    "latency_ms": {"infer": {"p50": 11.5, "p99": 17.0}},
    "gauges": {"rss_mib": 210.5, "drift_ppm": None},
    "model": {"bundle": "b1", "version": 7},
}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    served = MetricsServer("127.0.0.1", 0, lambda: SNAPSHOT)
    yield served
    served.close()


def test_a_scrape_gives_counts_latencies_gauges_and_the_model(server: MetricsServer) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'cavs_events_total{cause="frames_stale"} 3.0' in text
    assert 'cavs_latency_ms{quantile="p99",stage="infer"} 17.0' in text
    assert "cavs_rss_mib 210.5" in text
    assert 'cavs_model{bundle="b1",version="7"} 1.0' in text
    assert "drift_ppm" not in text, "what is not known is left out"


def test_a_port_in_use_is_one_line(server: MetricsServer) -> None:
    with pytest.raises(ConfigError, match=f"127.0.0.1:{server.port}.*--metrics"):
        MetricsServer("127.0.0.1", server.port, lambda: SNAPSHOT)
