"""docs/reference/fields.md is true: each field does on each backend what its table says, on tiny models of them."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import fields as cases
import message_fields
import response_fields
from clients import serving
from fields import Case
from tiny.causal import make_llama
from tiny.classifiers import make_classifier, make_judge, make_token_classifier
from tiny.gguf import make_gguf_bert, make_gguf_from_transformers
from tiny.tokenizers import CHAT_TEMPLATE, byte_level_tokenizer
from tiny.visual_chat import chat_template, make_llava
from universal_core.anthropic.bodies import CountBody, MessagesBody
from universal_core.config import Config, ResponsesConfig, WorkersConfig
from universal_core.openai.chat import ChatBody
from universal_core.openai.classify import ClassifyBody
from universal_core.openai.completions import CompletionBody
from universal_core.openai.rerank import RerankBody
from universal_core.openai.response_bodies import ResponsesBody
from universal_core.openai.tokens import DetokenizeBody, TokenizeBody

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "fields.md"
BODIES: dict[str, type[msgspec.Struct]] = {
    "/v1/chat/completions": ChatBody,
    "/v1/completions": CompletionBody,
    "/v1/responses": ResponsesBody,
    "/v1/messages": MessagesBody,
    "/v1/messages/count_tokens": CountBody,
    "/v1/rerank": RerankBody,
    "/v1/classify": ClassifyBody,
    "/v1/tokenize": TokenizeBody,
    "/v1/detokenize": DetokenizeBody,
}
PIECES = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
UNCHANGED = {
    **response_fields.HARMLESS,
    **response_fields.REFUSED,
    **message_fields.HARMLESS,
    **message_fields.REFUSED,
    **cases.HARMLESS,
    **cases.REFUSED,
}
"""What to send of fields that are honoured by no change, or refused."""
OPENED = "<|im_start|>assistant\n"

Post = Callable[..., httpx.Response]


def tables() -> dict[str, dict[str, dict[str, str]]]:
    """Return what the page says: by path, backend and field."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for path, section in re.findall(
        r"^## POST (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        head, _, *rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
        backends = [cell.strip().strip("`") for cell in head[1:]]
        for name, *cells in rows:
            for backend, cell in zip(backends, cells, strict=True):
                found.setdefault(path, {}).setdefault(backend, {})[name.strip().strip("`")] = cell.strip()
    return found


TABLES = tables()


