"""The main job on real input: real weights, real pages, and real questions."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy
import pytest
from sentence_transformers import SentenceTransformer

import openai
from server import Server, running_server
from tiny.embedding import real_model

ROOT = Path(__file__).parents[2]
SETTINGS = """
[model.minilm]
model = "{model}"
options = {{dtype = "float32"}}
[model.minilm-auto]
model = "{model}"
"""

# What a newcomer asks, and the pages of which one must come first.
QUESTIONS = {
    "How do I write a backend of my own?": ("how-to/write-a-backend.md", "tutorial/first-plugin.md"),
    "How can I keep a model from being unloaded?": ("how-to/load-unload-and-pin.md",),
    "What does the health endpoint tell?": ("how-to/read-health-and-logs.md", "reference/endpoints.md"),
    "How do I run it under systemd?": ("how-to/run-as-a-service.md",),
    "How do I use a gated model with a token?": ("how-to/use-private-models.md",),
    "How do I serve without internet?": ("how-to/serve-offline.md",),
    "Which environment variable sets the port?": ("reference/settings.md", "reference/commands.md"),
    "What does error 429 mean?": ("reference/errors.md",),
    "How do I run a model on the graphics card in bfloat16?": ("how-to/choose-device-and-dtype.md",),
    "How are an alias and options set for a model?": ("how-to/configure-a-model.md",),
    "When is the hook model_unloaded called?": ("reference/hooks.md",),
    "What happens when a worker process dies?": (
        "explanation/architecture.md",
        "how-to/read-health-and-logs.md",
        "reference/errors.md",
    ),
    "What does the part after the colon in a model's name mean?": ("explanation/names.md",),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    file = tmp_path_factory.mktemp("settings") / "universal.toml"
    file.write_text(SETTINGS.format(model=real_model()))
    with running_server("--config", str(file), "--device", "cpu") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as found:
        yield found


def example() -> ModuleType:
    """Import the example as its users run it."""
    path = ROOT / "examples" / "semantic-search" / "search.py"
    specification = importlib.util.spec_from_file_location("semantic_search", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_real_embeddings_equal_sentence_transformers(client: openai.OpenAI) -> None:
    texts = ["A model loads when it is first asked for.", "Kittens!", "the cat " * 150, "äöü 世界 🚀", *QUESTIONS]
    expected = SentenceTransformer(str(real_model()), device="cpu").encode(texts, normalize_embeddings=True)
    found = client.embeddings.create(model="minilm", input=texts)
    vectors = numpy.array([item.embedding for item in found.data], dtype=numpy.float32)
    assert numpy.abs(vectors - expected).max() < 1e-5
    automatic = client.embeddings.create(model="minilm-auto", input=texts)
    cosines = (numpy.array([item.embedding for item in automatic.data]) * expected).sum(axis=1)
    assert cosines.min() >= 0.9999


def test_a_search_over_these_docs_finds_the_right_page(client: openai.OpenAI) -> None:
    index = example().Index(client, "minilm", ROOT / "docs")
    first = {question: index.search(question)[0][1] for question in QUESTIONS}
    wrong = {question: page for question, page in first.items() if page not in QUESTIONS[question]}
    assert not wrong
