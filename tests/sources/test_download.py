"""Files on their way into the HuggingFace cache, through the hub's real client and a small hub that has bad days."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_server import Hub, point_to, running_hub
from universal_core import Claim, ModelInfo, ModelNotFound, ModelRef, Progress
from universal_core.errors import Forbidden, InsufficientDisk, LoadFailed
from universal_core.sources import space
from universal_core.sources.hub import fetch_model, find_model

WEIGHTS = os.urandom(300_000)
FILES = {"config.json": b"{}", "tokenizer.json": b'{"a": 1}', "model.safetensors": WEIGHTS, "pytorch_model.bin": b"b"}
CLAIM = Claim(backend="any", tasks=("chat",), reason="a test", files=("*.json", "*.safetensors", "*.gguf"))


@pytest.fixture(scope="module")
def running() -> Iterator[Hub]:
    with running_hub() as found:
        yield found


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(running: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import close_session

    point_to(monkeypatch, running.url, cache)
    running.forget()
    close_session()
    yield running
    running.mend()
    close_session()


def look(text: str) -> ModelInfo:
    found = find_model(ModelRef.parse(text))
    assert found is not None
    return found


def fetch(text: str, *files: str) -> tuple[Path, list[Progress]]:
    told: list[Progress] = []
    claim = Claim(backend="any", tasks=("chat",), reason="a test", files=files) if files else CLAIM
    info = fetch_model(look(text), claim, told.append)
    assert info is not None
    return Path(info.path or ""), told


def blobs(cache: Path, repo: str) -> dict[str, Path]:
    folder = cache / f"models--{repo.replace('/', '--')}" / "blobs"
    return {path.name: path for path in folder.glob("*")}


def test_the_cache_is_laid_out_as_the_hubs_own_client_does_it(hub: Hub, cache: Path) -> None:
    from huggingface_hub import scan_cache_dir, snapshot_download

    commit = hub.add("org/laid", FILES)
    folder, _ = fetch("org/laid")
    assert folder == cache / "models--org--laid" / "snapshots" / commit
    link = folder / "model.safetensors"
    assert str(link.readlink()) == f"../../blobs/{hashlib.sha256(WEIGHTS).hexdigest()}"
    assert Path(snapshot_download("org/laid", local_files_only=True)) == folder
    scan = scan_cache_dir(cache)
    assert not scan.warnings
    [repo] = scan.repos
    assert (repo.repo_id, repo.size_on_disk, repo.nb_files) == ("org/laid", sum(map(len, FILES.values())) - 1, 3)
    hub.forget()
    snapshot_download("org/laid", allow_patterns=["*.json", "*.safetensors"])
    assert hub.count("/resolve/") == 0


def test_names_of_blobs_are_the_hubs_checksums(hub: Hub, cache: Path) -> None:
    from huggingface_hub import hf_hub_download

    hub.add("org/sums", FILES)
    folder, _ = fetch("org/sums")
    theirs = cache.parent / "theirs"
    for name in ("config.json", "model.safetensors"):
        other = Path(hf_hub_download("org/sums", name, cache_dir=theirs))
        assert other.resolve().name == (folder / name).resolve().name


def test_a_connection_that_is_cut_is_taken_up_where_it_broke(hub: Hub) -> None:
    hub.add("org/cut", FILES)
    hub.cuts["model.safetensors"] = [100_000, 50_000]
    folder, _ = fetch("org/cut")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    starts = [start for file, start in hub.ranges if file == "model.safetensors"]
    assert len(starts) == 2
    assert 0 < starts[0] <= 100_000 < starts[1] + 50_000


def test_what_is_left_of_a_file_is_not_asked_for_again(hub: Hub, cache: Path) -> None:
    hub.add("org/part", FILES)
    partial = cache / "models--org--part" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(WEIGHTS[:123_456])
    folder, _ = fetch("org/part")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == [("model.safetensors", 123_456)]
    assert not partial.exists()


def test_a_server_that_knows_no_ranges_sends_the_whole_file(hub: Hub, cache: Path) -> None:
    hub.add("org/rangeless", FILES)
    hub.rangeless.add("model.safetensors")
    hub.cuts["model.safetensors"] = [100_000]
    folder, _ = fetch("org/rangeless")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


def test_more_than_the_file_can_be_is_begun_afresh(hub: Hub, cache: Path) -> None:
    hub.add("org/more", FILES)
    partial = cache / "models--org--more" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(WEIGHTS + b"more")
    folder, _ = fetch("org/more")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_damaged_file_is_removed_and_fetched_again_by_the_next_try(hub: Hub, cache: Path, file: str) -> None:
    hub.add("org/damaged", FILES)
    hub.damaged.add(file)
    with pytest.raises(LoadFailed, match=rf"{file} arrived damaged: expected .* the next try fetches it again"):
        fetch("org/damaged")
    assert not (cache / "models--org--damaged" / "refs").exists()
    assert look("org/damaged").source == "HuggingFace hub"
    hub.mend()
    folder, _ = fetch("org/damaged")
    assert (folder / file).read_bytes() == FILES[file]


def test_a_damaged_rest_of_a_file_is_noticed_too(hub: Hub, cache: Path) -> None:
    hub.add("org/rest", FILES)
    partial = cache / "models--org--rest" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    with pytest.raises(LoadFailed, match="arrived damaged"):
        fetch("org/rest")
    assert not partial.exists()
    fetch("org/rest")


def test_nothing_that_came_before_an_error_looks_like_a_model(hub: Hub, cache: Path) -> None:
    commit = hub.add("org/half", FILES)
    hub.damaged.add("tokenizer.json")
    with pytest.raises(LoadFailed):
        fetch(f"org/half@{commit}")
    snapshot = cache / "models--org--half" / "snapshots" / commit
    assert not (snapshot / "model.safetensors").exists()
    assert look(f"org/half@{commit}").source == "HuggingFace hub"


def test_a_model_that_is_there_in_part_is_refused_offline(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/torn", FILES)
    hub.damaged.add("model.safetensors")
    with pytest.raises(LoadFailed):
        fetch("org/torn")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound, match=r"has a part of org/torn only .*its download did not finish.* is offline"):
        look("org/torn")


def test_what_another_tool_left_half_done_is_refused_offline_too(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.add("org/theirs", FILES)
    folder = cache / "models--org--theirs"
    for place in (folder / "refs", folder / "snapshots" / commit, folder / "blobs"):
        place.mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit / "config.json").write_bytes(b"{}")
    (folder / "blobs" / "abc.12345678.incomplete").write_bytes(b"w")
    assert look("org/theirs").source == "HuggingFace hub"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelNotFound, match=r"its weights missing.*the server is offline"):
        look("org/theirs")
    (folder / "snapshots" / commit / "model-00001-of-00002.safetensors").write_bytes(b"1")
    with pytest.raises(ModelNotFound, match=re.escape("model-00002-of-00002.safetensors missing")):
        look("org/theirs")


def test_an_index_of_weights_in_another_format_asks_for_nothing(hub: Hub) -> None:
    def index(name: str) -> bytes:
        return f'{{"weight_map": {{"a": "{name}"}}}}'.encode()

    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": index("model-1.safetensors"),
        "pytorch_model.bin.index.json": index("pytorch_model-1.bin"),
        "model-1.safetensors": b"s",
        "pytorch_model-1.bin": b"b",
    }
    hub.add("org/indexed", files)
    fetch("org/indexed")
    hub.forget()
    assert look("org/indexed").source == "HuggingFace cache"
    assert hub.requests == []


def test_a_cache_without_links_has_each_file_once(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, snapshot_download

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_SYMLINKS", True)
    hub.add("org/plain", {**FILES, "again.json": FILES["tokenizer.json"]})
    folder, _ = fetch("org/plain")
    for name in ("config.json", "tokenizer.json", "again.json", "model.safetensors"):
        assert (folder / name).is_file()
        assert not (folder / name).is_symlink()
    assert blobs(cache, "org/plain") == {}
    assert Path(snapshot_download("org/plain", local_files_only=True)) == folder
    assert look("org/plain").source == "HuggingFace cache"


def test_files_of_one_content_are_fetched_once(hub: Hub) -> None:
    hub.add("org/same", {"config.json": b"{}", "a.safetensors": WEIGHTS, "b/a.safetensors": WEIGHTS})
    folder, _ = fetch("org/same")
    assert (folder / "b/a.safetensors").read_bytes() == (folder / "a.safetensors").read_bytes() == WEIGHTS
    assert hub.count("GET /storage/") == 1


@pytest.mark.parametrize("part", ["GET /api/models", "HEAD /org/busy/resolve", "GET /storage"])
def test_a_hub_that_asks_for_patience_is_asked_again(hub: Hub, part: str) -> None:
    hub.add("org/busy", FILES)
    hub.refuse(part, 429, times=2, retry_after="0")
    folder, _ = fetch("org/busy")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("part", ["GET /api/models", "HEAD /org/full/resolve", "GET /storage"])
def test_a_hub_that_asks_for_minutes_of_patience_is_not_waited_for(hub: Hub, part: str) -> None:
    hub.add("org/full", FILES)
    hub.refuse(part, 429, times=20, retry_after="300")
    with pytest.raises(LoadFailed, match=r"too many requests from here \(429\) and asks to wait 300 s") as raised:
        fetch("org/full")
    assert raised.value.retry_after == 300


def test_a_token_that_is_not_good_any_more_is_told_as_such(hub: Hub) -> None:
    hub.add("org/closed", FILES)
    info = look("org/closed")
    hub.gated.add("org/closed")
    with pytest.raises(Forbidden, match="make a token"):
        fetch_model(info, CLAIM, lambda progress: None)
    hub.gated.clear()


def test_what_does_not_fit_on_the_disk_is_refused_before_it_is_fetched(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"m-Q2_K.gguf": 100_000, "m-Q4_K_M.gguf": 200_000, "m-Q8_0.gguf": 400_000, "mmproj-F16.gguf": 10}
    hub.add("org/large", {name: os.urandom(size) for name, size in sizes.items()})
    monkeypatch.setattr(space, "_free", lambda folder: space.MARGIN + 250_000)
    hub.forget()
    with pytest.raises(InsufficientDisk) as raised:
        fetch("org/large:Q8_0", "m-Q8_0.gguf")
    for part in (
        "org/large:Q8_0 needs 400.0 KB more on the disk of",
        str(cache),
        "64.2 MB are free there",
        "`universal rm MODEL`",
        "hub.cache",
        "or take org/large:Q4_K_M (200.0 KB), which fits",
    ):
        assert part in raised.value.message
    assert hub.count("GET /storage") == 0
    fetch("org/large:Q4_K_M", "m-Q4_K_M.gguf")


def test_what_is_here_of_a_file_counts_when_the_disk_is_looked_at(
    hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add("org/nearly", FILES)
    partial = cache / "models--org--nearly" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(WEIGHTS[:290_000])
    info = look("org/nearly")
    monkeypatch.setattr(space, "_free", lambda folder: space.MARGIN + 10_000)
    with pytest.raises(InsufficientDisk, match=r"needs 10.0 KB more .* \(of 300.0 KB, 290.0 KB are here\)"):
        fetch_model(info, CLAIM, lambda progress: None)
    monkeypatch.setattr(space, "_free", lambda folder: space.MARGIN + 10_100)
    fetch("org/nearly")


def test_a_disk_that_fills_up_meanwhile_is_told_as_such(hub: Hub, cache: Path) -> None:
    hub.add("org/filled", FILES)
    partial = cache / "models--org--filled" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.symlink_to("/dev/full")
    with pytest.raises(InsufficientDisk, match="became full while org/filled was downloaded"):
        fetch("org/filled")


def test_a_name_that_leads_out_of_the_cache_is_refused(hub: Hub, cache: Path) -> None:
    hub.add("org/evil", {"config.json": b"{}", "../../../evil.json": b"{}"})
    with pytest.raises(LoadFailed, match=r"which is not a name inside a folder"):
        fetch("org/evil")
    assert not list(cache.parent.rglob("evil.json"))


@pytest.fixture
def xet(hub: Hub, tmp_path: Path) -> Hub:
    """The weights as the hub keeps most now: in chunks, read by hf_xet, here from a folder."""
    pytest.importorskip("hf_xet")
    (tmp_path / "xet").mkdir()
    hub.keep_in_chunks(tmp_path / "xet", WEIGHTS)
    return hub


def test_files_in_chunks_are_fetched_and_counted(xet: Hub) -> None:
    xet.add("org/chunks", FILES)
    folder, told = fetch("org/chunks")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert xet.count("GET /storage") == 0
    assert told[-1].fraction == 1.0


def test_a_file_in_chunks_is_taken_up_where_it_was_left(xet: Hub, cache: Path) -> None:
    xet.add("org/chunked", FILES)
    partial = cache / "models--org--chunked" / "blobs" / f"{hashlib.sha256(WEIGHTS).hexdigest()}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(WEIGHTS[:123_456])
    folder, _ = fetch("org/chunked")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert xet.count("GET /storage") == 0


def test_where_xet_fails_http_goes_on(xet: Hub) -> None:
    xet.add("org/unchunked", FILES)
    xet.refuse("xet-read-token", 403, times=50)
    folder, _ = fetch("org/unchunked")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert xet.count("GET /storage") == 1


def test_without_xet_files_in_chunks_come_over_http(xet: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    xet.add("org/disabled", FILES)
    fetch("org/disabled")
    assert (xet.count("xet-read-token"), xet.count("GET /storage")) == (0, 1)
