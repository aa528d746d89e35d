"""The configuration: where values come from, which one counts, and what is said of a wrong one."""

from pathlib import Path

import pytest

from universal_core.config import Config, ConfigError, load, settings


def write(folder: Path, text: str, name: str = "settings.toml") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def test_defaults_are_the_documented_ones() -> None:
    config = load(environment={}).config
    assert (config.server.host, config.server.port) == ("127.0.0.1", 11540)
    assert (config.pool.unload_timeout, config.pool.cleanup_interval) == (300.0, 30.0)
    assert config.models.runtime_backend == "pytorch"
    assert config == Config()


def test_a_default_has_no_origin() -> None:
    loaded = load(environment={})
    assert (loaded.origins, loaded.file) == ({}, None)


def test_a_flag_counts_more_than_a_variable_and_that_more_than_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "[server]\nhost = '1.1.1.1'\nport = 1\nkeepalive = 7\n")
    environment = {"UNIVERSAL_RUNTIME_HOST": "2.2.2.2", "UNIVERSAL_RUNTIME_PORT": "2"}
    loaded = load(file, environment, {"server.port": 3})
    assert (loaded.config.server.keepalive, loaded.config.server.host, loaded.config.server.port) == (7.0, "2.2.2.2", 3)
    assert loaded.origins == {
        "server.keepalive": file,
        "server.host": "environment UNIVERSAL_RUNTIME_HOST",
        "server.port": "command line --port",
    }
    assert loaded.file == file


@pytest.mark.parametrize(
    ("variable", "text", "section", "field", "value"),
    [
        ("UNIVERSAL_RUNTIME_HOST", "0.0.0.0", "server", "host", "0.0.0.0"),
        ("UNIVERSAL_RUNTIME_PORT", "8000", "server", "port", 8000),
        ("MODEL_UNLOAD_TIMEOUT", "60", "pool", "unload_timeout", 60.0),
        ("CLEANUP_CHECK_INTERVAL", "0.5", "pool", "cleanup_interval", 0.5),
        ("RUNTIME_BACKEND", "llama.cpp", "models", "runtime_backend", "llama.cpp"),
        ("UNIVERSAL_RUNTIME_SERVER_PORT", "8000", "server", "port", 8000),
        ("UNIVERSAL_RUNTIME_POOL_MEMORY_LIMIT", "1000", "pool", "memory_limit", 1000),
        ("UNIVERSAL_RUNTIME_POOL_MEMORY_LIMIT", "none", "pool", "memory_limit", None),
        ("UNIVERSAL_RUNTIME_WORKERS_FORK", "off", "workers", "fork", False),
        ("UNIVERSAL_RUNTIME_WORKERS_FORK", "TRUE", "workers", "fork", True),
        ("UNIVERSAL_RUNTIME_PLUGINS_BLOCK", "a, b,,", "plugins", "block", ("a", "b")),
        ("UNIVERSAL_RUNTIME_MODELS_DEFAULT", "org/m", "models", "default", "org/m"),
        ("UNIVERSAL_RUNTIME_LOGGING_FORMAT", "json", "logging", "format", "json"),
    ],
)
def test_a_variable_sets_a_value(variable: str, text: str, section: str, field: str, value: object) -> None:
    loaded = load(environment={variable: text, "UNRELATED": "x"})
    assert getattr(getattr(loaded.config, section), field) == value
    assert loaded.origins == {f"{section}.{field}": f"environment {variable}"}


