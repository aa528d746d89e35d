"""What is typed: lines edited with readline where Python has it, and remembered in a file."""

import os
from contextlib import suppress
from pathlib import Path
from types import ModuleType

LINES = 1000
"""How many lines the file remembers."""

QUOTES = '"""'
PROMPT, CONTINUED = ">>> ", "... "


class Keyboard:
    """Reads questions from the terminal; ``history`` is the file in which its lines are remembered."""

    def __init__(self, history: Path) -> None:
        self._history = history
        self._readline = _readline()
        if self._readline is not None:
            self._recall(self._readline)

    def question(self) -> str:
        '''Return the next question, several lines between """ and """.

        Raises EOFError at Ctrl-D, and KeyboardInterrupt at Ctrl-C where nothing was typed.
        '''
        while True:
            try:
                line = self._line(PROMPT)
                return self._quoted(line) if line.startswith(QUOTES) else line
            except KeyboardInterrupt:
                print()
                if not self._typed:
                    raise

    def _quoted(self, line: str) -> str:
        lines = [line.removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            lines.append(self._line(CONTINUED))
        lines[-1] = lines[-1].rstrip().removesuffix(QUOTES)
        return "\n".join(lines).strip("\n")

    def _line(self, prompt: str) -> str:
        self._typed = prompt == CONTINUED
        try:
            line = input(prompt)
        except KeyboardInterrupt:
            self._typed = self._typed or bool(self._readline and self._readline.get_line_buffer())
            raise
        if line.strip() and self._readline is not None:
            self._remember(self._readline)
        return line

    def _recall(self, readline: ModuleType) -> None:
        readline.set_history_length(LINES)
        with suppress(OSError):  # Without the file there is nothing to recall, and nothing is remembered.
            self._history.parent.mkdir(parents=True, exist_ok=True)
            # What was asked is nobody else's business.
            os.close(os.open(self._history, os.O_CREAT | os.O_RDWR, 0o600))
            self._history.chmod(0o600)
            readline.read_history_file(str(self._history))

    def _remember(self, readline: ModuleType) -> None:
        with suppress(OSError):
            if hasattr(readline, "append_history_file"):
                readline.append_history_file(1, str(self._history))
            else:
                readline.write_history_file(str(self._history))


def _readline() -> ModuleType | None:
    try:
        import readline
    except ImportError:
        return None
    readline.set_auto_history(True)
    return readline
