"""What is reached through the network: the hub, and the port that the server listens on."""

import errno
import os
import socket
import threading
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec

from universal_core.checkup.findings import Finding, ok, problem, warning
from universal_core.config import Config, ServerConfig

PATIENCE = 2.0
"""Seconds to wait for the hub, and for what listens on the port."""


class HubAnswer(msgspec.Struct, frozen=True):
    """How the hub answered a question that needs a token: its status, and its clock in seconds since 1970."""

    status: int
    time: float | None


def token() -> str | None:
    """Return the token for the hub, from the environment or as ``hf auth login`` keeps it."""
    from huggingface_hub import constants

    stored = Path(constants.HF_TOKEN_PATH)
    return os.environ.get("HF_TOKEN") or (stored.read_text().strip() if stored.is_file() else None) or None


def ask_hub() -> HubAnswer | str:
    """Ask the hub who the token belongs to; returns in words why it does not answer.

    Looking up a name can take longer than any time limit, so it is done in a thread that nobody waits for.
    """
    answers: list[HubAnswer | str] = []
    thread = threading.Thread(target=lambda: answers.append(_ask_hub()), daemon=True)
    thread.start()
    thread.join(PATIENCE + 0.5)
    return answers[0] if answers else f"no answer within {PATIENCE:.0f} s"


def _ask_hub() -> HubAnswer | str:
    from httpx2 import HTTPError, get
    from huggingface_hub import constants

    key = token()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = get(f"{constants.ENDPOINT}/api/whoami-v2", headers=headers, timeout=PATIENCE)
    except (HTTPError, OSError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return HubAnswer(answer.status_code, _time_of(answer.headers.get("date")))


def _time_of(date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def check_hub(answer: HubAnswer | str | None) -> Finding:
    """Tell whether models can be downloaded; ``answer`` is None where the hub is not to be asked."""
    from huggingface_hub import constants

    if answer is None:
        return ok("hub", "not asked: hub.offline or HF_HUB_OFFLINE is set, only what is on this machine is served")
    if isinstance(answer, str):
        return warning(
            "hub",
            f"{constants.ENDPOINT} cannot be reached ({answer}), so only what is on this machine can be served",
            f"curl -I {constants.ENDPOINT}  # behind a proxy: set HTTPS_PROXY; without a network: hub.offline = true",
        )
    if answer.status >= 500:
        return warning("hub", f"{constants.ENDPOINT} answers with {answer.status}", "try again later")
    return ok("hub", f"{constants.ENDPOINT} answers")


def check_token(answer: HubAnswer | str | None) -> Finding:
    """Tell whether there is a token for private and gated models, never which."""
    place = "in HF_TOKEN" if os.environ.get("HF_TOKEN") else "kept by `hf auth login`"
    if token() is None:
        return ok("token", "none: public models only; private and gated ones need HF_TOKEN")
    if isinstance(answer, HubAnswer) and answer.status in (401, 403):
        return problem(
            "token",
            f"{place}, and the hub does not know it",
            "hf auth login  # or a new HF_TOKEN from https://huggingface.co/settings/tokens",
        )
    return ok("token", place)


def check_port(config: Config) -> Finding:
    """Tell whether the server can listen where it is configured to, or does already."""
    server = config.server
    place = f"{server.host}:{server.port}"
    if server.port == 0:
        return ok("port", "a free one, chosen at each start")
    reason = _refusal(server)
    if reason is None:
        return ok("port", f"{place} is free")
    if reason.errno != errno.EADDRINUSE:
        return problem("port", f"{place}: {reason.strerror or reason}", "universal serve --host 127.0.0.1")
    version = _version_at(server)
    if version is not None:
        return ok("port", f"{place} is served by Universal Runtime {version}")
    return problem(
        "port", f"{place} is taken by another program", f"universal serve --port {server.port + 1}  # or another one"
    )


def _refusal(server: ServerConfig) -> OSError | None:
    """Return why the address cannot be listened on, None where it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
            # Two sockets may be bound to one address, as long as not both listen.
            trial.listen(1)
    except OSError as error:
        return error
    return None


def _version_at(server: ServerConfig) -> str | None:
    """Return the version of the server of ours that listens there, None where another program does."""
    from httpx2 import Client, HTTPError

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)
    host = f"[{host}]" if ":" in host else host
    try:
        # Whose certificate it is does not matter here: nothing is told to it.
        with Client(verify=False, trust_env=False, timeout=PATIENCE) as client:
            answer = client.get(f"{'https' if server.certfile else 'http'}://{host}:{server.port}/health")
        found = msgspec.json.decode(answer.content)
    except (HTTPError, OSError, msgspec.DecodeError):
        return None
    return found.get("version") if isinstance(found, dict) and "loaded_models" in found else None
