"""torch.compile: the same text, and nothing left to compile once a model is loaded."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from tiny.adapters import make_adapter
from tiny.folder import info_of
from universal_core import CompletionRequest, LoadFailed, Progress
from universal_text.causal.model import CausalModel
from universal_text.options import CausalOptions

PROMPTS = ("a", "some words that are read in one step", "Hello")
REQUESTS = [CompletionRequest(prompt=prompt, max_tokens=12, temperature=0) for prompt in PROMPTS]
CPU = CausalOptions(device="cpu", dtype="float32", threads=1)
COMPILED = CausalOptions(device="cpu", dtype="float32", threads=1, compile=True)


# PyTorch's compiler is built of things that PyTorch itself calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def test_a_compiled_model_writes_the_same_and_no_request_waits_for_a_compiler(folder: Any, ask: Any) -> None:
    reports: list[Progress] = []
    with closing(CausalModel(info_of(folder("llama")), CPU)) as plain:
        expected = [one.text for one in ask(plain, *REQUESTS)]
    with closing(CausalModel(info_of(folder("llama")), COMPILED, reports.append)) as model:
        compiled = counters["stats"]["unique_graphs"]
        assert compiled > 0
        assert [ask(model, request)[0].text for request in REQUESTS] == expected
        assert [one.text for one in ask(model, *REQUESTS)] == expected
        assert counters["stats"]["unique_graphs"] == compiled
    assert [str(report) for report in reports] == ["compiling 0%", "compiling 50%"]


def test_without_a_compiler_the_load_fails_with_words(folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    with pytest.raises(LoadFailed, match=r"compile: torch.compile failed .* it needs a C\+\+ compiler"):
        CausalModel(info_of(folder("llama")), COMPILED)


def test_a_model_that_reads_rows_one_by_one_is_not_compiled(folder: Any) -> None:
    with pytest.raises(LoadFailed, match="compile cannot be had with this model: it has layers with a recurrent state"):
        CausalModel(info_of(folder("mamba")), COMPILED)


def test_a_model_with_adapters_is_not_compiled(folder: Any, tmp_path: Path) -> None:
    adapters = {"other": str(make_adapter(tmp_path / "adapter", folder("llama")))}
    options = CausalOptions(device="cpu", dtype="float32", threads=1, compile=True, adapters=adapters)
    with pytest.raises(LoadFailed, match="compile cannot be had with this model: it has adapters"):
        CausalModel(info_of(folder("llama")), options)
