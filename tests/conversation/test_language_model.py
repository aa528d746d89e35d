"""A model that writes text, as a plugin's author makes one: what it honours without a word of its own."""

from pieces import Tokens, calls, read
from tiny.answers import chat_request
from universal_core import GenerationRequest, Tool
from universal_core.conversation import (
    Answer,
    ChatTemplate,
    Constraint,
    Dialect,
    Engine,
    LanguageModel,
    Prompter,
    Sequence,
)

SHOWING = (
    "{% for tool in tools or [] %}{{ tool.function.name }}{% endfor %}{% for message in messages %}"
    "{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>"
    "{% endfor %}{% endfor %}<think>"
)


class Silent(LanguageModel):
    @property
    def dialect(self) -> Dialect:
        return self._dialect

    async def _engine_for(self, request: GenerationRequest) -> tuple[Engine, int]:
        raise NotImplementedError

    def _begin(
        self,
        request: GenerationRequest,
        prompt: list[int],
        answer: Answer,
        limit: int,
        constraint: Constraint | None,
    ) -> Sequence:
        raise NotImplementedError


def test_the_dialect_is_the_one_that_the_chat_template_shows() -> None:
    vocabulary = Tokens([])
    dialect = Silent(vocabulary, Prompter(vocabulary, ChatTemplate(SHOWING)), {}).dialect
    request = chat_request("hi", tools=(Tool(name="look"),))
    parser = dialect.parser(request, "<think>")
    assert parser.thinking
    written = 'hm</think><tool_call>\n{"name": "look", "arguments": {}}\n</tool_call>'
    assert calls(read(parser, [written])) == [("look", "{}")]
    assert dialect.grammar(request, "<think>", None) is not None
