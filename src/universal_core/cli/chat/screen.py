"""What is shown of an answer: its text as it comes, what was thought before it dimmed, and remarks."""

import click

from universal_core.cli.chat.talk import Answer, Piece
from universal_core.cli.output import Output, printable

DIM, PLAIN = "\x1b[2m", "\x1b[0m"


class Screen:
    """Writes one answer. Without a terminal only the answer itself is written, not the thoughts."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._thinking = False
        self._last = "\n"

    def write(self, piece: Piece) -> None:
        """Write some text, without what could move the cursor."""
        text = printable(piece.text)
        if piece.thought and not self._output.terminal:
            return
        if piece.thought:
            text = self._thought(text)
        elif self._thinking:
            self._thinking = False
            text = ("" if self._last == "\n" else "\n") + "\n" + text.lstrip("\n")
        self._put(text)

    def _thought(self, text: str) -> str:
        start = "" if self._thinking or self._output.styled else "(thinks) "
        self._thinking = True
        self._last = text[-1:] or self._last
        return f"{DIM}{text}{PLAIN}" if self._output.styled else start + text

    def _put(self, text: str) -> None:
        if text and not text.endswith(PLAIN):
            self._last = text[-1]
        click.echo(text, nl=False)

    def end(self) -> None:
        """End the line."""
        if self._last != "\n":
            click.echo()
        self._last, self._thinking = "\n", False

    def remark(self, text: str) -> None:
        """Write a line beside the answer, on stderr."""
        text = printable(text)
        click.echo(click.style(text, dim=True) if self._output.styled else text, err=True)

    def remarks(self, answer: Answer, verbose: bool) -> None:
        """Say what an answer does not say itself."""
        if answer.dropped:
            self.remark(f"(the oldest {answer.dropped} messages were left out, for lack of room)")
        if answer.finish == "length":
            self.remark("(cut off: the most tokens that an answer may have, see max_tokens, or the model's context)")
        if verbose:
            self.remark(f"({answer.speed})")
