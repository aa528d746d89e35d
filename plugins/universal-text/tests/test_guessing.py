"""Guessing ahead: an answer is the same as without, in fewer passes through the model, and only where it is alone."""

import asyncio
import json
import random
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tiny.adapters import make_adapter
from tiny.answers import Answers, chat_request, completion, gather
from tiny.causal import make_llama, make_qwen3, make_scripted
from tiny.folder import info_of
from tiny.forms import PERSON, formed, is_person
from universal_core import ChatRequest, LoadFailed
from universal_text.causal.adapters import Adapters
from universal_text.causal.batching.draft import DraftModel, load_draft
from universal_text.causal.engines import engine_of
from universal_text.causal.inputs import Inputs
from universal_text.causal.load import load, vocabulary_of
from universal_text.causal.model import CausalModel
from universal_text.options import CausalOptions

NEVER_ENDS = {0: -100.0, 2: -100.0}
PHRASE = "the quick brown fox jumps over the lazy dog, "
SCRIPT = ("One", " two", " three", " four", " five", " six", " seven", " eight")
TOLD = "".join(SCRIPT)
REQUESTS = [
    completion(PHRASE * 4, max_tokens=30, logit_bias=NEVER_ENDS),
    completion(PHRASE * 4, max_tokens=30, temperature=0.8, seed=3, top_p=0.9, logit_bias=NEVER_ENDS),
    completion("0 1 2 0 1 2 0 1", max_tokens=30, temperature=1.2, seed=4, repetition_penalty=1.1),
    completion("0 1 2 0 1 2 0 1", max_tokens=30, temperature=0.3, seed=5, min_p=0.1, frequency_penalty=0.4),
    completion("hello world " * 8, max_tokens=15, n=3, temperature=1.0, seed=6),
    completion("hello world " * 3, max_tokens=25, presence_penalty=0.5, logprobs=2, echo=True),
    chat_request("a b a b a b", "a b a b", "a b", max_tokens=20, temperature=0.0, stop=("e", " t")),
]


class Written:
    """A sequence as far as a draft model needs it."""

    def __init__(self, tokens: list[int]) -> None:
        self.tokens = tokens


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a model that counts to eight whatever it is asked."""
    return make_scripted(tmp_path_factory.mktemp("script"), SCRIPT)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a second model with the tokens of the tiny Llama, which writes otherwise."""
    return make_qwen3(tmp_path_factory.mktemp("other"), num_hidden_layers=1)


@pytest.fixture(params=["lookup", "itself", "another"])
def guessing(request: pytest.FixtureRequest, folder: Any, other: Path) -> dict[str, Any]:
    """Return the options of a model that guesses ahead in one of the ways."""
    if request.param == "lookup":
        return {"lookup_tokens": 4}
    return {"draft_model": str(folder("llama") if request.param == "itself" else other), "draft_tokens": 5}


@pytest.fixture
def draft(folder: Any) -> DraftModel:
    """Return a draft model that goes on whatever it guesses."""
    return DraftModel(load(*_of(folder("llama")))[0], 6, 400, {2})


def _of(path: Path, **options: Any) -> Any:
    return info_of(path), CausalOptions(**{"device": "cpu", "dtype": "float32", **options})


def counting(model: Any) -> tuple[list[int], list[int]]:
    """Return two lists that grow with each step: how many rows it has, and how many tokens go through the model."""
    runner, rows, passes = model._engine._runner, [], []
    step = runner.step

    def counted(planned: Any) -> Any:
        rows.append(len(planned))
        return step(planned)

    def note(_: Any, __: Any, given: Any) -> None:
        passes.append(given["input_ids"].shape[1])

    runner.step = counted
    runner._model.register_forward_pre_hook(note, with_kwargs=True)
    return rows, passes


