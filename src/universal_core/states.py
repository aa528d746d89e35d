"""How models and devices stand, as /health shows them."""

import msgspec

from universal_core.entry import Entry, JobProgress
from universal_core.memory import Device, readable
from universal_core.pool import Pool


class ModelState(msgspec.Struct, frozen=True):
    """A model in memory, as /health shows it."""

    id: str
    task: str
    tasks: tuple[str, ...]
    backend: str
    state: str
    """``loading``, ``ready``, or ``leaving`` once it gets no more requests."""
    device: str
    memory_bytes: int
    reserved_bytes: int
    idle_seconds: float
    active: int
    queued: int
    pinned: bool
    pid: int
    progress: tuple[JobProgress, ...]

    @classmethod
    def of(cls, entry: Entry, now: float) -> "ModelState":
        """Return the state of a model at a moment of the monotonic clock."""
        claim = entry.plan.claim
        return cls(
            id=entry.plan.name,
            task=claim.tasks[0],
            tasks=claim.tasks,
            backend=claim.backend,
            state="leaving" if entry.gone else entry.state,
            device=entry.device,
            memory_bytes=entry.memory,
            reserved_bytes=entry.counted(entry.device),
            idle_seconds=round(now - entry.used, 1) if entry.idle else 0.0,
            active=entry.active,
            queued=entry.queue.queued,
            pinned=entry.plan.pinned,
            pid=entry.worker.pid if entry.worker else 0,
            progress=tuple(entry.jobs.values()),
        )


class DeviceState(msgspec.Struct, frozen=True):
    """A device with memory for models: what it has, what models may take together, what is set aside and what taken."""

    type: str
    name: str
    total_bytes: int
    free_bytes: int
    limit_bytes: int
    reserved_bytes: int
    measured_bytes: int

    @classmethod
    def of(cls, device: Device, pool: Pool) -> "DeviceState":
        """Return the state of a device."""
        entries = pool.everyone()
        return cls(
            type=device.type,
            name=device.name,
            total_bytes=device.total,
            free_bytes=device.free,
            limit_bytes=pool.room.budget.limit(device.type),
            reserved_bytes=sum(entry.counted(device.type) for entry in entries),
            measured_bytes=sum(entry.taken.get(device.type, 0) for entry in entries),
        )

    def in_words(self) -> dict[str, str]:
        """Return it with sizes as people read them."""
        return {
            "type": self.type,
            "name": self.name,
            "memory_allocated": readable(self.measured_bytes),
            "memory_reserved": readable(self.reserved_bytes),
            "memory_total": readable(self.total_bytes),
            "memory_free": readable(self.free_bytes),
        }
