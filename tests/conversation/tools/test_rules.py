"""Calls under a grammar: a model that writes anything at all calls validly, in every format."""

import json
from random import Random
from typing import Any

import pytest
from jsonschema import validate

from calling import AT_THE_START, SCHEMAS, WRITTEN, asking, told
from pieces import END, Tokens, allows, calls, content, fits, read
from universal_core import BadRequest, ChatRequest, ResponseFormat, Tool
from universal_core.conversation import Constraint, Dialect, TaggedDialect
from universal_core.conversation.forms import grammar_of
from universal_core.conversation.grammars import Grammars
from universal_core.conversation.tools import FORMATS

WORDS = ['": ', '{"', '"}', "}}", '", "', "get_weather", '{"name": "', "write", "now", ">\n", "</tool", "arguments"]
MOST = 500
LIKELY = frozenset(b'"}]>),')
UNLIKELY = frozenset(b"\r\t \n")


class Model:
    """A dialect over a vocabulary whose special tokens are the format's markers, or which has none."""

    def __init__(self, name: str, *, special: bool = True) -> None:
        self.name = name
        self.markers = FORMATS[name].markers if special else ()
        self.vocabulary = Tokens(self.markers, WORDS)
        self.dialect: Dialect = TaggedDialect(self.vocabulary, None, None, FORMATS[name])
        self.grammars = Grammars(self.vocabulary)

    def constraint(self, request: ChatRequest) -> Constraint:
        """Return what an answer to a request must follow."""
        form = grammar_of(request.response_format) if request.response_format else None
        grammar = self.dialect.grammar(request, "", form)
        assert grammar is not None
        return self.grammars.follow(grammar)

    def write(self, request: ChatRequest, seed: int, *begun: int) -> tuple[str, bool]:
        """Return what a random model writes behind the tokens that it began with, and whether it came to an end."""
        random, constraint, tokens = Random(seed), self.constraint(request), list(begun)
        for token in begun:
            assert allows(constraint, token)
            constraint.accept(token)
        for _ in range(MOST):
            options = [token for token in range(self.vocabulary.size) if allows(constraint, token)]
            (token,) = random.choices(options, [_weight(token) for token in options])
            if token == END:
                return self.vocabulary.decode_all(tokens), True
            tokens.append(token)
            constraint.accept(token)
        return self.vocabulary.decode_all(tokens), False

    def read(self, request: ChatRequest, text: str) -> tuple[list[tuple[str, Any]], str]:
        """Return the calls and the content of a turn."""
        pieces = read(self.dialect.parser(request, ""), [text])
        letters = read(self.dialect.parser(request, ""), text)
        assert (calls(letters), content(letters)) == (calls(pieces), content(pieces))
        return told(calls(pieces)), content(pieces)


def _weight(token: int) -> float:
    if token > END:
        return 2.0
    return 3.0 if token in LIKELY else 0.05 if token in UNLIKELY else 6.0 if token == END else 0.3


def check(found: list[tuple[str, Any]]) -> None:
    for name, arguments in found:
        validate(arguments, SCHEMAS[name])


@pytest.fixture(scope="module", params=[(name, special) for name in FORMATS for special in (True, False)])
def model(request: pytest.FixtureRequest) -> Model:
    name, special = request.param
    return Model(name, special=special)


def test_calls_that_must_be_made_are_valid(model: Model) -> None:
    request = asking(tool_choice="required")
    for seed in range(4):
        text, ended = model.write(request, seed)
        if ended:
            found, rest = model.read(request, text)
            assert found
            assert not rest
            check(found)


def test_one_call_is_made_where_one_is_asked_for(model: Model) -> None:
    for fields in ({"parallel_tool_calls": False}, {"allowed_tools": ("write",)}):
        request = asking(tool_choice="required", **fields)
        text, ended = model.write(request, 5)
        if ended:
            ((name, arguments),), rest = model.read(request, text)
            assert not rest
            assert name in fields.get("allowed_tools", SCHEMAS)
            check([(name, arguments)])


def test_a_call_that_a_free_turn_comes_to_is_valid(model: Model) -> None:
    name = model.dialect._tools.name  # type: ignore[attr-defined]
    begins = [[ord("h"), ord("i"), *model.vocabulary.encode(model.markers[0], special=False)]] if model.markers else []
    written = FORMATS[name].written("write", "{}")
    begins.append(list(written[: written.index("write") + len("write") + 1].encode()))
    for seed, begun in enumerate(begins):
        text, ended = model.write(asking(), seed, *begun)
        if ended:
            found, rest = model.read(asking(), text)
            assert found
            assert rest in ("", "hi")
            check(found)


