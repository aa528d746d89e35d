"""``universal run``: a chat in a terminal, and answers in a pipe."""

import json
import os
import re
import signal
import stat
from pathlib import Path

import pytest

from server import Server, running_server
from terminal import CTRL_C, CTRL_D, ENTER, Terminal, piped, run_alone, terminal
from universal_core.testing.png import make_png

ESCAPE = "\x1b"


def picture(folder: Path, name: str = "fox.png") -> Path:
    path = folder / name
    path.write_bytes(make_png(2, 2, b"\0\0\0"))
    return path


def requests_of(server: Server) -> int:
    return len([line for line in server.lines if "/v1/chat/completions" in line])


def test_a_prompt_is_answered_and_nothing_else_is_printed(asked: Server) -> None:
    done = run_alone("run", "echo/a", "one  two\nthree")
    assert (done.stdout, done.stderr, done.returncode) == ("one  two\nthree\n", "", 0)


def test_what_is_piped_in_is_the_prompt(asked: Server) -> None:
    assert piped("run", "echo/a", given="from a pipe\n").stdout == "from a pipe\n"


def test_what_is_piped_in_follows_the_prompt(asked: Server) -> None:
    assert piped("run", "echo/a", "Sum up:", given="a b c\n").stdout == "Sum up:\n\na b c\n"


def test_thoughts_are_left_out_of_a_pipe(asked: Server) -> None:
    assert piped("run", "echo/a", "think hard\nsay this").stdout == "say this\n"


def test_json_has_the_whole_answer(asked: Server) -> None:
    answer = json.loads(piped("run", "echo/a", "think hard\nsay this", "--json").stdout)
    assert answer["content"] == "say this"
    assert answer["reasoning_content"] == "hard"
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == 3


