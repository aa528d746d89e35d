"""Serving: the address that is bound, and the address that clients are told."""

import socket

import pytest

from universal_core.config import ConfigError, ServerConfig
from universal_core.serve import bind, hypercorn_config, url_of


def test_a_free_port_is_taken_where_none_is_asked_for() -> None:
    with bind(ServerConfig(port=0)) as listener:
        port = listener.getsockname()[1]
        assert port > 0
        assert url_of(ServerConfig(port=0), listener) == f"http://127.0.0.1:{port}"


def test_an_address_for_everybody_is_told_as_one_that_works_here() -> None:
    server = ServerConfig(host="0.0.0.0", port=0)
    with bind(server) as listener:
        assert url_of(server, listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_an_address_with_a_certificate_is_told_as_such() -> None:
    server = ServerConfig(port=0, certfile="cert.pem", keyfile="key.pem")
    with bind(server) as listener:
        assert url_of(server, listener).startswith("https://127.0.0.1:")
        config = hypercorn_config(server, listener)
        assert (config.certfile, config.keyfile) == ("cert.pem", "key.pem")


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_an_address_of_ipv6_is_told_in_brackets() -> None:
    server = ServerConfig(host="::1", port=0)
    try:
        listener = bind(server)
    except ConfigError:
        pytest.skip("this machine has no IPv6 address")
    with listener:
        assert url_of(server, listener) == f"http://[::1]:{listener.getsockname()[1]}"


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with bind(ServerConfig(port=0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(
            ConfigError, match=f"cannot listen on 127.0.0.1:{port}: .*; choose another --host or --port"
        ):
            bind(ServerConfig(port=port))


def test_a_server_that_stopped_leaves_its_port_to_the_next() -> None:
    with bind(ServerConfig(port=0)) as listener:
        port = listener.getsockname()[1]
    with bind(ServerConfig(port=port)):
        pass