def test_calls_are_written_as_models_write_them(model: Model) -> None:
    if '">' in model.markers:
        return  # No vocabulary has a token for that.
    request = asking(tool_choice="required")
    for name, arguments in (("write", {"text": "so"}), ("now", {})):
        text = FORMATS[model.name].written(name, json.dumps(arguments))
        assert fits(model.constraint(request), model.vocabulary.encode(text, special=False)), text


def test_a_free_turn_may_be_any_text(model: Model) -> None:
    constraint = model.constraint(asking())
    for text in ("hello", "a < b [1] {x}", "", '{"x": 1}'):
        assert fits(constraint, text.encode())


def test_an_answer_in_a_form_or_a_call(model: Model) -> None:
    form = ResponseFormat(
        type="json_schema",
        schema={
            "type": "object",
            "properties": {"x": {"type": "integer"}},
            "required": ["x"],
            "additionalProperties": False,
        },
    )
    request = asking(response_format=form)
    assert fits(model.constraint(request), b'{"x":1}')
    assert not fits(model.constraint(request), b"hello")
    for seed in range(2):
        text, ended = model.write(request, seed)
        if ended:
            found, rest = model.read(request, text)
            assert bool(found) != bool(rest)
            check(found)
            if rest:
                validate(json.loads(rest), form.schema)
    assert not fits(model.constraint(asking(response_format=form, tool_choice="required")), b'{"x":1}')


def test_a_strict_tool_must_have_a_schema_that_can_be_enforced() -> None:
    bad = {"type": "object", "properties": {"x": {"not": {"type": "string"}}}}
    model = Model("hermes")
    with pytest.raises(BadRequest, match="not") as caught:
        model.constraint(asking(tools=(Tool(name="a"), Tool(name="b", parameters=bad, strict=True))))
    assert caught.value.param == "tools[1].function.parameters"
    request = asking(tools=(Tool(name="b", parameters=bad),), tool_choice="required")
    assert fits(
        model.constraint(request),
        model.vocabulary.encode('<tool_call>{"name": "b", "arguments": {"x":1}}</tool_call>', special=False),
    )


@pytest.mark.parametrize("name", ["hermes", "glm"])
def test_what_cannot_be_enforced_of_a_schema_is_left_out(name: str) -> None:
    lax = {"type": "array", "items": {"type": "integer"}, "maxItems": 3, "uniqueItems": True}
    schema = {"type": "object", "properties": {"x": lax}, "required": ["x"], "additionalProperties": False}
    schema["properties"]["u"] = {"oneOf": [{"type": "integer"}, {"type": "number"}]}
    model, request = Model(name), asking(tools=(Tool(name="b", parameters=schema),), tool_choice="required")
    for arguments, valid in (('{"x": [1, 1]}', True), ('{"x": "a"}', False)):
        text = FORMATS[name].written("b", arguments)
        assert fits(model.constraint(request), model.vocabulary.encode(text, special=False)) is valid


def test_arguments_are_objects() -> None:
    request = asking(tools=(Tool(name="a"), Tool(name="b", parameters={"type": ["string", "null"]})))
    with pytest.raises(BadRequest, match='object, found type \\["string", "null"\\]') as caught:
        Model("hermes").constraint(request)
    assert caught.value.param == "tools[1].function.parameters"
    either = asking(tools=(Tool(name="b", parameters={"type": ["object", "null"]}),), tool_choice="required")
    model = Model("hermes")
    null = '<tool_call>{"name": "b", "arguments": null}</tool_call>'
    assert not fits(model.constraint(either), model.vocabulary.encode(null, special=False))


def test_parameters_one_by_one_cannot_depend_on_one_another() -> None:
    bad = {"type": "object", "properties": {"x": {}, "y": {}}, "anyOf": [{"required": ["x"]}, {"required": ["y"]}]}
    with pytest.raises(BadRequest, match="anyOf"):
        Model("glm").constraint(asking(tools=(Tool(name="b", parameters=bad, strict=True),)))
    assert Model("glm").constraint(asking(tools=(Tool(name="b", parameters=bad),)))


@pytest.mark.parametrize("name", ["pythonic", "lfm2", "gemma"])
def test_a_strict_tool_must_have_parameters_that_python_can_name(name: str) -> None:
    needs = {"type": "object", "properties": {"my-key": {"type": "string"}}, "required": ["my-key"]}
    with pytest.raises(BadRequest, match="no 'my-key'") as raised:
        Model(name).constraint(asking(tools=(Tool(name="b", parameters=needs, strict=True),)))
    assert raised.value.param == "tools[0].function.parameters"
    assert Model(name).constraint(asking(tools=(Tool(name="b", parameters=needs),)))


def test_a_turn_without_an_opening_begins_with_its_calls() -> None:
    for name in AT_THE_START:
        model = Model(name, special=False)
        text = "so: " + WRITTEN[name]
        if name != "json":
            assert model.read(asking(), text) == ([], text)
