"""Where a model's memory is to be: on one device, shared out among several, or part of it beside one."""

from collections.abc import Callable
from typing import Any

import msgspec

from universal_core.entry import Plan
from universal_core.models import MemoryEstimate

MACHINE = "cpu"
"""What the machine's own memory is called, whatever computes with it: Apple's GPUs have no other."""

Bytes = dict[str, int]
"""Bytes by device."""
Free = Callable[[str], int]
"""Tells the bytes that are free on a device."""


class Placement(msgspec.Struct, frozen=True):
    """The device that a model computes on, what it takes on each, and the options that make its worker do so."""

    device: str
    bytes: Bytes
    options: dict[str, Any] = {}


def place_whole(plan: Plan, estimate: MemoryEstimate, free: Free) -> Placement | None:
    """Return where a model fits: on the device with the most room, else shared out among all; None for nowhere."""
    for device in () if _is_shared_out(plan) else sorted(plan.devices, key=free, reverse=True):
        if _fits(found := needs(estimate, device), free):
            return Placement(device, found, _choice(plan, device))
    if len(plan.devices) > 1 and plan.backend.spread and _fits(found := _shares(plan, estimate, free), free):
        return Placement(plan.devices[0], found, {} if _is_shared_out(plan) else plan.backend.spread)
    return None


def place_divided(plan: Plan, estimate: MemoryEstimate, free: Free) -> Placement | None:
    """Return where a model fits of which a part may stay in the machine's memory; None for nowhere."""
    device = max(plan.devices, key=free)
    if not estimate.divisible or device == MACHINE:
        return None
    there = min(max(free(device), 0), _on_device(estimate))
    found = {device: there, MACHINE: estimate.total - there}
    return Placement(device, found, _choice(plan, device)) if _fits(found, free) else None


def needs(estimate: MemoryEstimate, device: str) -> Bytes:
    """Return what a model takes, by device, where the whole of it is on one."""
    if device == MACHINE:
        return {MACHINE: estimate.total}
    return {device: _on_device(estimate), MACHINE: estimate.host}


def _on_device(estimate: MemoryEstimate) -> int:
    return estimate.weights + estimate.cache + estimate.working


def _fits(wanted: Bytes, free: Free) -> bool:
    return all(count <= free(device) for device, count in wanted.items() if count)


def _is_shared_out(plan: Plan) -> bool:
    """Whether the options of a model share it out among several devices already."""
    return len(plan.devices) > 1 and any(plan.options.get(name) for name in plan.backend.spread.keys() - {"device"})


def _shares(plan: Plan, estimate: MemoryEstimate, free: Free) -> Bytes:
    """Return shares by the room that each device has beside the activations of a whole step, which all of them need."""
    room = {device: max(free(device) - estimate.working, 0) for device in plan.devices}
    kept, together = estimate.weights + estimate.cache, sum(room.values()) or 1
    shares = {device: -(-kept * count // together) + estimate.working for device, count in room.items()}
    return {**shares, MACHINE: estimate.host}


def _choice(plan: Plan, device: str) -> dict[str, Any]:
    """Return the option that names the device, where there are several to choose from."""
    return {"device": device} if len(plan.devices) > 1 else {}