def test_every_setting_has_a_variable_a_flag_and_a_description_of_its_own() -> None:
    found = list(settings())
    assert all(setting.description.endswith(".") for setting in found)
    assert len({setting.flag for setting in found}) == len({setting.variable for setting in found}) == len(found)
    flags = {setting.name: setting.flag for setting in found}
    assert (flags["server.port"], flags["workers.device"], flags["pool.unload_timeout"]) == (
        "--port",
        "--device",
        "--pool-unload-timeout",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[sever]\nport = 1", r"unknown section \[sever\]; did you mean server\?"),
        ("[qqqq]\nport = 1", r"unknown section \[qqqq\]; known are .*pool.*server"),
        ("[server]\nprot = 1", r"unknown field server.prot; did you mean port\?"),
        ("[pool]\nzzz = 1", "unknown field pool.zzz; known are cleanup_interval"),
        ("port = 1", r"unknown section \[port\]"),
        ("server = 1", r"server is a section; write \[server\]"),
        ("[server]\nport = 'x'", "server.port: Expected int, got str"),
        ("[server]\nport = 70000", "server.port: Expected int <= 65535"),
        ("[pool]\nunload_timeout = -1", "pool.unload_timeout: Expected float >= 0"),
        ("[logging]\nlevel = 'loud'", "logging.level: .*loud"),
        ("[model.m]\npinnde = true", r"unknown field pinnde; did you mean pinned\?"),
        ("[server\n", "settings.toml: "),
        ("[server]\nhost = '\x00'", "settings.toml: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(write(tmp_path, text), {})


@pytest.mark.parametrize("text", ["[server]\nport = 'x'", "[server]\nprot = 1", "[model.mine]\npinned = 'x'"])
def test_a_wrong_value_in_a_file_is_told_with_the_files_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        load(write(tmp_path, text), {})


def test_a_wrong_value_of_a_model_is_told_with_the_models_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mine"):
        load(write(tmp_path, "[model.mine]\npinned = 'x'"), {})


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("UNIVERSAL_RUNTIME_PROT", "1", "unknown environment variable UNIVERSAL_RUNTIME_PROT; did you mean .*PORT"),
        ("UNIVERSAL_RUNTIME_PORT", "eighty", "UNIVERSAL_RUNTIME_PORT: expected a number, got 'eighty'"),
        ("UNIVERSAL_RUNTIME_WORKERS_FORK", "maybe", "UNIVERSAL_RUNTIME_WORKERS_FORK: expected true or false"),
        ("UNIVERSAL_RUNTIME_PORT", "-1", "environment UNIVERSAL_RUNTIME_PORT: server.port: Expected int >= 0"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_with_what_is_wrong(variable: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load(environment={variable: text})


def test_a_file_that_is_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml does not exist"):
        load(str(tmp_path / "nowhere.toml"), {})


def test_a_file_in_the_current_folder_is_read_without_asking(tmp_path: Path) -> None:
    write(tmp_path, "[server]\nport = 5\n", "universal.toml")
    loaded = load(environment={})
    assert (loaded.config.server.port, loaded.file) == (5, "universal.toml")


def test_a_file_in_the_home_folder_is_read_where_there_is_none_here(tmp_path: Path) -> None:
    (tmp_path / ".universal").mkdir()
    write(tmp_path / ".universal", "[server]\nport = 6\n", "universal.toml")
    assert load(environment={}).config.server.port == 6


def test_models_are_configured_by_name(tmp_path: Path) -> None:
    text = '[model."org/repo:Q4"]\npinned = true\nbackend = "b"\n[model.short]\nmodel = "org/long"\noptions = {n = 3}\n'
    config = load(write(tmp_path, text), {}).config
    assert (config.model["org/repo:Q4"].pinned, config.model["org/repo:Q4"].backend) == (True, "b")
    assert (config.model["short"].model, config.model["short"].options) == ("org/long", {"n": 3})


def test_a_model_has_fields_for_the_options_that_most_backends_have(tmp_path: Path) -> None:
    file = write(tmp_path, "[model.a]\nslots = 2\ncontext = 512\ndevice = 'cpu'\ndtype = 'float32'\n[model.b]\n")
    config = load(file, {}).config
    assert config.model["a"].shortcuts == {"slots": 2, "n_ctx": 512, "device": "cpu", "dtype": "float32"}
    assert config.model["b"].shortcuts == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("context = 5\noptions = {n_ctx = 5}", "{file}: model.a: context and options.n_ctx are the same; write one"),
        ("device = 'cpu'\noptions = {device = 'cpu'}", "device and options.device are the same"),
        ("slots = 0", "{file}: model.a.slots: Expected int >= 1"),
        ("unload_timeout = -1", "model.a.unload_timeout: Expected float >= 0"),
        ("defaults = 5", "model.a.defaults: Expected object, got int"),
        ("unload_timeuot = 1", "unknown field unload_timeuot; did you mean unload_timeout?"),
    ],
)
def test_what_is_wrong_with_a_model_is_told_with_the_file(tmp_path: Path, fields: str, words: str) -> None:
    file = write(tmp_path, f"[model.a]\n{fields}\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert words.format(file=file) in caught.value.message


def test_the_same_sources_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "[pool]\nqueue_limit = 5\n")
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "7")
    loaded = load(file, flags={"server.host": "1.1.1.1"})
    # What the server itself tells its workers by variables is no source.
    monkeypatch.setenv("UNIVERSAL_RUNTIME_PORT", "8")
    write(tmp_path, "[pool]\nqueue_limit = 6\n")
    again = loaded.sources.read()
    assert (again.config.pool.queue_limit, again.config.server.port, again.config.server.host) == (6, 7, "1.1.1.1")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "settings.toml"
    folder.mkdir()
    with pytest.raises(ConfigError, match="does not exist"):
        load(str(folder), {})
