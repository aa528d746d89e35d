"""A thin client of the server's HTTP API: what every command that speaks with a server goes through."""

import ipaddress
import ssl
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import click
import msgspec

from universal_core.cli.events import read_events
from universal_core.cli.options import load_config
from universal_core.cli.output import Output, printable

if TYPE_CHECKING:
    from httpx2 import Client as Connections
    from httpx2 import Response

Command = TypeVar("Command", bound=Callable[..., Any])

CONNECT_SECONDS = 10.0
REFUSED, NO_SERVER, INTERRUPTED = 1, 3, 130
"""Exit statuses: what was asked for was refused or failed; no server answers, or it went away; Ctrl-C."""
_DONE = "[DONE]"


class CommandError(click.ClickException):
    """What the server, or this command, has to say against what was asked for; the command ends with status 1.

    ``status`` and ``code`` are those of the server's answer, ``body`` its JSON.
    """

    exit_code = REFUSED

    def __init__(self, message: str, *, status: int | None = None, code: str | None = None, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body = body

    def show(self, file: Any = None) -> None:
        """Print one line, as every error of the command line is."""
        click.echo(f"universal: {printable(self.message)}", err=True, file=file)


class NoServer(CommandError):
    """No server answers, or it went away before its answer was complete; the command ends with status 3."""

    exit_code = NO_SERVER


class Form(msgspec.Struct, frozen=True):
    """A body that is a form: fields, each with a value or several, and files of this machine."""

    fields: Mapping[str, str | Sequence[str]]
    files: Mapping[str, Path]


class Client:
    """The API of one server; use it as a context manager, for leaving it closes what is still open.

    Every method raises CommandError with the server's own words, and NoServer where none answers. Answers may take as
    long as they take; leaving a stream early closes its connection, and the server stops working on it.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self._key = key

    def __enter__(self) -> "Client":
        """Return the client; nothing is connected before it is used."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        if "_connections" in self.__dict__:
            self._connections.close()

    def another(self) -> "Client":
        """Return a client of the same server with connections of its own."""
        return Client(self.url, self._key)

    @cached_property
    def _connections(self) -> "Connections":
        import httpx2  # Imported here so that help and wrong calls are answered at once.

        # A proxy is for machines elsewhere, whatever the environment says of it.
        near = _is_this_machine(urlsplit(self.url).hostname or "")
        try:
            return httpx2.Client(
                timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
                headers={"authorization": f"Bearer {self._key}"} if self._key else {},
                verify=httpx2.create_ssl_context(),
                trust_env=not near,
            )
        except (ImportError, ValueError, OSError) as error:
            raise CommandError(
                f"the proxy or the certificates that the environment names cannot be used: {error}"
            ) from None

    def get(self, path: str) -> Any:
        """Return the decoded answer of a GET."""
        return self._whole("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """Return the decoded answer of a POST of JSON or a Form; an answer that is no JSON is returned as text."""
        return self._whole("POST", path, body)

    def delete(self, path: str) -> Any:
        """Return the decoded answer of a DELETE."""
        return self._whole("DELETE", path)

    def content(self, path: str, body: Any) -> Generator[bytes]:
        """Yield the bytes that answer a POST as they come."""
        with self._opened("POST", path, body) as response:
            yield from response.iter_bytes()

    def stream(self, path: str, body: Any, comment: Callable[[str], None] = lambda text: None) -> Generator[Any]:
        """Yield the server-sent events that answer a POST, decoded, until they end or ``[DONE]`` comes.

        ``comment`` is told the comment lines, which say what the server is doing. An event that tells of an error is
        raised.
        """
        with self._opened("POST", path, body) as response:
            for data in read_events(response.iter_bytes(), comment):
                if data == _DONE:
                    return
                event = msgspec.json.decode(data)
                if isinstance(event, dict) and event.get("error"):
                    raise _refusal(event, response.status_code)
                yield event

    def _whole(self, method: str, path: str, body: Any = None) -> Any:
        with self._opened(method, path, body) as response:
            response.read()
            return _decoded(response)

    @contextmanager
    def _opened(self, method: str, path: str, body: Any = None) -> Iterator["Response"]:
        """Send a request, and give its answer where it is no error."""
        import httpx2

        try:
            with _sent(body) as content, self._connections.stream(method, self.url + path, **content) as response:
                if response.is_redirect:
                    raise CommandError(f"{self.url} points to {response.headers['location']}: name that with --url")
                if response.is_error:
                    response.read()
                    raise _refusal(_decoded(response), response.status_code)
                yield response
        except httpx2.HTTPError as error:
            self._explain(error)
        except msgspec.DecodeError:
            raise CommandError(f"what answers on {self.url} is no server of this kind: it sent no JSON") from None

    def _explain(self, error: Exception) -> NoReturn:
        import httpx2

        if _caused_by(error, ssl.SSLError):
            raise NoServer(
                f"no secure connection to {self.url}: {error}. A certificate of your own is trusted once the variable "
                "SSL_CERT_FILE names the file of who signed it"
            ) from None
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            raise NoServer(
                f"no server answers on {self.url}: start one with `universal serve`, or name another with --url"
            ) from None
        if isinstance(error, httpx2.ProxyError):
            raise NoServer(f"the proxy on the way to {self.url} refuses: {error}") from None
        raise NoServer(
            f"the server on {self.url} went away, or gave up, before its answer was complete ({error})"
        ) from None


@contextmanager
def _sent(body: Any) -> Iterator[dict[str, Any]]:
    """Give what the HTTP library is to send for a body, with its files open."""
    if not isinstance(body, Form):
        yield (
            {}
            if body is None
            else {"content": msgspec.json.encode(body), "headers": {"content-type": "application/json"}}
        )
        return
    opened = {}
    try:
        for name, path in body.files.items():
            opened[name] = path.open("rb")
        yield {
            "data": dict(body.fields),
            "files": {name: (Path(file.name).name, file) for name, file in opened.items()},
        }
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    finally:
        for file in opened.values():
            file.close()


def _decoded(response: "Response") -> Any:
    """Return JSON as what it stands for, and all else as text."""
    if "json" in response.headers.get("content-type", ""):
        return msgspec.json.decode(response.content)
    return response.text


def _refusal(answer: Any, status: int) -> CommandError:
    """Return the error that an answer tells of, in the server's words where it is one of ours."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        message, code = str(error.get("message")), error.get("code")
    else:
        words = " ".join(answer.split())[:200] if isinstance(answer, str) else ""
        message, code = f"the server answered with status {status}" + (f": {words}" if words else ""), None
    if status == 401:
        message += "; a key is given with --api-key or in UNIVERSAL_API_KEY"
    return CommandError(message, status=status, code=code, body=answer)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def client_options(command: Command) -> Command:
    """Add ``--url``, ``--api-key`` and ``--json``; the command gets them as ``client`` and ``output``."""

    @wraps(command)
    def with_client(*arguments: Any, url: str | None, api_key: str | None, as_json: bool, **others: Any) -> Any:
        context = click.get_current_context()
        client = context.with_resource(Client(url or configured_url(), api_key))
        return command(*arguments, client=client, output=Output(as_json), **others)

    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
        click.option(
            "--api-key",
            envvar="UNIVERSAL_API_KEY",
            metavar="KEY",
            help="Key that the server, or a proxy before it, wants. [UNIVERSAL_API_KEY]",
        ),
        click.option(
            "--url",
            envvar="UNIVERSAL_URL",
            metavar="URL",
            callback=lambda context, parameter, value: value and server_url(value),
            help="Server to ask. [UNIVERSAL_URL; default the one that `universal serve` starts on this machine]",
        ),
    ):
        with_client = option(with_client)
    return with_client  # type: ignore[return-value]


def server_url(text: str) -> str:
    """Return the address of a server as requests begin with it: ``host:port`` will do, and ``/v1`` may be at its end.

    Raises click.BadParameter for what is no address.
    """
    full = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urlsplit(full)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise click.BadParameter(f"expected an address such as http://127.0.0.1:11540, got {text!r}")
    return full.partition("?")[0].rstrip("/").removesuffix("/v1")


def configured_url() -> str:
    """Return the address of the server that the configuration of this machine describes."""
    server = load_config(None).config.server
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(server.host, server.host)
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if server.certfile else 'http'}://{host}:{server.port}"
