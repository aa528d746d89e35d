"""The commands that ask a server for vectors, texts, speech and pictures, and how fast it is."""

import json
from pathlib import Path

import pytest

from server import Server
from terminal import CTRL_C, piped, terminal
from universal_core.cli.bench import as_json
from universal_core.cli.measuring import Round, Sample


def printed(*arguments: str, given: str | None = None) -> str:
    done = piped(*arguments, given=given)
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def refused(*arguments: str, status: int = 1) -> str:
    done = piped(*arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    return done.stderr


def test_vectors_are_shown_with_their_dimensions_and_first_values(asked: Server) -> None:
    lines = printed("embed", "echo/a", "abc", "a b").splitlines()
    assert lines == ["TEXT\tDIMENSIONS\tFIRST VALUES", "abc\t2\t3.0000 97.0000", "a b\t2\t3.0000 97.0000"]


def test_lines_are_embedded_in_order_and_json_has_all(asked: Server) -> None:
    lines = ["x" * (at % 7 + 1) for at in range(300)]
    found = json.loads(printed("embed", "echo/a", "--json", given="\n".join(lines)))
    assert [item["embedding"] for item in found["data"]] == [[len(line), ord("x")] for line in lines]
    assert [item["index"] for item in found["data"]] == list(range(300))
    assert found["usage"]["total_tokens"] == 300


def test_nothing_to_embed_and_what_the_server_refuses(asked: Server) -> None:
    assert "there is nothing to embed" in refused("embed", "echo/a", status=2)
    assert "dimensions" in refused("embed", "echo/a", "x", "--set", "dimensions=0")


@pytest.fixture
def recording(tmp_path: Path) -> str:
    file = tmp_path / "talk.wav"
    file.write_text("well said")
    return str(file)


def test_a_recording_is_written_down_by_the_only_model_for_that(asked: Server, recording: str) -> None:
    assert printed("transcribe", recording) == "well said\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--format", "srt"), "1\n00:00:00,000 --> 00:00:01,000\nwell\n\n2\n00:00:01,000 --> 00:00:02,000\nsaid\n"),
        (("--format", "vtt"), "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nwell\n"),
        (("--language", "German"), "well in de said in de\n"),
    ],
)
def test_a_recording_is_written_down_in_other_ways(
    asked: Server, recording: str, arguments: tuple[str, ...], expected: str
) -> None:
    assert printed("transcribe", recording, "--model", "ears", *arguments).startswith(expected)


@pytest.mark.parametrize("flags", [("--json",), ("--format", "json")])
def test_json_of_a_recording_has_times(asked: Server, recording: str, flags: tuple[str, ...]) -> None:
    found = json.loads(printed("transcribe", recording, *flags))
    assert found["text"] == "well said"
    assert [segment["end"] for segment in found["segments"]] == [1.0, 2.0]


def test_recordings_that_cannot_be_written_down(asked: Server, recording: str, tmp_path: Path) -> None:
    assert "does not exist" in refused("transcribe", "none.wav", status=2)
    assert "echo/a cannot be used for transcribe" in refused("transcribe", recording, "--model", "echo/a")
    assert "cannot be used for translate" in refused("transcribe", recording, "--model", "ears", "--translate")
    assert "exclude each other" in refused("transcribe", recording, "--json", "--format", "srt", status=2)
    assert "timestamp_granularities" in refused("transcribe", recording, "--json", "--words")
    Path(recording).write_text("well fail said")
    assert piped("transcribe", recording).exit_code == 1


def test_a_text_is_spoken_into_a_file_of_the_format_of_its_name(asked: Server, tmp_path: Path) -> None:
    for suffix, format in ((".mp3", "mp3"), (".ogg", "opus"), (".wav", "wav")):
        file = tmp_path / f"said{suffix}"
        assert printed("speak", "well said", "-o", str(file), "--voice", "two", "--speed", "2") == f"{file}\n"
        assert file.read_text() == f"{format} two 2.0 well;{format} two 2.0 said;"
    assert sorted(path.suffix for path in tmp_path.glob("*said*")) == [".mp3", ".ogg", ".wav"]


def test_what_is_piped_in_is_spoken_and_json_tells_the_size(asked: Server, tmp_path: Path) -> None:
    file = tmp_path / "said.pcm"
    found = json.loads(printed("speak", "-o", str(file), "--json", given="one two\n"))
    assert found == {"file": str(file), "bytes": file.stat().st_size, "format": "pcm"}


def test_a_file_that_is_there_is_overwritten_only_when_told_to(asked: Server, tmp_path: Path) -> None:
    file = tmp_path / "said.mp3"
    file.write_text("mine")
    assert f"{file} exists; name another file, or overwrite it with --force" in refused("speak", "x", "-o", str(file))
    assert file.read_text() == "mine"
    printed("speak", "x", "-o", str(file), "--force")
    assert file.read_text() == "mp3 None 1.0 x;"


