"""Thoughts between markers, at the beginning of a turn: in which forms models write them, and how they are read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from universal_core.conversation.parsing import Content, Piece, Thought, TurnParser
from universal_core.conversation.stops import could_begin, half_marker
from universal_core.conversation.tools.lark import pattern
from universal_core.conversation.vocabulary import Vocabulary
from universal_core.errors import LoadFailed
from universal_core.messages import ChatRequest, FinishReason

Place = Literal["before", "inside", "after"]
"""Where a turn stands: before a thought that may come, inside of one, or after all thoughts."""


@dataclass(frozen=True, slots=True)
class ReasoningFormat:
    """Thoughts between two markers; of several ways of writing one, the first is what a template writes.

    ``gap`` is what a template writes between a marker and what stands beside it. ``tokens`` are the parts of markers
    that are special tokens where not the whole is one.
    """

    name: str
    opening: tuple[str, ...]
    closing: tuple[str, ...]
    gap: str = "\n"
    tokens: tuple[str, ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        """The texts that may be special tokens."""
        return self.tokens or (*self.opening, *self.closing)

    def is_in(self, source: str) -> bool:
        """Whether the source of a template shows one of the markers."""
        return any(marker.rstrip() in source for marker in (*self.opening, *self.closing))

    @property
    def end(self) -> str:
        """What closes a thought that is not complete."""
        return self.gap + self.closing[0] + 2 * self.gap

    @property
    def nothing(self) -> str:
        """A thought without words, as templates begin an answer with it that is to come without thinking."""
        return self.opening[0] + self.gap + self.end


REASONING_FORMATS = (
    ReasoningFormat("seed", ("<seed:think>",), ("</seed:think>",)),
    ReasoningFormat("magistral", ("[THINK]",), ("[/THINK]",), gap=""),
    ReasoningFormat("cohere", ("<|START_THINKING|>",), ("<|END_THINKING|>",), gap=""),
    ReasoningFormat("gemma", ("<|channel>thought\n",), ("<channel|>",), gap="", tokens=("<|channel>", "<channel|>")),
    ReasoningFormat("kimi-vl", ("◁think▷",), ("◁/think▷",)),
    ReasoningFormat("apertus", ("<|inner_prefix|>",), ("<|inner_suffix|>",), gap=""),
    ReasoningFormat(
        "granite",
        ("Here is my thought process:", "Here's my thought process:"),
        ("Here is my response:", "Here's my response:"),
    ),
    ReasoningFormat("think", ("<think>",), ("</think>",)),
)
"""The forms in which models think, in the order in which a template is looked through for them."""

REASONING_NAMES = ("auto", "none", "harmony", *(form.name for form in REASONING_FORMATS))
"""What the option ``reasoning_format`` of a backend may be."""


def reasoning_format_of(name: str, source: str, vocabulary: Vocabulary) -> ReasoningFormat | None:
    """Return the format of a name; for ``auto`` the one that a template's source or else the vocabulary shows.

    None means that the model is not known to think. Raises LoadFailed for a name that is none.
    """
    if name == "none":
        return None
    if name != "auto":
        found = next((form for form in REASONING_FORMATS if form.name == name), None)
        if found is None:
            raise LoadFailed(f"reasoning_format {name!r} is none of {', '.join(REASONING_NAMES)}")
        return found
    shown = next((form for form in REASONING_FORMATS if form.is_in(source)), None)
    return shown or next((form for form in REASONING_FORMATS if _knows(vocabulary, form)), None)


def _knows(vocabulary: Vocabulary, form: ReasoningFormat) -> bool:
    return all(vocabulary.named(marker) is not None for marker in form.markers)


def place_of(form: ReasoningFormat, request: ChatRequest, tail: str) -> Place:
    """Return where a turn begins whose prompt ends with ``tail``."""
    written = tail.rstrip()
    if written.endswith(tuple(marker.rstrip() for marker in form.opening)):
        return "inside"
    if written.endswith(form.closing):
        return "after"
    field = request.chat_template_kwargs.get("continue_final_message")
    if not field:
        return "before"
    text = request.messages[-1].text if request.messages else ""
    opened, closed = (max(map(text.rfind, markers)) for markers in (form.opening, form.closing))
    return "inside" if opened > closed or field in ("reasoning_content", "thinking") else "after"


class ThinkingTurn:
    """A turn that begins with thoughts, as many as come, and goes on with what ``rest`` takes apart.

    The space around a thought belongs neither to it nor to what follows it. A marker further on is a word of the
    answer.
    """

    def __init__(self, form: ReasoningFormat, place: Place, rest: TurnParser) -> None:
        self._form = form
        self._place = place
        self._rest = rest
        self._buffer = ""
        self._passed = 0
        """How many characters stand in front of the buffer."""
        self._start = 0
        """Where the text begins that ``rest`` takes apart."""
        self._thought = place == "inside"
        self._fresh = True

    @property
    def thinking(self) -> bool:
        """Whether a thought is open."""
        return self._place == "inside"

    @property
    def held(self) -> int:
        """How many characters are in no piece yet."""
        return self._rest.held if self._place == "after" else len(self._buffer)

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that a further text completes."""
        self._buffer += text
        pieces: list[Piece] = []
        going = True
        while going and self._place != "after":
            going = self._look_for_end(pieces) if self._place == "inside" else self._look_for_thought()
        return pieces + self._hand_over() if self._place == "after" else pieces

    def close(self, reason: FinishReason) -> list[Piece]:
        """Return what was held back: half a marker is what it says, unless the turn was cut there."""
        pieces: list[Piece] = []
        if reason == "length":
            self._drop_half(self._form.closing if self._place == "inside" else self._form.opening)
        if self._place == "inside":
            self._think(self._buffer.rstrip(), pieces)
        else:
            self._turn_to_answer()
            pieces += self._hand_over()
        return pieces + self._moved(self._rest.close(reason))

    def _look_for_thought(self) -> bool:
        """Go on if the next thought begins here, or the answer; return whether either does."""
        text = self._buffer.lstrip()
        opening = next((marker for marker in self._form.opening if text.startswith(marker)), None)
        if opening is not None:
            self._drop(len(self._buffer) - len(text) + len(opening))
            self._place, self._thought, self._fresh = "inside", True, True
            return True
        if any(marker.startswith(text) for marker in self._form.opening):
            return False
        self._turn_to_answer()
        return True

    def _look_for_end(self, pieces: list[Piece]) -> bool:
        """Take what belongs to the thought for sure; return whether it is over."""
        found = [(at, marker) for marker in self._form.closing if (at := self._buffer.find(marker)) >= 0]
        if found:
            at, marker = min(found)
            self._think(self._buffer[:at].rstrip(), pieces)
            self._drop(at + len(marker))
            self._place = "before"
            return True
        words = self._buffer[: len(self._buffer) - could_begin(self._buffer, self._form.closing)].rstrip()
        self._think(words, pieces)
        self._drop(len(words))
        return False

    def _think(self, text: str, pieces: list[Piece]) -> None:
        text = text.lstrip() if self._fresh else text
        if text:
            self._fresh = False
            pieces.append(Thought(text))

    def _turn_to_answer(self) -> None:
        if self._thought and self._place == "before":
            self._drop(len(self._buffer) - len(self._buffer.lstrip()))
        if self._place == "before":
            self._place, self._start = "after", self._passed

    def _hand_over(self) -> list[Piece]:
        text = self._buffer
        self._drop(len(text))
        return self._moved(self._rest.feed(text)) if text else []

    def _moved(self, pieces: list[Piece]) -> list[Piece]:
        """Return pieces of the rest with their places in the whole turn."""
        if not self._start:
            return pieces
        return [
            replace(piece, start=piece.start + self._start) if isinstance(piece, Content) else piece for piece in pieces
        ]

    def _drop_half(self, markers: Sequence[str]) -> None:
        """Take half a marker off the end, but for one of words, which may be an answer of its own."""
        self._buffer = self._buffer[: len(self._buffer) - half_marker(self._buffer, markers)]

    def _drop(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._passed += count


def thought_rules(form: ReasoningFormat, place: Place, spell: Callable[[str], str]) -> str:
    """Return the rules of a whole turn, ``start``, in which ``turn`` follows what may be thought before it.

    A thought is free text up to its marker. ``spell`` writes a marker as Lark.
    """
    if place == "after":
        return "start: turn\n"
    closing = spell(form.closing[0])
    ends = "|".join(pattern(marker) for marker in form.closing)
    if closing.startswith("<["):
        # The marker spelled out in letters would end the thought for who reads the text, so no thought has it.
        body = f"thought_body: THOUGHT_TEXT {closing}\nTHOUGHT_TEXT: /(?s:.*)/ & ~/(?s:.*)({ends})(?s:.*)/\n"
    else:
        body = f"thought_body[lazy]: /(?s:.*)({ends})/\n"
    thought = "thought_body THOUGHT_SPACE"
    rules = f"start: {thought} turn\n"
    if place == "before":
        rules = f"start: ({_spelled(form, spell)} {thought})? turn\n"
    return f"{rules}{body}THOUGHT_SPACE: /\\s{{0,4}}/\n"


def _spelled(form: ReasoningFormat, spell: Callable[[str], str]) -> str:
    """Return the opening marker as Lark; it may have more than its special token."""
    token = next((marker for marker in form.tokens if form.opening[0].startswith(marker)), form.opening[0])
    rest = form.opening[0][len(token) :]
    return f"{spell(token)} {spell(rest)}" if rest else spell(token)
