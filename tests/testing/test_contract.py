"""The echo backend keeps the contract, and the contract notices backends that do not."""

import msgspec
import pytest

from universal_core import ChatRequest, Finish, Request, Text, Usage
from universal_core.testing import BackendContract, chat_request
from universal_core.testing.contract import check_order


class TestEcho(BackendContract):
    model = "echo/contract"

    def long_request(self, task: str) -> Request | None:
        found = super().long_request(task)
        return chat_request("repeat 100000", 100000) if isinstance(found, ChatRequest) else found


def test_text_after_the_finish_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="after answer 0 had finished"):
        check_order([Finish(reason="stop"), Text(text="late")], chat_request("x", 1))


def test_an_answer_without_a_finish_breaks_the_contract() -> None:
    request = msgspec.structs.replace(chat_request("x", 1), n=2)
    with pytest.raises(AssertionError, match=r"answers \[0\] of 2"):
        check_order([Text(text="a"), Finish(reason="stop")], request)


def test_usage_told_twice_breaks_the_contract() -> None:
    with pytest.raises(AssertionError, match="once"):
        check_order([Finish(reason="stop"), Usage(), Usage()], chat_request("x", 1))