def test_speech_that_fails_leaves_no_file(asked: Server, tmp_path: Path) -> None:
    file = tmp_path / "said.mp3"
    assert piped("speak", "well fail", "-o", str(file)).exit_code in (1, 3)
    assert "there is no 'three'" in refused("speak", "x", "-o", str(file), "--voice", "three")
    assert "expected a file named *.mp3" in refused("speak", "x", "-o", "said.txt", status=2)
    assert "there is nothing to speak" in refused("speak", "-o", str(file), status=2)
    assert "there is no folder" in refused("speak", "x", "-o", str(tmp_path / "none" / "a.mp3"))
    assert [path for path in tmp_path.iterdir() if "said" in path.name] == []


def test_a_picture_is_made_and_its_seed_told(asked: Server, tmp_path: Path) -> None:
    file = tmp_path / "fox.png"
    arguments = (
        "image",
        "a fox",
        "-o",
        str(file),
        "--seed",
        "7",
        "--size",
        "16x8",
        "--steps",
        "2",
        "--model",
        "echo/a",
    )
    assert printed(*arguments) == f"{file}  seed 7  16x8\n"
    assert file.read_bytes().startswith(b"\x89PNG")
    assert "exists" in refused(*arguments)
    printed(*arguments, "--force")


def test_several_pictures_get_numbers(asked: Server, tmp_path: Path) -> None:
    found = json.loads(
        printed(
            "image", "a fox", "-o", str(tmp_path / "fox.png"), "-n", "3", "--seed", "5", "--json", "--model", "echo/a"
        )
    )
    assert [picture["seed"] for picture in found] == [5, 6, 7]
    assert [picture["file"] for picture in found] == [str(tmp_path / f"fox-{at}.png") for at in (1, 2, 3)]
    assert all(Path(picture["file"]).is_file() for picture in found)


def test_pictures_that_cannot_be_made(asked: Server, tmp_path: Path) -> None:
    file = str(tmp_path / "fox.png")
    assert "size: expected" in refused("image", "a fox", "-o", file, "--size", "big", "--model", "echo/a")
    assert "the echo backend makes png alone" in refused(
        "image", "a fox", "-o", str(tmp_path / "fox.webp"), "--model", "echo/a"
    )
    assert "the model failed in generate_image" in refused("image", "fail a fox", "-o", file, "--model", "echo/a")
    assert list(tmp_path.glob("*fox*")) == []


def test_steps_of_a_picture_are_shown_in_a_terminal_and_ctrl_c_ends_it(asked: Server, tmp_path: Path) -> None:
    arguments = ("image", "wait for it", "-o", str(tmp_path / "fox.png"), "--model", "slowly")
    with terminal(*arguments) as shown:
        shown.expect("step 2 of 4")
        shown.type(CTRL_C)
        assert shown.end() == 130
    assert "Traceback" not in shown.shown
    assert list(tmp_path.glob("*fox*")) == []


def test_the_speed_of_a_server_is_a_table(asked: Server) -> None:
    arguments = ("bench", "echo/a", "--clients", "1,3", "--requests", "2", "--prompt", "20", "--tokens", "5")
    head, one, three = (line.split("\t") for line in printed(*arguments).splitlines())
    assert head[:3] == ["CLIENTS", "REQUESTS", "TOKENS/S"]
    assert (one[0], one[1], one[-1]) == ("1", "2", "10")
    assert (three[0], three[1], three[-1]) == ("3", "6", "30")
    assert all(float(cell) >= 0 for cell in (*one[2:7], *three[2:7]))


def test_the_speed_as_json_and_what_cannot_be_measured(asked: Server) -> None:
    found = json.loads(printed("bench", "echo/a", "--clients", "2", "--requests", "1", "--prompt", "9", "--json"))
    (only,) = found["rounds"]
    assert found["url"] == asked.url
    assert (only["clients"], only["requests"], only["failed"]) == (2, 2, 0)
    assert only["tokens_per_second"] == pytest.approx(only["completion_tokens"] / only["seconds"])
    assert "was not found" in refused("bench", "org/none")
    assert "expected numbers such as 1,4,8" in refused("bench", "echo/a", "--clients", "1,x", status=2)


def test_the_table_of_a_terminal_and_ctrl_c_in_a_measurement(asked: Server) -> None:
    with terminal("bench", "echo/a", "--clients", "1", "--requests", "1", "--tokens", "3") as shown:
        shown.expect(r"CLIENTS(?s:.*)TOKENS/S(?s:.*)\n +1 +1 +[\d.]+ ")
        assert shown.end() == 0
    with terminal("bench", "slowly", "--clients", "2", "--prompt", "200", "--tokens", "200") as shown:
        shown.expect("2 at once|warming up")
        shown.type(CTRL_C)
        assert shown.end() == 130
    assert "Traceback" not in shown.shown


def test_shares_are_those_of_the_nearest_rank() -> None:
    samples = [Sample(first=at / 10, seconds=at / 10 + 1.0, read=3, written=3) for at in range(1, 21)]
    found = as_json(Round(clients=1, seconds=2.0, samples=samples, failures=[]))
    assert found["first_token"] == {"p50": pytest.approx(1.0), "p95": pytest.approx(1.9)}
    assert found["per_token"]["p50"] == pytest.approx(0.5)
    assert found["tokens_per_second"] == pytest.approx(30.0)
