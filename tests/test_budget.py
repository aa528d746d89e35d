"""The memory budget: what is set aside, what counts, where a model goes, and the words of a refusal."""

from typing import Any

import msgspec
import pytest

from universal_core import Backend, Claim, MemoryEstimate, ModelInfo, ModelRef, Smaller, memory
from universal_core.budget import Budget
from universal_core.config import PoolConfig
from universal_core.entry import Entry, Plan
from universal_core.frames import Memory
from universal_core.memory import Device
from universal_core.placement import Placement


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a backend that can leave the processor, and use several devices for one model."""

    device: str = "auto"
    device_map: str | None = None


BACKEND = Backend(name="b", model="no.such:Model", tasks=("chat",), options=Options)
SPREADING = msgspec.structs.replace(BACKEND, spread={"device": "cuda", "device_map": "auto"})
CARDS = ("cuda:0", "cuda:1")


class Taken:
    """As much of a worker as the budget looks at."""

    def __init__(self, system: int, device: int) -> None:
        self.memory = Memory(system, device)


def model(
    name: str,
    weights: int = 0,
    *,
    devices: tuple[str, ...] = ("cpu",),
    reserved: dict[str, int] | int = 0,
    taken: int = 0,
    backend: Backend = BACKEND,
    options: dict[str, Any] | None = None,
    **parts: Any,
) -> Entry:
    """Return an entry for a model, with memory set aside for it on the first device, and what it really takes there."""
    info = ModelInfo(id=name, ref=ModelRef.parse(name), source="test", path="")
    claim = Claim(backend="b", tasks=("chat",), reason="test", memory=MemoryEstimate(weights, **parts))
    entry = Entry(
        Plan(name=name, info=info, claim=claim, backend=backend, options=options or {}, devices=devices), queue_limit=1
    )
    entry.reserved = reserved if isinstance(reserved, dict) else {devices[0]: reserved} if reserved else {}
    entry.worker = Taken(taken, 0) if devices[0] == "cpu" else Taken(0, taken)  # type: ignore[assignment]
    return entry


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Device]:
    """Have a machine of 1000 bytes, all free, with two cards of 100."""
    devices = {name: Device(name, "card", 100, 100) for name in CARDS} | {"cpu": Device("cpu", "test", 1000, 1000)}
    monkeypatch.setattr(memory, "device", lambda name: devices[name])
    return devices


def place(budget: Budget, entry: Entry, *others: Entry) -> Placement | None:
    """Return where a model would go beside others that stay."""
    return budget.best_place(entry, others, ())(entry, others, ())


@pytest.mark.usefixtures("machine")
def test_all_parts_of_an_estimate_are_set_aside() -> None:
    found = place(Budget(PoolConfig(memory_limit=500)), model("m", 300, working=100, cache=20, host=3))
    assert found == Placement("cpu", {"cpu": 423})


@pytest.mark.usefixtures("machine")
def test_all_parts_count_together_and_against_what_others_have() -> None:
    budget = Budget(PoolConfig(memory_limit=500))
    assert place(budget, model("m", 300, working=201)) is None
    assert place(budget, model("m", 300), model("n", 200, reserved=200))
    assert place(budget, model("m", 301), model("n", 200, reserved=200)) is None


@pytest.mark.usefixtures("machine")
def test_a_model_that_takes_more_than_it_said_counts_with_what_it_takes() -> None:
    assert (
        place(Budget(PoolConfig(memory_limit=500)), model("m", 300), model("n", 100, reserved=100, taken=201)) is None
    )


def test_what_is_set_aside_and_not_yet_taken_does_not_look_free(machine: dict[str, Device]) -> None:
    machine["cpu"] = Device("cpu", "test", 1000, 400)
    budget = Budget(PoolConfig(memory_limit=1000))
    assert place(budget, model("m", 300), model("n", 200, reserved=200, taken=0)) is None
    assert place(budget, model("m", 300), model("n", 200, reserved=200, taken=200))


@pytest.mark.usefixtures("machine")
def test_without_a_limit_models_get_a_share_of_the_machine() -> None:
    assert Budget(PoolConfig(memory_share=0.5)).limit("cpu") == 500


@pytest.mark.usefixtures("machine")
def test_a_model_on_a_card_has_its_process_in_the_machines_memory() -> None:
    budget = Budget(PoolConfig(memory_limit=500, memory_share=0.9))
    assert budget.limit("cuda:0") == 90
    found = place(budget, model("m", 90, host=30, devices=("cuda:0",)), model("n", 470, reserved=470))
    assert found == Placement("cuda:0", {"cuda:0": 90, "cpu": 30})
    assert place(budget, model("m", 90, host=31, devices=("cuda:0",)), model("n", 470, reserved=470)) is None
    assert place(budget, model("m", 50, devices=("cuda:0",)), model("n", devices=("cuda:0",), reserved=50)) is None


def test_of_several_cards_a_model_goes_to_the_one_with_the_most_room(machine: dict[str, Device]) -> None:
    budget = Budget(PoolConfig(memory_share=1.0))
    machine["cuda:0"] = Device("cuda:0", "card", 100, 60)
    entry = model("m", 50, devices=CARDS)
    assert place(budget, entry) == Placement("cuda:1", {"cuda:1": 50, "cpu": 0}, {"device": "cuda:1"})
    crowded = model("n", devices=("cuda:1",), reserved=70)
    assert place(budget, entry, crowded) == Placement("cuda:0", {"cuda:0": 50, "cpu": 0}, {"device": "cuda:0"})


@pytest.mark.usefixtures("machine")
def test_a_model_that_is_configured_for_one_card_stays_there() -> None:
    budget = Budget(PoolConfig(memory_share=1.0))
    crowded = model("n", devices=("cuda:1",), reserved=70)
    assert place(budget, model("m", 50, devices=("cuda:1",)), crowded) is None


@pytest.mark.usefixtures("machine")
def test_what_no_card_holds_is_shared_out_among_all_where_its_backend_can() -> None:
    budget = Budget(PoolConfig(memory_share=1.0))
    entry = model("m", 120, working=10, host=5, devices=CARDS, backend=SPREADING)
    shares = {"cuda:0": 70, "cuda:1": 70, "cpu": 5}
    assert place(budget, entry) == Placement("cuda:0", shares, SPREADING.spread)
    assert place(budget, model("m", 120, working=10, devices=CARDS)) is None
    assert place(budget, model("m", 190, working=10, devices=CARDS, backend=SPREADING)) is None
    uneven = place(budget, entry, model("n", devices=("cuda:0",), reserved=30))
    assert uneven is not None
    assert uneven.bytes == {"cuda:0": 58, "cuda:1": 82, "cpu": 5}


@pytest.mark.usefixtures("machine")
def test_a_model_that_its_options_share_out_is_counted_on_every_card() -> None:
    entry = model("m", 50, devices=CARDS, backend=SPREADING, options={"device_map": "balanced"})
    found = place(Budget(PoolConfig(memory_share=1.0)), entry)
    assert found == Placement("cuda:0", {"cuda:0": 25, "cuda:1": 25, "cpu": 0})


@pytest.mark.usefixtures("machine")
def test_a_divisible_model_leaves_in_the_machines_memory_what_no_card_holds() -> None:
    budget = Budget(PoolConfig(memory_share=1.0))
    entry = model("m", 150, cache=10, host=5, divisible=True, devices=("cuda:0",))
    assert place(budget, entry) == Placement("cuda:0", {"cuda:0": 100, "cpu": 65})
    others = [model("n", devices=("cuda:0",), reserved=60)]
    small = model("m", 80, divisible=True, devices=("cuda:0",))
    whole = budget.best_place(small, others, others)
    assert whole(small, others, ()) is None, "it fits as a whole once the other has gone"
    assert whole(small, others, others) == Placement("cuda:0", {"cuda:0": 80, "cpu": 0})


def test_a_larger_cache_takes_no_more_than_half_of_what_is_left(machine: dict[str, Device]) -> None:
    budget, others = Budget(PoolConfig(memory_limit=500)), [model("n", reserved=100)]
    for spare, expected in ((50, 50), (1000, 100)):
        entry = model("m", 150, cache=50, spare=spare)
        placement = place(budget, entry, *others)
        assert placement is not None
        found = budget.spare(entry, placement, others)
        assert found == expected
        entry.settle(placement.device, placement.bytes, placement.options, found)
        assert entry.reserved == {"cpu": 200 + expected}
        assert entry.claim.memory == MemoryEstimate(weights=150, cache=50 + expected)
    machine["cpu"] = Device("cpu", "test", 1000, 310)
    assert budget.spare(entry, placement, []) == 0


@pytest.mark.usefixtures("machine")
def test_it_knows_how_few_have_to_go() -> None:
    budget = Budget(PoolConfig(memory_limit=500))
    others = [model("n", reserved=200), model("o", reserved=100, taken=150), model("p", reserved=50)]

    def go(size: int, *victims: Entry) -> list[str] | None:
        entry = model("m", size)
        chosen = budget.smallest(entry, budget.best_place(entry, others, others), others, victims)
        return None if chosen is None else [one.plan.name for one in chosen]

    assert go(500, *others) == ["n", "o", "p"]
    assert go(501, *others) is None
    assert go(300, *others) == ["n"]
    assert go(250, others[2], others[0], others[1]) == ["n"]
    assert go(301, *others) == ["n", "o"]
    assert go(301, others[0], others[2]) == ["n", "p"]


def test_a_refusal_has_all_the_numbers_and_what_would_fit(machine: dict[str, Device]) -> None:
    machine["cpu"] = Device("cpu", "test", 64_000_000_000, 20_000_000_000)
    budget = Budget(PoolConfig(memory_limit=30_000_000_000))
    busy = model("busy", reserved=12_000_000_000, taken=12_000_000_000)
    busy.plan = msgspec.structs.replace(busy.plan, pinned=True)
    smaller = (Smaller("big:Q8_0", 19_000_000_000), Smaller("n_ctx = 4096", 17_500_000_000))
    big = model("big", 40_000_000_000, working=2_000_000_000, smaller=smaller)
    others = [busy, model("elsewhere", devices=("cuda:0",), reserved=9)]
    error = budget.refusal(big, others, others)
    for part in (
        "big needs about 42.0 GB on cpu (weights 40.0 GB, working memory 2.0 GB)",
        "18.0 GB of 30.0 GB are free",
        "busy (12.0 GB, pinned)",
        "This would fit: n_ctx = 4096 (17.5 GB)",
    ):
        assert part in error.message
    assert "elsewhere" not in error.message
    assert "Q8_0" not in error.message
    assert error.retry_after
