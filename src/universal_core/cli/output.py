"""What commands print: results on stdout and progress on stderr; tables for people, plain lines in a pipe, JSON."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table


class Tell:
    """Is told what is being done, and the share of it that is, 0 to 1, or None where nobody knows; shows nothing."""

    def __call__(self, text: str, share: float | None) -> None:
        """Take note."""

    def stop(self) -> None:
        """Take nothing in any more: what was waited for is there, and what is printed now stays."""


class Output:
    """Where a command prints, and how: ``json`` where it was asked for."""

    def __init__(self, json: bool = False) -> None:
        self.json = json

    @property
    def terminal(self) -> bool:
        """Whether stdout is a terminal."""
        return sys.stdout.isatty()

    @property
    def styled(self) -> bool:
        """Whether stdout is a terminal that shows colours."""
        return self.terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    @cached_property
    def _console(self) -> "Console":
        from rich.console import Console

        return Console(highlight=False, soft_wrap=False)

    def line(self, text: str = "") -> None:
        """Print a line of the result."""
        click.echo(text)

    def value(self, value: Any) -> None:
        """Print a value as JSON: in several lines on a terminal, else in one."""
        encoded = msgspec.json.encode(value)
        if self.terminal:
            encoded = msgspec.json.format(encoded)
        click.echo(encoded.decode())

    def note(self, text: str) -> None:
        """Print a line beside the result, on stderr."""
        click.echo(text, err=True)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
        """Print rows below headings; columns in ``right`` stand at their right. Pipes get one tab between cells."""
        if not self.terminal:
            for row in (headings, *rows):
                click.echo("\t".join(" ".join(cell.split()) for cell in row))
            return
        self._console.print(_table(headings, rows, right))

    @contextmanager
    def progress(self) -> Iterator[Tell]:
        """Give what to call as work goes on; on a terminal a bar on stderr shows it from the first call to the end."""
        tell = Tell() if self.json or not sys.stderr.isatty() else _Bar()
        try:
            yield tell
        finally:
            tell.stop()


class _Bar(Tell):
    """A bar on stderr, which is there once there is something to tell."""

    def __init__(self) -> None:
        self._stopped = False

    def __call__(self, text: str, share: float | None) -> None:
        if not self._stopped:
            total = None if share is None else 1.0
            self._bars.update(self._task, description=printable(text), total=total, completed=share or 0.0)

    def stop(self) -> None:
        if "_bars" in self.__dict__ and not self._stopped:
            self._bars.stop()
        self._stopped = True

    @cached_property
    def _bars(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
        bars = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True)
        bars.start()
        return bars

    @cached_property
    def _task(self) -> "TaskID":
        return self._bars.add_task("", total=None)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def printable(text: str) -> str:
    """Return text without the characters that move the cursor or change the terminal; tabs and line feeds stay."""
    return "".join(character for character in text if character in "\n\t" or not _is_control(character))


def _is_control(character: str) -> bool:
    number = ord(character)
    return number < 32 or 127 <= number < 160
