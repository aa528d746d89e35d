"""The memory budget: what is set aside, what counts, and the words of a refusal."""

import pytest

from universal_core import Claim, MemoryEstimate, memory
from universal_core.budget import Budget
from universal_core.config import PoolConfig
from universal_core.memory import Device


class Planned:
    """As much of a plan as the budget looks at."""

    def __init__(self, name: str, weights: int, working: int, device: str) -> None:
        self.name, self.device = name, device
        self.claim = Claim(backend="b", tasks=("chat",), reason="test", memory=MemoryEstimate(weights, working))


class Model:
    """A model with memory set aside for it, and what it really takes."""

    def __init__(
        self, name: str, weights: int, working: int = 0, *, device: str = "cpu", reserved: int = 0, taken: int = 0
    ) -> None:
        self.plan = Planned(name, weights, working, device)
        self.reserved, self.memory = reserved, taken


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Device]:
    """Have a machine of 1000 bytes, all free, with a card of 100."""
    devices = {"cpu": Device("cpu", "test", 1000, 1000), "cuda:0": Device("cuda:0", "card", 100, 100)}
    monkeypatch.setattr(memory, "device", lambda name: devices[name])
    return devices


@pytest.mark.usefixtures("machine")
def test_an_estimate_that_fits_is_set_aside() -> None:
    model = Model("m", 300, 100)
    assert Budget(PoolConfig(memory_limit=500)).reserve(model, [])
    assert model.reserved == 400


@pytest.mark.usefixtures("machine")
def test_weights_and_working_memory_count_together_and_against_what_others_have() -> None:
    budget = Budget(PoolConfig(memory_limit=500))
    assert not budget.reserve(Model("m", 300, 201), [])
    assert budget.reserve(Model("m", 300), [Model("n", 200, reserved=200)])
    assert not budget.reserve(Model("m", 301), [Model("n", 200, reserved=200)])


@pytest.mark.usefixtures("machine")
def test_a_model_that_takes_more_than_it_said_counts_with_what_it_takes() -> None:
    budget = Budget(PoolConfig(memory_limit=500))
    assert not budget.reserve(Model("m", 300), [Model("n", 100, reserved=100, taken=201)])


def test_what_is_set_aside_and_not_yet_taken_does_not_look_free(machine: dict[str, Device]) -> None:
    machine["cpu"] = Device("cpu", "test", 1000, 400)
    budget = Budget(PoolConfig(memory_limit=1000))
    assert not budget.reserve(Model("m", 300), [Model("n", 200, reserved=200, taken=0)])
    assert budget.reserve(Model("m", 300), [Model("n", 200, reserved=200, taken=200)])


@pytest.mark.usefixtures("machine")
def test_without_a_limit_models_get_a_share_of_the_machine() -> None:
    assert Budget(PoolConfig(memory_share=0.5)).limit("cpu") == 500


@pytest.mark.usefixtures("machine")
def test_devices_are_counted_apart() -> None:
    budget = Budget(PoolConfig(memory_limit=500, memory_share=0.9))
    assert budget.limit("cuda:0") == 90
    assert budget.reserve(Model("m", 90, device="cuda:0"), [Model("n", 500, reserved=500)])
    assert not budget.reserve(Model("m", 50, device="cuda:0"), [Model("n", 50, device="cuda:0", reserved=50)])


@pytest.mark.usefixtures("machine")
def test_it_knows_whether_unloading_would_help() -> None:
    budget = Budget(PoolConfig(memory_limit=500))
    others = [Model("n", 200, reserved=200), Model("o", 100, reserved=100, taken=150)]
    assert budget.would_fit(Model("m", 500), others, others)
    assert not budget.would_fit(Model("m", 501), others, others)
    assert budget.would_fit(Model("m", 350), others, others[:1])
    assert not budget.would_fit(Model("m", 351), others, others[:1])


def test_a_refusal_has_all_the_numbers(machine: dict[str, Device]) -> None:
    machine["cpu"] = Device("cpu", "test", 64_000_000_000, 20_000_000_000)
    budget = Budget(PoolConfig(memory_limit=30_000_000_000))
    others = [Model("busy", 0, reserved=12_000_000_000, taken=12_000_000_000), Model("elsewhere", 9, device="cuda:0")]
    words = budget.refusal(Model("big", 40_000_000_000, 2_000_000_000), others).message
    for part in (
        "big needs about 42.0 GB on cpu",
        "weights 40.0 GB",
        "working memory 2.0 GB",
        "18.0 GB of 30.0 GB are free",
    ):
        assert part in words
    assert "busy (12.0 GB)" in words
    assert "elsewhere" not in words


@pytest.mark.parametrize(
    ("taken", "reserved"),
    [
        (0, 400),  # nothing was measured
        (250, 350),  # smaller weights than the estimate's, and all working memory still to come
        (320, 400),  # some of the working memory is there already
        (450, 450),  # more than was thought
    ],
)
def test_what_a_loaded_model_takes_stands_in_for_the_estimate(taken: int, reserved: int) -> None:
    model = Model("m", 300, 100, reserved=400, taken=taken)
    Budget(PoolConfig()).correct(model)
    assert model.reserved == reserved
