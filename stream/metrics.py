"""The Prometheus endpoint: what the health already counts, read when somebody asks."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cavs.runtime.errors import ConfigError

Snapshot = dict[str, Any]
"""What `Health.snapshot` gives: counters, latency_ms by stage, gauges, labels."""


class HealthCollector:
    """Turns a snapshot of the health into metric families at each scrape. The live loop is not touched."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus-client on its own thread."""
        seen = self._snapshot()
        counts = CounterMetricFamily("cavs_events", "Windows, drops and gaps since the start, by cause", labels=["cause"])
        for cause, count in seen["counters"].items():
            counts.add_metric([cause], count)
        yield counts
        latency = GaugeMetricFamily("cavs_latency_ms", "Latency by stage since the start", labels=["stage", "quantile"])
        for stage, quantiles in seen["latency_ms"].items():
            for quantile, value in quantiles.items():
                latency.add_metric([stage, quantile], value)
        yield latency
        for name, value in seen["gauges"].items():
            if value is not None:
                yield GaugeMetricFamily(f"cavs_{name}", name.replace("_", " "), value=value)
        yield _model_info(seen["model"])


def _model_info(model: dict[str, Any]) -> Metric:
    info = GaugeMetricFamily("cavs_model", "The model that serves; the value is always 1", labels=sorted(model))
    info.add_metric([str(model[key]) for key in sorted(model)], 1)
    return info


class MetricsServer:
    """Serves the metrics on one address until closed. Raises ConfigError if the port is taken."""

    def __init__(self, host: str, port: int, snapshot: Callable[[], Snapshot]) -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(HealthCollector(snapshot))
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=registry)
        except OSError as error:
            raise ConfigError(f"metrics on {host}:{port}: {error.strerror}; give another --metrics PORT") from None

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
