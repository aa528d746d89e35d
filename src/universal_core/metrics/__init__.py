"""What Prometheus is told: counters and times of everything that happens, and how things stand when it asks."""

from universal_core.metrics.gauges import Gauges
from universal_core.metrics.labels import Labels
from universal_core.metrics.measures import Measures
from universal_core.metrics.metrics import Metrics

__all__ = ["Gauges", "Labels", "Measures", "Metrics"]
