"""How fast a server writes: clients that ask at once, each again as soon as it is answered."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

from universal_core.cli.client import Client, CommandError

PATH = "/v1/chat/completions"
WORDS = (
    *("river", "stone", "light", "paper", "green", "window", "music", "table", "winter", "garden", "story", "mountain"),
    *(
        "simple",
        "quiet",
        "travel",
        "yellow",
        "number",
        "summer",
        "letter",
        "bridge",
        "silver",
        "market",
        "forest",
        "engine",
    ),
)


class Sample(NamedTuple):
    """One answer: seconds to its first text and to its end, and the tokens read and written."""

    first: float
    seconds: float
    read: int
    written: int

    @property
    def per_token(self) -> float | None:
        """Seconds between two tokens; None where there are not two."""
        return (self.seconds - self.first) / (self.written - 1) if self.written > 1 else None


class Round(NamedTuple):
    """What some clients together got, and how long it took them."""

    clients: int
    seconds: float
    samples: list[Sample]
    failures: list[CommandError]

    @property
    def rate(self) -> float:
        """Tokens written a second."""
        return sum(sample.written for sample in self.samples) / self.seconds


class Load(NamedTuple):
    """What is asked for: the model, the words of a prompt, the most tokens of an answer, and other fields."""

    model: str
    words: int
    tokens: int
    fields: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """Return a request whose prompt nobody has read before, for what was read is not read again."""
        prompt = " ".join(random.choices(WORDS, k=self.words))
        return {
            "temperature": 0,
            "max_tokens": self.tokens,
            **self.fields,
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }


def warmed(client: Client, load: Load) -> Load:
    """Let a model answer, so that what it prepares is prepared; return the load with as many words as meant tokens."""
    sample = ask(client, load._replace(tokens=min(load.tokens, 8)).body())
    if sample.read:
        # Some models count in their own way: no prompt becomes many times as long for that.
        load = load._replace(words=min(max(1, round(load.words**2 / sample.read)), 4 * load.words))
    ask(client, load._replace(tokens=min(load.tokens, 8)).body())
    return load


def ask(client: Client, body: dict[str, Any]) -> Sample:
    """Return how fast an answer came. Raises CommandError."""
    began, first, pieces, usage = time.perf_counter(), None, 0, None
    with closing(client.stream(PATH, body)) as events:
        for event in events:
            usage = event.get("usage") or usage
            deltas = [choice.get("delta") or {} for choice in event.get("choices", ())]
            if any(delta.get("content") or delta.get("reasoning_content") for delta in deltas):
                pieces += 1
                first = first or time.perf_counter() - began
    seconds = time.perf_counter() - began
    # A model that counts nothing is judged by the pieces in which its answer comes.
    read, written = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else (0, pieces)
    return Sample(seconds if first is None else first, seconds, read, written)


def measure(client: Client, load: Load, clients: int, requests: int, done: Callable[[int], None]) -> Round:
    """Let clients ask at once, so many requests each; ``done`` is told how many are answered."""
    results: SimpleQueue[Sample | CommandError | None] = SimpleQueue()
    began = time.perf_counter()
    for _ in range(clients):
        # Threads that do not outlive the command: Ctrl-C closes their connections by ending it.
        threading.Thread(target=_ask_again, args=(client.another(), load, requests, results), daemon=True).start()
    samples, failures = list[Sample](), list[CommandError]()
    for result in _until_all_left(results, clients):
        if isinstance(result, CommandError):
            failures.append(result)
        else:
            samples.append(result)
        done(len(samples) + len(failures))
    return Round(clients, time.perf_counter() - began, samples, failures)


def _ask_again(client: Client, load: Load, requests: int, results: "SimpleQueue[Sample | CommandError | None]") -> None:
    try:
        with client:
            for _ in range(requests):
                try:
                    results.put(ask(client, load.body()))
                except CommandError as error:
                    results.put(error)
    finally:
        results.put(None)


def _until_all_left(
    results: "SimpleQueue[Sample | CommandError | None]", clients: int
) -> Iterator[Sample | CommandError]:
    while clients:
        try:
            result = results.get(timeout=1.0)  # With a time, so that Ctrl-C is heard on every system.
        except Empty:
            continue
        if result is None:
            clients -= 1
        else:
            yield result