def same(one: Answers, other: Answers) -> bool:
    """Whether answers say the same; of log-probabilities the tokens: a pass of several adds up in another order."""
    texts = [
        [(found.text, found.reason, [entry.token for entry in found.logprobs]) for found in answers.by_index.values()]
        for answers in (one, other)
    ]
    return texts[0] == texts[1] and one.usage.completion_tokens == other.usage.completion_tokens


@pytest.fixture(scope="module")
def expected(folder: Any) -> list[Answers]:
    """Return the answers to ``REQUESTS`` without guesses."""
    with closing(CausalModel(*_of(folder("llama")))) as model:
        return [asyncio.run(_answered(model, request)) for request in REQUESTS]


async def _answered(model: CausalModel, request: Any) -> Answers:
    return await gather(model.chat(request) if isinstance(request, ChatRequest) else model.complete(request))


@pytest.mark.parametrize("together", [False, True])
def test_answers_are_the_same_with_and_without(
    together: bool, guessing: dict[str, Any], expected: list[Answers], folder: Any, open_model: Any, ask: Any
) -> None:
    model = open_model(folder("llama"), **guessing)
    found = ask(model, *REQUESTS) if together else [ask(model, request)[0] for request in REQUESTS]
    assert all(same(one, two) for one, two in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "gpt2"])
def test_greedy_answers_are_those_of_generate_however_it_is_assisted(
    name: str, folder: Any, open_model: Any, ask: Any
) -> None:
    path = folder(name)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    read = tokenizer(PHRASE * 3, return_tensors="pt")["input_ids"]
    settings = {"attention_mask": torch.ones_like(read), "max_new_tokens": 32, "do_sample": False}
    written = [
        model.generate(read, **settings, **assisted)[0, read.shape[1] :]
        for assisted in ({}, {"prompt_lookup_num_tokens": 4}, {"assistant_model": model})
    ]
    texts = {tokenizer.decode(tokens, skip_special_tokens=True) for tokens in written}
    for options in ({"lookup_tokens": 4}, {"draft_model": str(path)}):
        (answer,) = ask(open_model(path, **options), completion(PHRASE * 3, max_tokens=32))
        texts.add(answer.text)
    assert len(texts) == 1


def test_an_answer_that_repeats_its_prompt_takes_fewer_passes(script: Path, open_model: Any, ask: Any) -> None:
    model = open_model(script, lookup_tokens=6)
    rows, passes = counting(model)
    (answer,) = ask(model, chat_request(TOLD, temperature=1.0))
    assert answer.text == TOLD
    assert answer.usage.completion_tokens == len(SCRIPT) + 1
    assert rows == [1] * 3, "the prompt, six guesses that are right, and the end"
    assert passes[1] == 7


def test_a_draft_model_that_is_right_takes_fewer_passes(script: Path, open_model: Any, ask: Any) -> None:
    model = open_model(script, draft_model=str(script), draft_tokens=4)
    _, passes = counting(model)
    (answer,) = ask(model, chat_request("hi", temperature=1.0))
    assert answer.text == TOLD
    assert passes[1:] == [5, 3], "seven pieces are left after the prompt, and the end is not guessed"


def test_where_both_are_wanted_the_draft_model_guesses(script: Path, open_model: Any, ask: Any) -> None:
    model = open_model(script, draft_model=str(script), lookup_tokens=4, draft_tokens=7)
    _, passes = counting(model)
    assert ask(model, chat_request("hi"))[0].text == TOLD
    assert passes[1:] == [8]


@pytest.mark.parametrize(
    ("fields", "text", "reason"),
    [
        ({"max_tokens": 3}, "One two three", "length"),
        ({"max_tokens": 4}, "One two three four", "length"),
        ({"stop": ("four",)}, "One two three ", "stop"),
        ({"stop": ("e f",)}, "One two thre", "stop"),
        ({}, TOLD, "stop"),
    ],
)
def test_an_answer_may_end_among_the_guesses(
    fields: Any, text: str, reason: str, script: Path, open_model: Any, ask: Any
) -> None:
    model = open_model(script, lookup_tokens=6)
    request = chat_request(TOLD, temperature=1.0, **fields)
    for _ in range(2):
        (answer,) = ask(model, request)
        assert (answer.text, answer.reason) == (text, reason)
        assert answer.usage.completion_tokens <= fields.get("max_tokens", len(SCRIPT) + 1)
    (several,) = ask(model, chat_request(TOLD, temperature=1.0, n=3, **fields))
    assert [found.text for found in several.by_index.values()] == [text] * 3


