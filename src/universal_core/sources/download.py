"""Download progress: a bar for huggingface_hub that reports instead of drawing."""

import threading
from collections.abc import Callable
from typing import Any

from universal_core.models import Progress


def counting_bar(total: int, report: Callable[[Progress], None]) -> type[Any]:
    """Return a tqdm class whose bytes, over all files at once, are reported as a share of ``total`` bytes."""
    from huggingface_hub.utils.tqdm import tqdm

    lock = threading.Lock()
    done = 0

    class CountingBar(tqdm):
        """Counts bytes; bars that count files are left out."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            # One of the two bars of a download counts what was received, and the other what was written.
            self._counts = kwargs.get("unit") == "B" and not str(kwargs.get("name")).endswith(".transfer")
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            """Add bytes, and report the share that is there."""
            nonlocal done
            if self._counts and n:
                with lock:
                    done += int(n)
                report(Progress("downloading", min(done / total, 1.0) if total else None))

    return CountingBar
