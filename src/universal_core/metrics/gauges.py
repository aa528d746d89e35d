"""How models, memory and downloads stand when somebody asks: read then, from what is there, and kept nowhere."""

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from universal_core.entry import Entry
from universal_core.memory import devices
from universal_core.metrics.labels import Labels
from universal_core.placement import MACHINE
from universal_core.pool import Pool

MODEL = ("model", "backend")
PLACED = (*MODEL, "device")
GAUGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "model_ready": ("1 for a model that is loaded, 0 while it loads.", PLACED),
    "model_pinned": ("1 for a model that is never unloaded to make room or for being idle.", MODEL),
    "queue_depth": ("Requests that wait for a model: to be loaded, or for their turn.", MODEL),
    "active_requests": ("Requests that a model is working on.", MODEL),
    "model_memory_reserved_bytes": ("Memory that is set aside for a model.", PLACED),
    "model_memory_measured_bytes": ("Memory that a model's process takes, as it measured it last.", PLACED),
    "memory_limit_bytes": ("Memory of a device that all models together may take.", ("device",)),
    "memory_free_bytes": ("Memory of a device that one more model may take now.", ("device",)),
    "downloads": ("Downloads of models that are under way.", ()),
    "download_remaining_bytes": ("Bytes that these downloads have still to bring.", ()),
    "draining": ("1 once the server is stopping and takes no new work.", ()),
}
"""Names without ``universal_``, words and labels."""

Values = dict[tuple[str, ...], float]


class Gauges(Collector):
    """Reads a pool at each scrape; it wakes no model, and asks no worker anything."""

    def __init__(self, pool: Pool, labels: Labels, device: str) -> None:
        """``device`` is where models run by the configuration."""
        self._pool = pool
        self._labels = labels
        self._device = device

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the families without values."""
        return [_family(name) for name in GAUGES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family; models that are gone are not in them."""
        found: dict[str, Values] = {name: {} for name in GAUGES}
        entries = self._pool.everyone()
        for entry in entries:
            self._add(found, entry)
        for device in dict.fromkeys((MACHINE, *(one.type for one in devices(self._device)))):
            budget = self._pool.room.budget
            found["memory_limit_bytes"][device,] = budget.limit(device)
            found["memory_free_bytes"][device,] = max(budget.free(device, entries), 0)
        transfers = [download.progress.transfer for download in self._pool.downloads.active]
        found["downloads"][()] = len(transfers)
        left = [transfer.bytes - transfer.bytes_done for transfer in transfers if transfer is not None]
        found["download_remaining_bytes"][()] = sum(left)
        found["draining"][()] = self._pool.draining
        for name, values in found.items():
            family = _family(name)
            for labels, value in values.items():
                family.add_metric(labels, value)
            yield family

    def _add(self, found: dict[str, Values], entry: Entry) -> None:
        model = (self._labels.of(entry.plan.name), entry.plan.claim.backend)

        def add(name: str, value: float, *more: str) -> None:
            # One that is leaving may stand beside its successor, and those beyond the most share a label.
            values = found[name]
            values[*model, *more] = values.get((*model, *more), 0) + value

        if not entry.gone:
            add("model_ready", entry.state == "ready", entry.device)
            add("model_pinned", entry.plan.pinned)
        add("queue_depth", max(entry.users - entry.active, 0))
        add("active_requests", entry.active)
        taken = entry.taken
        for device in {**entry.reserved, **taken}:
            add("model_memory_reserved_bytes", entry.reserved.get(device, 0), device)
            add("model_memory_measured_bytes", taken.get(device, 0), device)


def _family(name: str) -> GaugeMetricFamily:
    words, labels = GAUGES[name]
    return GaugeMetricFamily(f"universal_{name}", words, labels=labels)
