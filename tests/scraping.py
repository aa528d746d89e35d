"""What a scrape says, read by prometheus_client's own parser."""

from prometheus_client.parser import text_string_to_metric_families

from universal_core.runtime import Runtime


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.families = {family.name: family for family in families}
        self.samples = [sample for family in families for sample in family.samples]
        together = [(sample.name, *sorted(sample.labels.items())) for sample in self.samples]
        assert len(set(together)) == len(together), "a series stands twice in one scrape"

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of all samples that have these labels, 0 where there is none."""
        name = f"universal_{name}"
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())

    def labels(self, name: str, label: str) -> set[str]:
        """Return every value of a label of a metric."""
        return {one.labels[label] for one in self.samples if one.name == f"universal_{name}"}


async def scrape(runtime: Runtime) -> Scrape:
    """Return what a runtime would answer a scrape with."""
    assert runtime.metrics is not None
    text, _ = await runtime.metrics.exposition("text/plain")
    return Scrape(text.decode())