def thinking(template: str) -> str:
    """Return a chat template that has the model think where it is told to, and only there."""
    return template.replace(OPENED, OPENED + "<think>\n{% if not enable_thinking %}\n</think>\n\n{% endif %}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """Return the path of a model by backend and endpoint, or for every endpoint of that backend."""
    folder = tmp_path_factory.mktemp("fields")
    llama = make_llama(folder / "llama", chat_template=thinking(CHAT_TEMPLATE), pieces=PIECES, begins=True)
    seeing = thinking(chat_template("<image>"))
    ranking = make_gguf_bert(folder / "ranking" / "bert.gguf", rank=True)
    return {
        ("text", ""): str(llama),
        ("gguf", ""): str(make_gguf_from_transformers(folder / "gguf" / "llama.gguf", llama)),
        ("vision-chat", ""): str(make_llava(folder / "llava", template=seeing, pieces=PIECES, begins=True)),
        ("gguf-embeddings", ""): str(ranking),
        ("text-classification", ""): str(make_classifier(folder / "nli")),
        ("text-classification", "/v1/rerank"): str(make_classifier(folder / "cross", labels=["score"])),
        ("token-classification", ""): str(make_token_classifier(folder / "names")),
        ("text-ranking", ""): str(make_judge(folder / "judge")),
    }


@pytest.fixture(scope="module")
def post(models: dict[tuple[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Post]:
    kept = ResponsesConfig(path=str(tmp_path_factory.mktemp("kept") / "responses.db"))
    with serving(Config(workers=WorkersConfig(device="cpu"), responses=kept)) as found:
        yield found


def expected(path: str) -> Mapping[str, Case]:
    """Return what shows of each field of an endpoint that it is honoured."""
    tokenizer = byte_level_tokenizer()
    letters = tokenizer.convert_tokens_to_ids([*cases.LETTERS])
    ends = tuple(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))
    known: dict[str, Mapping[str, Case]] = {
        "/v1/chat/completions": cases.chat(letters, ends),
        "/v1/completions": cases.completions(letters),
        "/v1/responses": response_fields.responses(letters, ends),
        "/v1/messages": message_fields.MESSAGES,
        "/v1/messages/count_tokens": message_fields.COUNTED,
        "/v1/rerank": cases.RERANK,
        "/v1/classify": cases.CLASSIFY,
        "/v1/tokenize": cases.TOKENIZE,
        "/v1/detokenize": cases.DETOKENIZE,
    }
    return known[path]


def usual(path: str, backend: str) -> dict[str, Any]:
    """Return a body that every model of the backend answers."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/chat/completions": {"messages": [cases.turn("user", "hello there")], "temperature": 0, "max_tokens": 8},
        "/v1/completions": {"prompt": "hello there", "temperature": 0, "max_tokens": 8},
        "/v1/responses": {"input": "hello there", "temperature": 0, "max_output_tokens": 8},
        "/v1/messages": {"messages": [cases.turn("user", "hello there")], "temperature": 0, "max_tokens": 8},
        "/v1/messages/count_tokens": {"messages": [cases.turn("user", "hello there")]},
        "/v1/rerank": {"query": "hello world", "documents": ["hello there", "the quick brown fox"]},
        "/v1/classify": {"input": "hello world"},
        "/v1/tokenize": {"text": "hello there"},
        "/v1/detokenize": {"tokens": [68, 69]},
    }
    more = {"task": "token-classification"} if (path, backend) == ("/v1/classify", "token-classification") else {}
    return bodies[path] | more


def problem(post: Post, path: str, usual: dict[str, Any], name: str, word: str) -> str | None:
    """Return what speaks against a word of the table, None where it is true."""
    case = expected(path).get(name)
    base = case.base if case else {}
    value = case.value if case else UNCHANGED[name]
    before = post(path, json={**usual, **base})
    after = post(path, json={**usual, **base, name: value(before) if callable(value) else value})
    if word == "refused":
        error = after.json().get("error") or {}
        # Anthropic's errors have no param, but begin with it.
        param = error.get("param") or error.get("message", "").partition(":")[0]
        # What a field cannot be without may be refused before it.
        refused = after.status_code == 400 and param in (name, *base)
        return None if refused else f"answered with {after.text[:300]}"
    if word == "harmless":
        return None if told(before) == told(after) else f"{before.text[:300]} became {after.text[:300]}"
    assert case is not None, f"tests/fields.py does not say how {name} of {path} shows"
    one, other = case.part(before), case.part(after)
    if one == other or case.to not in (None, other):
        return f"{one!r} became {other!r}, expected {case.to!r}; {after.text[:300]}"
    return None


def told(response: httpx.Response) -> Any:
    """Return an answer without what is new in each."""
    if response.request.url.path == "/v1/responses":
        return response_fields.told(response)
    assert response.status_code == 200, response.text
    return {name: value for name, value in response.json().items() if name not in ("id", "created")}


@pytest.mark.parametrize("path", BODIES)
def test_the_table_has_a_row_for_each_field(path: str) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(BODIES[path])}
    for backend, rows in TABLES[path].items():
        assert rows.keys() == names, f"{backend}: {rows.keys() ^ names}"
        assert set(rows.values()) <= {"honoured", "harmless", "refused"}


@pytest.mark.parametrize(("path", "backend"), [(path, backend) for path in TABLES for backend in TABLES[path]])
def test_each_field_does_what_the_table_says(
    post: Post, models: dict[tuple[str, str], str], path: str, backend: str
) -> None:
    model = models.get((backend, path)) or models[backend, ""]
    body = {"model": model, **usual(path, backend)}
    wrong = {name: problem(post, path, body, name, word) for name, word in TABLES[path][backend].items()}
    assert not any(wrong.values()), "\n".join(f"{name}: {words}" for name, words in wrong.items() if words)