def test_fields_are_sent_as_they_are_set(asked: Server) -> None:
    done = piped("run", "echo/a", "one two three", "--set", "max_tokens=2", "--verbose")
    assert done.stdout == "one two \n"
    assert "cut off" in done.stderr
    assert re.search(r"1 tokens read, 2 written in [\d.]+ s, the first text after [\d.]+ s", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("run", "org/none", "x"), 1, "universal: model 'org/none' was not found"),
        (("run", "echo/fail", "x"), 1, "this echo model never loads"),
        (("run", "echo/a", "x", "--set", "temprature=1"), 1, "temprature"),
        (("run", "echo/a", "x", "--set", "stream=true"), 2, "stream cannot be set here"),
        (("run", "echo/a", "x", "--set", "temperature"), 2, "expected FIELD=VALUE"),
        (("run", "echo/a"), 2, "there is nothing to answer"),
        (("run", "echo/a", "x", "--attach", "none.png"), 1, "none.png: No such file"),
        (("run", "echo/a", "x", "--attach", "none.doc"), 1, "neither a picture nor a recording"),
    ],
)
def test_what_is_wrong_is_told_in_the_server_s_words(
    asked: Server, arguments: tuple[str, ...], status: int, words: str
) -> None:
    done = piped(*arguments)
    assert (done.exit_code, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_takes_no_pictures_says_so(asked: Server, tmp_path: Path) -> None:
    done = piped("run", "echo/a", f"what is in {picture(tmp_path)}?")
    assert done.exit_code == 1
    assert "does not support images" in done.stderr


@pytest.mark.parametrize("written", ["{}", "'{}'", '"{}"'])
def test_a_picture_is_sent_by_its_path(asked: Server, tmp_path: Path, written: str) -> None:
    path = picture(tmp_path)
    done = piped("run", "reads", f"look at {written.format(path)} please")
    assert done.stdout == f"look at please {path.stat().st_size}\n"


def test_a_word_is_no_path_and_neither_is_what_is_piped_in(asked: Server, tmp_path: Path) -> None:
    path = picture(tmp_path)
    assert piped("run", "reads", "fox.png ./none.png").stdout == "fox.png ./none.png\n"
    assert piped("run", "reads", given=f"see {path}").stdout == f"see {path}\n"


def test_files_are_attached(asked: Server, tmp_path: Path) -> None:
    path, sound = picture(tmp_path), tmp_path / "a.wav"
    sound.write_bytes(b"RIFF")
    done = piped("run", "reads", "both", "--attach", str(path), "--attach", str(sound))
    assert done.stdout == f"both {path.stat().st_size} 4\n"


def test_no_control_characters_reach_a_terminal(asked: Server) -> None:
    with terminal("run", "echo/a", f"a{ESCAPE}[2Jb\x07c\x9bd") as shown:
        shown.expect(r"a\[2Jbcd")
        assert shown.end() == 0
    assert ESCAPE + "[2J" not in shown.shown


def test_a_chat_goes_on_from_what_was_said(asked: Server, tmp_path: Path) -> None:
    with terminal("run", "echo/short") as shown:
        for number in range(2):
            shown.enter(f"question {number}")
            shown.expect(rf"question {number}\r\n.*question {number}\r\n")
        # There is room for four messages, and this is the fifth.
        shown.enter("one more")
        shown.expect("room for 4 messages, not for 5")
        shown.enter("/clear")
        shown.enter("one more")
        shown.expect(r"one more\r\n.*one more\r\n")
        shown.expect(">>> ")
        shown.type(CTRL_D)
        assert shown.end() == 0


def test_ctrl_c_stops_the_answer_and_the_next_question_is_answered(asked: Server, tmp_path: Path) -> None:
    with terminal("run", "stopping") as shown:
        shown.enter("repeat 100000")
        shown.expect(r"1 2 3 ")
        shown.type(CTRL_C)
        shown.expect("stopped")
        shown.enter("still there")
        shown.expect(r"still there\r\n.*still there\r\n")
        shown.enter("/save talk.json")
        shown.expect(">>> ")
        assert shown.leave() == 0
    turns = json.loads((tmp_path / "talk.json").read_bytes())["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 2
    assert turns[1]["content"].startswith("0 1 2 3 ")
    assert turns[3]["content"] == "still there"
    asked.wait_for(r"/v1/chat/completions status=499 .*model=stopping")


def test_ctrl_c_at_a_line_begins_it_anew(asked: Server) -> None:
    with terminal("run", "echo/a") as shown:
        shown.expect(">>> ")
        shown.type("half a")
        shown.expect("half a")
        shown.interrupt()
        shown.type("whole" + ENTER)
        shown.expect(r"whole\r\n.*whole\r\n")
        shown.enter("/exit")
        assert shown.end() == 0


def test_several_lines_stand_between_quotes(asked: Server) -> None:
    with terminal("run", "echo/a") as shown:
        shown.enter('"""first')
        shown.expect(r"\.\.\. ")
        shown.type("second" + ENTER)
        shown.expect(r"\.\.\. ")
        shown.type('third"""' + ENTER)
        shown.expect(r"first\r\nsecond\r\nthird\r\n")
        shown.enter("/exit")
        assert shown.end() == 0


def test_lines_are_remembered_for_the_next_chat_and_for_nobody_else(asked: Server, tmp_path: Path) -> None:
    with terminal("run", "echo/a") as shown:
        shown.enter("remember me")
        shown.enter("/exit")
        shown.end()
    history = tmp_path / ".universal" / "history"
    assert history.read_text() == "remember me\n/exit\n"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    with terminal("run", "echo/a") as shown:
        shown.expect(">>> ")
        shown.type("\x1b[A\x1b[A" + ENTER)
        shown.expect(r"remember me\r\n.*remember me\r\n")
        shown.enter("/exit")
        shown.end()


def test_thoughts_are_dimmed_and_without_colours_marked(asked: Server) -> None:
    for env, expected in (({}, r"\x1b\[2mhard"), ({"NO_COLOR": "1"}, r"\(thinks\) hard")):
        with terminal("run", "echo/a", "think hard\nsay this", env=env) as shown:
            shown.expect(expected)
            shown.expect(r"\r\n\r\nsay this\r\n")
            assert shown.end() == 0


def say(shown: Terminal, line: str, expected: str) -> None:
    shown.enter(line)
    shown.expect(re.escape(line) + r"\r\n(?s:.*?)" + expected)


def test_commands_of_a_chat(asked: Server, tmp_path: Path) -> None:
    path = picture(tmp_path)
    with terminal("run", "reads") as shown:
        say(shown, "/help", r"/retry +Asks the last question again(?s:.*?)Ctrl-C, Ctrl-D")
        say(shown, "/system", "there is no system prompt")
        shown.enter("/system Be brief.")
        say(shown, "/system", r"Be brief\.")
        shown.enter("/set max_tokens 2")
        say(shown, "/set", "max_tokens = 2")
        say(shown, "one two three", r"one two \r\n.*cut off")
        shown.enter("/set max_tokens none")
        say(shown, "/retry", "one two three")
        say(shown, f"/image {path}", "1 for the next question")
        say(shown, "see", rf"see {path.stat().st_size}\r\n")
        say(shown, f"{path} what is it", rf"what is it {path.stat().st_size}\r\n")
        say(shown, "/model", "reads")
        say(shown, "/model org/none", "org/none' was not found")
        shown.enter("/model echo/a")
        say(shown, "/model", "echo/a")
        say(shown, f"/save {tmp_path}/talk.json", "")
        say(shown, f"/save {path}", "is no conversation that /save wrote")
        shown.enter("/clear")
        say(shown, "/retry", "nothing was asked yet")
        say(shown, f"/load {tmp_path}/talk.json", "3 questions")
        say(shown, "/load none.json", "No such file")
        say(shown, "/set stream false", "stream cannot be set here")
        say(shown, "/set top_k", "needs a value")
        say(shown, "/save", "/save needs more: /save FILE")
        say(shown, "/clear all", "/clear stands alone")
        say(shown, "/dance", "there is no /dance here; /help lists what there is")
        shown.enter("/exit")
        assert shown.end() == 0


def test_a_server_that_goes_away_in_an_answer(tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[model.slowly]\nmodel = "echo/slowly"\noptions.delay = 0.05\n')
    with running_server("--config", str(file)) as server, terminal("run", "slowly", "--url", server.url) as shown:
        shown.enter("repeat 100000")
        shown.expect("1 2 3 ")
        children = server.children()
        server.process.kill()
        server.process.wait()
        for child in children:
            child.kill() if child.is_running() else None
        shown.expect("went away, or gave up, before its answer was complete")
        shown.enter("again")
        shown.expect("no server answers on .*: start one with `universal serve`")
        shown.enter("/exit")
        assert shown.end() == 0


def test_an_answer_in_a_pipe_is_stopped_with_status_130(asked: Server) -> None:
    with terminal("run", "slowly", "repeat 100000") as shown:
        shown.expect("1 2 3 ")
        shown.process.send_signal(signal.SIGINT)
        assert shown.end() == 130
    assert "Traceback" not in shown.shown


def test_a_chat_needs_a_terminal(asked: Server) -> None:
    with terminal("run", "echo/a", "--json") as shown:
        assert shown.end() == 2
    assert "a chat needs a terminal" in shown.shown
    assert os.environ["UNIVERSAL_URL"] == asked.url
