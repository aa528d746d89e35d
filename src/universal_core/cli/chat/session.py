"""A chat in the terminal: questions are read, answers shown, and lines that begin with a slash obeyed."""

from contextlib import closing
from pathlib import Path

from universal_core.cli.chat.attachments import Part, read_part, take_files
from universal_core.cli.chat.keyboard import Keyboard
from universal_core.cli.chat.screen import Screen
from universal_core.cli.chat.slash import COMMANDS, Leave, obey
from universal_core.cli.chat.talk import Content, Talk
from universal_core.cli.client import Client, CommandError
from universal_core.cli.loading import load_model
from universal_core.cli.output import Output


class Session:
    """Shows the answers of a conversation; ``attached`` are the parts that go with the next question."""

    def __init__(self, client: Client, talk: Talk, output: Output, verbose: bool) -> None:
        self.client = client
        self.talk = talk
        self.output = output
        self.attached: list[Part] = []
        self._verbose = verbose

    def load(self, model: str) -> None:
        """Load a model and go on with it; where that fails the one before stays. Raises CommandError."""
        load_model(self.client, self.output, model, "chat")
        self.talk.model = model

    def attach(self, path: Path) -> None:
        """Add a picture or a recording to the next question. Raises CommandError."""
        self.attached.append(read_part(path))

    def content_of(self, text: str) -> Content:
        """Return a question with what is attached to it, and with the files whose paths are in it."""
        text, paths = take_files(text)
        parts = [*self.attached, *map(read_part, paths)]
        self.attached = []
        return [*parts, {"type": "text", "text": text}] if parts else text

    def show(self, content: Content) -> None:
        """Ask, and write the answer as it comes. Raises CommandError; Ctrl-C closes the connection."""
        screen = Screen(self.output)
        with self.output.progress() as tell, closing(self.talk.ask(content, lambda text: tell(text, None))) as pieces:
            try:
                for piece in pieces:
                    tell.stop()
                    screen.write(piece)
            finally:
                tell.stop()
                screen.end()
        screen.remarks(self.talk.answer, self._verbose)

    def run(self, keyboard: Keyboard) -> None:
        """Answer until the user leaves."""
        while True:
            try:
                line = keyboard.question()
            except EOFError:
                self.output.line()
                return
            except KeyboardInterrupt:
                return
            try:
                self._take(line)
            except Leave:
                return
            except CommandError as error:
                error.show()
            except KeyboardInterrupt:
                Screen(self.output).remark("(stopped)")

    def _take(self, line: str) -> None:
        name = line.split(maxsplit=1)[0] if line.strip() else ""
        # A path begins with a slash, too, and has another one.
        if line.startswith("/") and (name in COMMANDS or "/" not in name[1:]):
            obey(self, name, line[len(name) :].strip())
        elif line.strip() or self.attached:
            self.show(self.content_of(line.strip()))
