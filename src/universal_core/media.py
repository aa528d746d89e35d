"""Bytes of an image or a recording that a request sends as base64 or names by a data URL, a URL or a path.

What a request may reach is narrow: files only below ``media.roots``, and URLs only at addresses of the public internet,
which is checked for the very address that is connected to, so that no name can lead elsewhere in between.
"""

import asyncio
import binascii
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

import httpcore2
import msgspec

from universal_core.config import MediaConfig
from universal_core.errors import BadRequest, Forbidden, PayloadTooLarge

MOST_REDIRECTS = 5
MOST_AT_ONCE = 8
MOST_TOGETHER = 512 * 1024 * 1024
"""Bytes of all that one request names: half of what a frame to a model's process may have."""

_PATH = re.compile(r"^(~|\.{1,2}|[A-Za-z]:)?[/\\]")
_SHORTEST_DOUBT = 4096
_REDIRECTS = (301, 302, 303, 307, 308)
# An address of IPv6 that a gateway turns into one of IPv4, whichever that is.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


async def read_media(source: str, config: MediaConfig, param: str) -> bytes:
    """Return the bytes behind a base64 text, a data URL, an http(s) or file URL, or a path.

    ``param`` is the field that errors name. Raises BadRequest, Forbidden, PayloadTooLarge.
    """
    scheme = source[:8].partition(":")[0].lower() if ":" in source[:8] else ""
    if scheme == "data":
        return _limited(_from_data_url(source, param), config, param)
    if scheme in ("http", "https"):
        return await _fetch(source, config, param)
    if scheme == "file" or _is_path(source):
        path = unquote(urlsplit(source).path) if scheme == "file" else source
        return await asyncio.to_thread(_read_file, path, config, param)
    return _limited(_from_base64(source, param), config, param)


async def read_all(sources: Mapping[str, str], config: MediaConfig) -> dict[str, bytes]:
    """Return the bytes behind several sources, each by the field that errors name; some are read at the same time.

    Raises what ``read_media`` raises, for the first that fails, and PayloadTooLarge for more than MOST_TOGETHER.
    """
    turn = asyncio.Semaphore(MOST_AT_ONCE)
    size = 0

    async def read(param: str, source: str) -> bytes:
        nonlocal size
        async with turn:
            data = await read_media(source, config, param)
        size += len(data)
        if size > MOST_TOGETHER:
            raise PayloadTooLarge(
                f"{param}: up to this one all are over the limit of {MOST_TOGETHER} bytes a request; send several",
                param=param,
            )
        return data

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {param: group.create_task(read(param, source)) for param, source in sources.items()}
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return {param: task.result() for param, task in tasks.items()}


def _is_path(text: str) -> bool:
    """Whether a text is a path: base64 can begin with a slash, but has no dot anywhere."""
    return len(text) < _SHORTEST_DOUBT and bool(_PATH.match(text)) and "." in text


def _limited(data: bytes, config: MediaConfig, param: str) -> bytes:
    if len(data) > config.max_bytes:
        raise PayloadTooLarge(
            f"{param}: {len(data)} bytes are over the limit of {config.max_bytes} (media.max_bytes)", param=param
        )
    return data


def _from_base64(text: str, param: str) -> bytes:
    # Four times as fast as the standard library, which knows what is wrong, and text broken into lines.
    with suppress(msgspec.ValidationError):
        return msgspec.convert(text, bytes)
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(
            f"{param}: expected base64, a data URL, an http(s) URL, or the path of an allowed file ({error})",
            param=param,
        ) from None


def _from_data_url(url: str, param: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise BadRequest(f"{param}: a data URL has a comma before its data", param=param)
    if head.lower().endswith(";base64"):
        return _from_base64(unquote(body) if "%" in body else body, param)
    return unquote_to_bytes(body)


def _read_file(name: str, config: MediaConfig, param: str) -> bytes:
    # What stands for another place (.., a link) is followed before it is compared.
    path = Path(name).expanduser().resolve()
    if not any(path.is_relative_to(Path(root).expanduser().resolve()) for root in config.roots):
        raise Forbidden(
            f"{param}: files may be named only in the folders of the setting media.roots; send the content instead",
            param=param,
        )
    try:
        if not path.is_file():
            raise BadRequest(f"{param}: there is no file {name}", param=param)
        with path.open("rb") as file:
            return _limited(file.read(config.max_bytes + 1), config, param)
    except OSError as error:
        raise BadRequest(f"{param}: {name} cannot be read: {error.strerror}", param=param) from None


async def _fetch(url: str, config: MediaConfig, param: str) -> bytes:
    if not config.fetch:
        raise Forbidden(f"{param}: this server fetches no URLs (media.fetch); send the content instead", param=param)
    try:
        async with asyncio.timeout(config.timeout), _pool(param) as pool:
            for _ in range(MOST_REDIRECTS + 1):
                answer = await _get(pool, url, config, param)
                if isinstance(answer, bytes):
                    return answer
                url = urljoin(url, answer)
    except TimeoutError:
        raise BadRequest(
            f"{param}: {_shown(url)} did not come within {config.timeout:g} s (media.timeout)", param=param
        ) from None
    except _UNREACHABLE as error:
        reason = str(error) or type(error).__name__
        raise BadRequest(f"{param}: {_shown(url)} cannot be fetched: {reason}", param=param) from None
    raise BadRequest(f"{param}: {_shown(url)} redirects more than {MOST_REDIRECTS} times", param=param)


_UNREACHABLE = (
    *(httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol),
    *(OSError, ValueError),
)


async def _get(pool: httpcore2.AsyncConnectionPool, url: str, config: MediaConfig, param: str) -> bytes | str:
    """Return the content of a URL, or the URL to which it redirects."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise Forbidden(f"{param}: {_shown(url)} is neither http nor https", param=param)
    async with pool.stream("GET", url, headers={"accept": "*/*", "user-agent": "universal-runtime"}) as response:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status in _REDIRECTS and "location" in headers:
            return headers["location"]
        if response.status != 200:
            raise BadRequest(f"{param}: {_shown(url)} answered with status {response.status}", param=param)
        data = bytearray()
        async for chunk in response.aiter_stream():
            data += chunk
            if len(data) > config.max_bytes:
                raise PayloadTooLarge(
                    f"{param}: {_shown(url)} is over the limit of {config.max_bytes} bytes (media.max_bytes)",
                    param=param,
                )
        return bytes(data)


def _shown(url: str) -> str:
    """Return a URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _pool(param: str) -> httpcore2.AsyncConnectionPool:
    return httpcore2.AsyncConnectionPool(ssl_context=ssl.create_default_context(), network_backend=PublicOnly(param))


class PublicOnly(httpcore2.AnyIOBackend):
    """Connects to addresses of the public internet alone. Raises Forbidden for any other."""

    def __init__(self, param: str) -> None:
        self._param = param

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Look the name up, and connect to the address that was found and checked."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(map(is_public, addresses)):
            raise Forbidden(
                f"{self._param}: {host} is not an address of the public internet; send the content instead",
                param=self._param,
            )
        for address in addresses[:-1]:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await super().connect_tcp(addresses[-1], port, timeout, local_address, socket_options)


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet can reach."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is not None:
            return is_public(str(inner))
        if found in _TRANSLATED:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast
