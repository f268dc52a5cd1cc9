"""What Prometheus is told: counts and times of this process, and how things stand at the moment."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import generate_latest

from ..session.event_files import Event
from .gpu import Gpu

if TYPE_CHECKING:
    from ..settings import Proxy

__all__ = [
    "CONTENT_TYPE",
    "bytes_down",
    "bytes_up",
    "cell_ended",
    "cell_sent",
    "event_sent",
    "kernel_died",
    "render",
]

# Its own, apart from the one of jupyter_server.
_REGISTRY = CollectorRegistry()
# Memory, processor time and open files of the proxy itself; on Linux.
ProcessCollector(registry=_REGISTRY)

_STEPS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
_BYTES = Counter(
    "torch_proxy_bytes",
    "Bytes from pages (up) and to pages (down).",
    ("direction", "plane"),
    registry=_REGISTRY,
)
_CELLS = Histogram(
    "torch_proxy_cell_seconds",
    "Cells that have ended, and how long they ran, their values' way back included.",
    ("outcome",),
    buckets=(0.01, 0.1, 1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600),
    registry=_REGISTRY,
)
_TO_KERNEL = Histogram(
    "torch_proxy_to_kernel_seconds",
    "From the arrival of a cell until its code is sent to the kernel; of cells that waited for no "
    "other, what they push included.",
    buckets=_STEPS_S,
    registry=_REGISTRY,
)
_TO_PAGE = Histogram(
    "torch_proxy_to_page_seconds",
    "From a message of a kernel until it is sent to a page that listens.",
    buckets=_STEPS_S,
    registry=_REGISTRY,
)
_DEATHS = Counter(
    "torch_proxy_kernel_deaths", "Kernels that ended by themselves.", registry=_REGISTRY
)
for _outcome in ("ok", "error", "unknown"):
    _CELLS.labels(_outcome)

_UP = {plane: _BYTES.labels("up", plane) for plane in ("channel", "tensors", "files")}
_DOWN = {plane: _BYTES.labels("down", plane) for plane in ("channel", "tensors", "files")}


def bytes_up(count: int, plane: str) -> None:
    """So many bytes came from a page, in the `channel` plane or that of `tensors` or `files`."""
    _UP[plane].inc(count)


def bytes_down(count: int, plane: str) -> None:
    """So many bytes went to a page."""
    _DOWN[plane].inc(count)


def cell_sent(arrived: float) -> None:
    """A cell that came at `arrived` (monotonic) goes to the kernel."""
    _TO_KERNEL.observe(time.monotonic() - arrived)


def cell_ended(outcome: str, seconds: float) -> None:
    """A cell has ended: `ok`, `error`, or `unknown` after a restart of the proxy."""
    _CELLS.labels(outcome).observe(seconds)


def event_sent(event: Event, since: float) -> None:
    """An event is with a page that has listened `since` then (monotonic)."""
    bytes_down(event.size, "channel")
    # Others waited for their page, not for this proxy.
    if event.arrived > since:
        _TO_PAGE.observe(time.monotonic() - event.arrived)


def kernel_died() -> None:
    """A kernel has ended by itself."""
    _DEATHS.inc()


def render(proxy: "Proxy", gpus: Sequence[Gpu]) -> bytes:
    """Return everything in Prometheus' text format."""
    return generate_latest(_REGISTRY) + generate_latest(_Present(proxy, gpus))


class _Present:
    """How things stand, as a registry that `generate_latest` reads."""

    def __init__(self, proxy: "Proxy", gpus: Sequence[Gpu]):
        self._proxy, self._gpus = proxy, gpus

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge."""
        proxy, sessions = self._proxy, list(self._proxy.sessions)
        yield _gauge("sessions", "Sessions.", len(sessions))
        yield _gauge("sessions_limit", "--max-sessions.", proxy.limits.max_sessions)
        listeners = sum(len(session.listeners) for session in sessions)
        yield _gauge("listeners", "Pages that follow a session.", listeners)
        cells = GaugeMetricFamily(
            "torch_proxy_cells", "Cells that have not ended.", labels=["state"]
        )
        for state in ("queued", "running"):
            count = sum(cell.state == state for session in sessions for cell in session.cells)
            cells.add_metric([state], count)
        yield cells
        waiting = sum(session.log.last + 1 - session.log.first for session in sessions)
        yield _gauge("events_waiting", "Events that some page may still ask for.", waiting)
        budget = proxy.budget
        yield _gauge("shared_memory_bytes", "Arrays on their way.", budget.used)
        yield _gauge("shared_memory_limit_bytes", "--shared-memory.", budget.total)
        yield from self._gpu_gauges()

    def _gpu_gauges(self) -> Iterator[GaugeMetricFamily]:
        kinds = {
            "gpu_memory_used_bytes": ("Memory in use, by all programs.", "used"),
            "gpu_memory_bytes": ("Memory there is.", "total"),
            "gpu_load": ("Part of the time in which it computed, up to 1.", "load"),
        }
        for name, (text, attribute) in kinds.items():
            family = GaugeMetricFamily(f"torch_proxy_{name}", text, labels=["gpu", "name"])
            for gpu in self._gpus:
                if (value := getattr(gpu, attribute)) is not None:
                    family.add_metric([gpu.index, gpu.name], value)
            yield family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"torch_proxy_{name}", text, value)
