"""What the starter model learns from: the questions file, and conversations made up from it."""

from __future__ import annotations

import random
import string
import tomllib
from dataclasses import dataclass
from pathlib import Path

# How many exchanges a training conversation has. Most chats start afresh; the long ones teach looking only at the last.
EXCHANGES = (1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 18)
# Letters, signs, and other scripts with pictures: what made-up words are made of.
ALPHABETS = (
    string.ascii_lowercase,
    string.punctuation,
    "".join(map(chr, [*range(0xA1, 0x1000), *range(0x3041, 0x9FFF), *range(0x1F300, 0x1F650)])),
)

Message = dict[str, str]


@dataclass(frozen=True)
class Pair:
    """One way of asking, perhaps with the blanks `{thing}` and `{noise}`, and the answer it must get."""

    ask: str
    answer: str


@dataclass(frozen=True)
class Lessons:
    """What `questions.toml` holds; `canonical` is the first `ask` of every question."""

    canonical: list[Pair]
    known: list[Pair]
    unseen: list[Pair]
    things: list[str]
    system_prompts: list[str]

    @property
    def spelled_out(self) -> list[Pair]:
        """The known pairs that have no blank to fill."""
        return [pair for pair in self.known if "{" not in pair.ask]

    @property
    def held_out(self) -> list[Pair]:
        """Every spelled-out question in lower case without its question mark; training never sees these strings.

        Single words are left out: in lower case they are other tokens, and nothing around them says what they mean.
        """
        asks = {pair.ask for pair in self.known}
        plain = [Pair(pair.ask.lower().rstrip("?"), pair.answer) for pair in self.spelled_out if " " in pair.ask]
        return [pair for pair in plain if pair.ask not in asks]


def read_lessons(path: Path) -> Lessons:
    """Reads the questions file."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    questions = content["questions"]
    return Lessons(
        canonical=[Pair(question["ask"][0], question["answer"]) for question in questions],
        known=[Pair(ask, question["answer"]) for question in questions for ask in question["ask"]],
        unseen=[Pair(ask, question["answer"]) for question in questions for ask in question.get("unseen", [])],
        things=content["things"],
        system_prompts=content["system_prompts"],
    )


class Teacher:
    """Makes up training conversations, the same ones for the same seed."""

    def __init__(self, lessons: Lessons, seed: int) -> None:
        self.lessons = lessons
        # The canonical questions come three times as often, because those must be answered without fail.
        self.pairs = [*lessons.known, *lessons.canonical, *lessons.canonical]
        self.kept_back = {pair.ask for pair in lessons.held_out}
        self.random = random.Random(seed)

    def conversation(self) -> list[Message]:
        """Returns a few unrelated questions with their answers, sometimes after a system message."""
        messages = []
        exchanges = self.random.choice(EXCHANGES)
        if self.random.random() < 0.3:
            messages.append({"role": "system", "content": self.fill(self.random.choice(self.lessons.system_prompts))})
        for pair in self.random.choices(self.pairs, k=exchanges):
            messages.append({"role": "user", "content": self.reworded(self.fill(pair.ask))})
            messages.append({"role": "assistant", "content": pair.answer})
        return messages

    def fill(self, text: str) -> str:
        """Puts a random thing or noise into every blank."""
        while "{thing}" in text:
            text = text.replace("{thing}", self.random.choice(self.lessons.things), 1)
        while "{noise}" in text:
            text = text.replace("{noise}", self.noise(), 1)
        return text

    def noise(self) -> str:
        """Returns what nobody understands: a few made-up words, or one of them over and over."""
        alphabet = self.random.choice(ALPHABETS)
        separator = self.random.choice(["", " ", " "])
        lengths = self.random.choices(range(1, 9), k=self.random.randint(1, 6))
        words = ["".join(self.random.choices(alphabet, k=length)) for length in lengths]
        if self.random.random() < 0.2:
            words = words[:1] * self.random.randint(2, 30)
        return separator.join(words)

    def reworded(self, ask: str) -> str:
        """Returns the question as somebody in a hurry types it, but never one of the held-out strings."""
        text = ask
        if self.random.random() < 0.4:
            text = text.lower() if self.random.random() < 0.9 else text.upper()
        if self.random.random() < 0.4:
            text = text.rstrip("?") + self.random.choice(["", "", "", ".", "!", "??", " ?"])
        # Rare on purpose: at 0.3 the model took "load" for a mistyped "unload".
        if self.random.random() < 0.15:
            text = self.mistyped(text)
        return ask if text in self.kept_back else text

    def mistyped(self, text: str) -> str:
        """Drops, doubles, swaps or replaces one character."""
        place = self.random.randrange(len(text))
        before, character, after = text[:place], text[place], text[place + 1 :]
        slips = [after, character * 2 + after, after[:1] + character + after[1:]]
        return before + self.random.choice([*slips, self.random.choice(string.ascii_lowercase) + after])
