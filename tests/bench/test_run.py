"""The measurements run in small, without anybody to compare with: what they find has its form, whatever the times."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from bench import __main__ as program
from bench import results
from bench.client import read
from bench.models import chat_model
from bench.peers import CONTINUOUS, TRANSFORMERS, there
from bench.registry import MEASUREMENTS
from bench.rounds import in_turns, turns
from bench.setting import Setting
from bench.turns import compared
from bench.vocabulary import TEMPLATE_TOKENS, text


class Sizes(NamedTuple):
    clients: tuple[int, ...] = (1, 8)
    tokens: int = 48
    shape: str = "qwen3-0.6b"
    seconds: float = 4.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


def setting(folder: Path, **more: object) -> Setting:
    return Setting(folder, rounds=1, threads=1, quick=True, **more)


def test_changes_are_read_as_what_they_change() -> None:
    told = Setting(Path(), 1, 1, changes={"clients": "1,64", "shape": "tiny", "seconds": "0.5", "another": "1"})
    assert told.sizes(Sizes(), Sizes()) == Sizes((1, 64), 48, "tiny", 0.5)


def test_contenders_take_turns_in_another_order_every_other_round() -> None:
    order = [(number, name) for number, name, _ in turns({"a": 1, "b": 2}, 2)]
    assert order == [(-1, "b"), (-1, "a"), (0, "a"), (0, "b"), (1, "b"), (1, "a")]


def test_the_round_that_warms_up_is_not_counted() -> None:
    values = iter((100.0, 1.0, 2.0))
    assert in_turns({"a": lambda: next(values)}, 2) == {"a": [1.0, 2.0]}


def test_prompts_have_the_tokens_that_they_are_made_of(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(chat_model(folder, "tiny"))
    messages = [{"role": "user", "content": text(50, "any")}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert len(ids) == 50 + TEMPLATE_TOKENS


def test_a_stream_is_read_with_the_number_of_its_tokens() -> None:
    def line(**event: object) -> bytes:
        return b"data: " + json.dumps(event).encode()

    lines = [
        (1.0, line(choices=[{"delta": {"role": "assistant"}}])),
        (2.0, line(choices=[{"delta": {"content": "a"}}])),
        (3.0, line(choices=[{"delta": {}, "finish_reason": "length"}], usage={"completion_tokens": 5})),
        (3.0, b"data: [DONE]"),
    ]
    assert read(lines) == ([(2.0, "a")], "length", 5)


def test_a_peer_that_is_not_there_is_left_out_and_named(folder: Path) -> None:
    notes: list[str] = []
    assert there(setting(folder), (CONTINUOUS,), notes) == []
    assert CONTINUOUS in notes[0]
    assert there(setting(folder, peers=()), (CONTINUOUS,), notes) == []
    assert len(notes) == 1


def test_an_environment_of_other_packages_is_not_ready(folder: Path) -> None:
    place = TRANSFORMERS.folder(setting(folder))
    place.mkdir(parents=True)
    (place / "complete").write_text("torch==1.0")
    assert not TRANSFORMERS.ready(setting(folder))


@pytest.mark.parametrize("name", ["chat", "engine"])
def test_a_measurement_runs_in_small(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / f"{name}.json"
    program.main([name, "--quick", "--threads", "1", "--folder", str(folder), "--peers", "--json", str(file)])
    assert f"{name}: tiny" in capsys.readouterr().out
    measured = results.read(file).measurements[name]
    assert measured.conditions.quick
    assert measured.found.comparisons
    for comparison in measured.found.comparisons:
        assert all(len(samples) == 1 and samples[0] > 0 for samples in comparison.samples.values())


def test_the_second_turn_is_compared_with_the_first() -> None:
    found = compared("universal", [(1.0, 0.1), (2.0, 0.1)], most=0.2)
    assert found.samples == {"second turn": [100.0, 100.0], "first turn": [1000.0, 2000.0]}
    assert found.value(found.goals[0]) == pytest.approx(0.075)


def test_the_bare_loop_writes_what_generate_writes(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    from bench.engine import QUICK, prompts_of
    from bench.loop import Loop

    model = chat_model(folder, "tiny")
    loop, prompts = Loop(model, "cpu", torch.float32), prompts_of(3, QUICK.prompt, 0)
    following = [loop.read(prompts, QUICK.prompt + QUICK.tokens)]
    while len(following) < QUICK.tokens:
        following.append(loop.step(following[-1]))
    reference = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    settings = GenerationConfig(max_new_tokens=QUICK.tokens, do_sample=False, eos_token_id=None, pad_token_id=0)
    wanted = reference.generate(torch.tensor(prompts), generation_config=settings)[:, QUICK.prompt :]
    assert torch.cat(following, 1).tolist() == wanted.tolist()


def test_results_of_the_same_machine_and_packages_are_added_to_a_file(folder: Path) -> None:
    file = folder / "added.json"
    conditions = results.conditions(setting(folder))
    for name in ("chat", "turns"):
        measured = results.Measured(conditions, program.Found("nothing", []), 1.0)
        results.write(file, results.Results(results.machine("cpu"), {"torch": "1"}, {}, {name: measured}))
    assert set(results.read(file).measurements) == {"chat", "turns"}


def test_results_of_other_packages_take_the_place_of_a_file(folder: Path) -> None:
    file = folder / "anew.json"
    for version in ("1", "2"):
        results.write(file, results.Results(results.machine("cpu"), {"torch": version}, {}, {}))
    assert results.read(file).packages == {"torch": "2"}


def test_every_measurement_stands_in_the_readme() -> None:
    page = (Path(program.__file__).parent / "README.md").read_text("utf-8")
    rows = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and "--" not in line}
    assert rows == set(MEASUREMENTS)


def test_a_name_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["chats"])
    assert "there is no chats" in capsys.readouterr().err
