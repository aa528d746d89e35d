"""A WebSocket client for tests, over a plain socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Request, TextMessage

PATIENCE = 60.0


class Socket:
    """An open connection: what is sent and received is JSON, or bytes."""

    def __init__(self, connection: socket.socket, protocol: WSConnection) -> None:
        self._connection = connection
        self._protocol = protocol
        self._parts: list[Any] = []

    def event(self) -> Event:
        """Return the next event, whatever it is."""
        while True:
            for event in self._protocol.events():
                return event
            data = self._connection.recv(65536)
            self._protocol.receive_data(data or None)

    def send(self, value: Any) -> None:
        """Send bytes as they are, a string as text, and anything else as JSON."""
        if isinstance(value, bytes):
            event: Event = BytesMessage(value)
        else:
            event = TextMessage(value if isinstance(value, str) else json.dumps(value))
        self._connection.sendall(self._protocol.send(event))

    def receive(self) -> Any:
        """Return the next message: bytes, or JSON; when the server has closed, the CloseConnection."""
        while True:
            event = self.event()
            if isinstance(event, CloseConnection):
                return event
            if not isinstance(event, TextMessage | BytesMessage):
                continue
            self._parts.append(event.data)
            if event.message_finished:
                parts, self._parts = self._parts, []
                return json.loads("".join(parts)) if isinstance(event, TextMessage) else b"".join(parts)

    def until(self, type: str) -> tuple[bytes, dict[str, Any]]:
        """Return the bytes that come before a JSON message of this type, joined, and the message itself."""
        data = b""
        while True:
            message = self.receive()
            if isinstance(message, bytes):
                data += message
                continue
            assert isinstance(message, dict), f"closed with {message.code}: {message.reason}"
            assert message["type"] == type, message
            return data, message


@contextmanager
def connected(url: str, path: str, **query: Any) -> Iterator[Socket]:
    """Connect to a path of a server, and hang up at the end."""
    host, port = url.removeprefix("http://").split(":")
    target = f"{path}?{urlencode(query)}" if query else path
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        protocol = WSConnection(ConnectionType.CLIENT)
        connection.sendall(protocol.send(Request(host=host, target=target)))
        found = Socket(connection, protocol)
        assert isinstance(found.event(), AcceptConnection)
        yield found