def test_no_more_is_guessed_than_may_still_be_written(script: Path, open_model: Any, ask: Any) -> None:
    model = open_model(script, draft_model=str(script))
    _, passes = counting(model)
    ask(model, chat_request("hi", max_tokens=4))
    assert passes[1:] == [3], "one is chosen after the prompt, and one after each of three"


def test_guesses_never_pass_the_last_position(folder: Any, open_model: Any, ask: Any) -> None:
    path = folder("gpt2")
    prompt = (70, 71, 72) * 168
    (plain,) = ask(open_model(path), completion(prompt, logit_bias=NEVER_ENDS))
    for options in ({"lookup_tokens": 8}, {"draft_model": str(path)}):
        (answer,) = ask(open_model(path, **options), completion(prompt, logit_bias=NEVER_ENDS))
        assert (answer.text, answer.usage.total_tokens) == (plain.text, 512)


def test_nothing_is_guessed_while_several_write(script: Path, open_model: Any, ask: Any) -> None:
    model = open_model(script, draft_model=str(script))
    rows, passes = counting(model)
    (answer,) = ask(model, chat_request("hi", n=2))
    assert [found.text for found in answer.by_index.values()] == [TOLD] * 2
    assert rows[1:] == [2] * len(SCRIPT)
    assert passes[1:] == [2] * len(SCRIPT)


async def when_guessed(model: Any, passes: list[int], loop: asyncio.AbstractEventLoop) -> None:
    """Wait for the first guesses of a model; it takes no further step before it is asked for another answer."""
    engine, guessed = model._engine, asyncio.Event()
    step = engine._runner.step

    def held(planned: Any) -> Any:
        if not guessed.is_set() and any(count > 1 for count in passes[1:]):
            loop.call_soon_threadsafe(guessed.set)
            with engine._news:
                assert engine._news.wait_for(lambda: engine._came, timeout=60)
        return step(planned)

    engine._runner.step = held
    await guessed.wait()


def test_guessing_stops_when_a_second_answer_joins_and_goes_on_after_it(folder: Any, open_model: Any, ask: Any) -> None:
    model = open_model(folder("llama"), lookup_tokens=4)
    settings: dict[str, Any] = {"logit_bias": {**NEVER_ENDS, 70: 100.0, 71: 99.0}, "temperature": 1.0, "seed": 1}
    long, short = (completion(PHRASE * length, max_tokens=30 * length, **settings) for length in (3, 1))
    rows, passes = counting(model)

    async def join() -> list[Answers]:
        second = asyncio.ensure_future(when_guessed(model, passes, asyncio.get_running_loop()))
        first = asyncio.ensure_future(gather(model.complete(long)))
        await second
        return [await gather(model.complete(short)), await first]

    together = asyncio.run(join())
    beside = [count for row, count in zip(rows, passes, strict=True) if row == 2]
    assert beside.count(2) >= len(beside) - 1, "one may have read the short prompt beside the long answer's token"
    joined = rows.index(2)
    assert max(passes[1:joined]) > 1
    assert max(passes[len(rows) - rows[::-1].index(2) :]) > 1
    plain = open_model(folder("llama"))
    for request, answer in zip((short, long), together, strict=True):
        assert same(ask(plain, request)[0], answer)


def test_a_form_that_is_asked_for_is_kept(guessing: dict[str, Any], folder: Any, open_model: Any, ask: Any) -> None:
    plain, guessed = open_model(folder("llama")), open_model(folder("llama"), **guessing)
    for seed in range(2):
        (one,), (two,) = (ask(model, formed(PERSON, seed=seed, max_tokens=60)) for model in (plain, guessed))
        assert same(one, two)
        assert two.reason == "length" or is_person(json.loads(two.text))


def test_an_answer_that_nobody_waits_for_leaves_no_trace(
    guessing: dict[str, Any], expected: list[Answers], folder: Any, open_model: Any, ask: Any
) -> None:
    model = open_model(folder("llama"), **guessing)
    request = completion(PHRASE * 4, max_tokens=300, logit_bias=NEVER_ENDS)

    async def leave() -> None:
        async with aclosing(model.complete(request)) as events:
            for _ in range(5):
                await anext(events)

    for _ in range(3):
        asyncio.run(leave())
    (after,) = ask(model, REQUESTS[0])
    assert same(after, expected[0])
    guesser = model._engine._runner._guessing._guesser
    assert not getattr(guesser, "_places", None)


def test_what_was_guessed_wrong_is_not_taken_for_read(
    guessing: dict[str, Any], folder: Any, open_model: Any, ask: Any
) -> None:
    model, text = open_model(folder("llama"), **guessing), PHRASE * 3
    for turn in range(4):
        (answer,) = ask(model, completion(text, max_tokens=6, logit_bias=NEVER_ENDS))
        (fresh,) = ask(open_model(folder("llama")), completion(text, max_tokens=6, logit_bias=NEVER_ENDS))
        assert answer.text == fresh.text
        assert turn == 0 or answer.usage.cached_tokens > 20
        text += "the quick brown " if turn % 2 else PHRASE


def test_guesses_give_way_where_the_cache_is_full(folder: Any, open_model: Any, ask: Any) -> None:
    prompts = [tuple(60 + (place * step) % 7 for place in range(40)) for step in range(1, 4)]
    requests = [completion(prompt, max_tokens=50, logit_bias=NEVER_ENDS) for prompt in prompts]
    plain = open_model(folder("llama"))
    expected = [ask(plain, request)[0].text for request in requests]
    model = open_model(folder("llama"), n_ctx=96, cache_tokens=96, lookup_tokens=8)
    assert [ask(model, request)[0].text for request in requests] == expected
    assert [answer.text for answer in ask(model, *requests)] == expected


def test_an_adapter_is_guessed_for_too(folder: Any, tmp_path: Path, open_model: Any, ask: Any) -> None:
    pytest.importorskip("peft")
    path = folder("llama")
    adapters = {"one": str(make_adapter(tmp_path / "one", path, seed=1))}
    plain, guessed = open_model(path, adapters=adapters), open_model(path, adapters=adapters, draft_model=str(path))
    for name in ("one", None):
        request = completion(PHRASE * 4, max_tokens=30, adapter=name)
        assert same(ask(plain, request)[0], ask(guessed, request)[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_draft_model_guesses_alike_whatever_it_read_before(seed: int, draft: DraftModel, folder: Any) -> None:
    dice = random.Random(seed)
    fresh = load(*_of(folder("llama")))[0]
    texts = [[dice.randrange(5, 300) for _ in range(30)] for _ in range(3)]
    for _ in range(25):
        text = dice.choice(texts)
        if dice.random() < 0.5:
            text += draft.guess(Written(text))[: dice.randint(0, 6)] or [dice.randrange(5, 300)]  # type: ignore[arg-type]
        else:
            del text[dice.randint(10, len(text)) :]
        guessed = draft.guess(Written(text))  # type: ignore[arg-type]
        assert guessed == DraftModel(fresh, 6, 400, {2}).guess(Written(text))  # type: ignore[arg-type]


def test_a_draft_model_catches_up_with_a_long_prompt_in_pieces(script: Path, open_model: Any) -> None:
    model, tokenizer = load(*_of(script))
    draft = DraftModel(model, 3, len(tokenizer), {2})
    sequence: Any = Written([60] * 1100 + tokenizer.convert_tokens_to_ids(["ĠOne", "One"])[1:])
    guessed = [draft.guess(sequence) for _ in range(3)]
    assert guessed[:2] == [[], []]
    assert tokenizer.decode(guessed[2]) == " two three four"


def test_a_draft_model_with_fewer_positions_stops_at_its_last(
    tmp_path: Path, expected: list[Answers], open_model: Any, folder: Any, ask: Any
) -> None:
    short = make_llama(tmp_path / "short", max_position_embeddings=64)
    (answer,) = ask(open_model(folder("llama"), draft_model=str(short)), REQUESTS[0])
    assert same(answer, expected[0])


def test_tokens_that_the_draft_model_cannot_read_are_not_given_to_it(draft: DraftModel) -> None:
    assert draft.guess(Written([5, 6, 400])) == []  # type: ignore[arg-type]
    assert draft.guess(Written([5, -1, 7])) == []  # type: ignore[arg-type]


def test_a_draft_model_that_fails_fails_no_answer(
    expected: list[Answers], folder: Any, open_model: Any, ask: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder("llama")
    model = open_model(path, draft_model=str(path))
    small, calls = model._engine._runner._guessing._guesser._model, []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("out of memory")

    small.register_forward_pre_hook(fail)
    (answer,) = ask(model, REQUESTS[0])
    assert same(answer, expected[0])
    assert len(calls) == 3, "it is left alone for the rest of the answer"
    assert "the draft model failed, and an answer goes on without it: out of memory" in caplog.text
    ask(model, REQUESTS[0])
    assert len(calls) > 3


def test_a_draft_model_that_does_not_fit_is_refused(tmp_path: Path, folder: Any, open_model: Any) -> None:
    path = folder("llama")
    others = make_llama(tmp_path / "others", pieces=("something",))
    with pytest.raises(LoadFailed, match=r"draft_model .*others has other tokens than the model"):
        open_model(path, draft_model=str(others))
    with pytest.raises(LoadFailed, match=r"draft_model .* keeps a state that cannot go back"):
        open_model(path, draft_model=str(folder("mamba")))
    with pytest.raises(LoadFailed, match=r"draft_model .*nowhere: there is nothing at"):
        open_model(path, draft_model=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LoadFailed, match=r"draft_model .*empty: expected a folder with config\.json"):
        open_model(path, draft_model=str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(LoadFailed, match=r"draft_model .*empty: its config\.json is no JSON"):
        open_model(path, draft_model=str(tmp_path / "empty"))


def test_a_draft_model_may_have_more_rows_than_the_model_has_tokens(tmp_path: Path, folder: Any) -> None:
    _, tokenizer = load(*_of(folder("llama")))
    wide = make_llama(tmp_path / "wide", vocab_size=448)
    info, options = _of(folder("llama"))
    vocabulary = vocabulary_of(load(info, options)[0], tokenizer)
    found = load_draft(str(wide), options, vocabulary, 350)
    text = tokenizer(PHRASE * 3)["input_ids"]
    assert all(token < 350 for place in range(5, len(text)) for token in found.guess(Written(text[:place])))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"lookup_tokens": 4}, {"draft_model": "llama"}])
def test_a_model_that_cannot_go_back_refuses_to_guess(options: dict[str, Any], folder: Any, open_model: Any) -> None:
    chosen = {name: str(folder(value)) if name == "draft_model" else value for name, value in options.items()}
    with pytest.raises(LoadFailed, match=f"{next(iter(options))} cannot be had with this model: .*recurrent state"):
        open_model(folder("mamba"), **chosen)


def test_a_model_that_reads_more_than_tokens_refuses_to_guess(folder: Any) -> None:
    info, options = _of(folder("llama"), lookup_tokens=4)
    model, _ = load(info, options)
    with pytest.raises(LoadFailed, match="lookup_tokens cannot be had with this model: it reads more than tokens"):
        engine_of(model, options, Adapters(model, None), 512, None, Inputs(model))
