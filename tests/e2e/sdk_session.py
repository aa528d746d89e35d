"""Everything that a user does with OpenAI's SDK, as a script that runs under any version of it: URL MODEL ENCODER."""

import asyncio
import base64
import sys
import urllib.request
import warnings

import openai

QUESTION = "what is universal runtime?"


def chats(client: openai.OpenAI, model: str) -> None:
    messages = [{"role": "developer", "content": "Answer briefly."}, {"role": "user", "content": QUESTION}]
    whole = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=40)
    assert whole.id.startswith("chatcmpl-"), whole.id
    assert whole.choices[0].finish_reason in ("stop", "length")
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens > 2

    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=messages,
            temperature=0,
            max_completion_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    # The second finds its prompt read already.
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens, (chunks[-1].usage, whole.usage)
    assert chunks[-1].choices == []


def samples(client: openai.OpenAI, model: str) -> None:
    messages = [{"role": "user", "content": QUESTION}]
    seeded = [
        client.chat.completions.create(model=model, messages=messages, seed=7, temperature=1.5, n=3, max_tokens=12)
        for _ in range(2)
    ]
    texts = [[choice.message.content for choice in answer.choices] for answer in seeded]
    assert texts[0] == texts[1]
    assert [choice.index for choice in seeded[0].choices] == [0, 1, 2]

    scored = client.chat.completions.create(
        model=model, messages=messages, temperature=0, logprobs=True, top_logprobs=3, max_tokens=5
    )
    tokens = scored.choices[0].logprobs.content
    assert len(tokens) == scored.usage.completion_tokens <= 5
    assert all(len(token.top_logprobs) == 3 and token.top_logprobs[0].logprob <= 0 for token in tokens)
    assert tokens[0].token == tokens[0].top_logprobs[0].token

    beyond = client.chat.completions.create(
        model=model, messages=messages, max_tokens=5, extra_body={"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.1}
    )
    assert beyond.choices[0].message.content


def completes(client: openai.OpenAI, model: str) -> None:
    whole = client.completions.create(
        model=model, prompt=["Hello", "Universal"], max_tokens=6, temperature=0, logprobs=2
    )
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert whole.choices[0].logprobs.tokens
    pieces = client.completions.create(model=model, prompt="Hello", max_tokens=6, temperature=0, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == whole.choices[0].text


def responds(client: openai.OpenAI, model: str) -> None:
    first = client.responses.create(model=model, input=QUESTION, temperature=0, max_output_tokens=12)
    assert first.output_text
    assert first.status in ("completed", "incomplete")
    with client.responses.stream(model=model, input=QUESTION, temperature=0, max_output_tokens=12) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert "".join(deltas) == first.output_text
    second = client.responses.create(
        model=model, input="And now?", previous_response_id=first.id, max_output_tokens=2, store=False
    )
    assert second.usage.input_tokens > first.usage.input_tokens
    assert client.responses.retrieve(first.id) == first
    client.responses.delete(first.id)
    code = None
    try:
        client.responses.create(model=model, input="And then?", previous_response_id=first.id)
    except openai.BadRequestError as error:
        code = error.code
    assert code == "previous_response_not_found"


def embeds(client: openai.OpenAI, encoder: str) -> None:
    # The SDK asks for base64 unless told otherwise, and turns it into numbers.
    packed = client.embeddings.create(model=encoder, input=["hello world", "lazy dog"])
    plain = client.embeddings.create(model=encoder, input=["hello world", "lazy dog"], encoding_format="float")
    for one, other in zip(packed.data, plain.data, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6
        assert abs(sum(value * value for value in one.embedding) - 1) < 1e-5
    cut = client.embeddings.create(model=encoder, input="hello world", dimensions=8)
    assert len(cut.data[0].embedding) == 8
    assert packed.usage.prompt_tokens == packed.usage.total_tokens > 2


def draws(client: openai.OpenAI, model: str) -> None:
    fields = {"model": model, "prompt": "a cat", "n": 2, "size": "16x8", "extra_body": {"seed": 7}}
    named = client.images.generate(**fields)
    with urllib.request.urlopen(named.data[0].url) as response:
        assert response.headers["content-type"] == "image/png"
        file = response.read()
    whole = client.images.generate(response_format="b64_json", **fields)
    assert base64.b64decode(whole.data[0].b64_json) == file
    assert (whole.size, whole.output_format, whole.quality) == ("16x8", "png", "medium")

    picture, mask = ("picture.png", b"a picture"), ("mask.png", b"where")
    for image in (picture, [picture, picture]):
        assert client.images.edit(model=model, image=image, mask=mask, prompt="a dog").data[0].url
    with warnings.catch_warnings():
        # Version 3 calls it deprecated, because OpenAI itself has no such models any more.
        warnings.simplefilter("ignore", DeprecationWarning)
        assert client.images.create_variation(model=model, image=picture, n=2).data[1].url


def draws_in_steps(client: openai.OpenAI, model: str) -> None:
    events = list(client.images.generate(model=model, prompt="count", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert events[1].partial_image_index == 1
    assert events[2].usage.total_tokens == 5
    image = ("picture.png", b"a picture")
    edited = list(client.images.edit(model=model, image=image, prompt="a dog", stream=True, partial_images=1))
    assert [event.type for event in edited] == ["image_edit.partial_image", "image_edit.completed"]
    assert base64.b64decode(edited[1].b64_json).startswith(b"\x89PNG")
    assert stream_failure(client, model).code == "internal_error"


def stream_failure(client: openai.OpenAI, model: str) -> openai.APIError:
    try:
        list(client.images.generate(model=model, prompt="fail", stream=True))
    except openai.APIError as error:
        return error
    raise AssertionError("a stream that failed was read to its end")


def fails(client: openai.OpenAI, model: str) -> None:
    messages = [{"role": "user", "content": "hi"}]
    for error, fields in (
        (openai.NotFoundError, {"model": "nobody/nothing", "messages": messages}),
        (openai.BadRequestError, {"model": model, "messages": messages, "temperature": 3}),
        (openai.BadRequestError, {"model": model, "messages": []}),
        (openai.BadRequestError, {"model": model, "messages": messages, "max_tokens": 10**6}),
    ):
        raised = refusal(client, error, fields)
        assert raised.body["message"], raised
        assert raised.request_id.startswith("req_"), raised.request_id


def refusal(
    client: openai.OpenAI, kind: type[openai.APIStatusError], fields: dict[str, object]
) -> openai.APIStatusError:
    try:
        client.chat.completions.create(**fields)
    except kind as error:
        return error
    raise AssertionError(f"{fields} was answered")


def lists(client: openai.OpenAI, model: str) -> None:
    assert model in [found.id for found in client.models.list()]
    assert client.models.retrieve(model).id == model


async def streams(url: str, model: str) -> None:
    client = openai.AsyncOpenAI(base_url=url, api_key="none")

    async def one(number: int) -> str:
        stream = await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": QUESTION}], temperature=0, max_tokens=20, stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    answers = await asyncio.gather(*map(one, range(12)))
    assert len(set(answers)) == 1, answers
    await client.close()


def main(url: str, model: str, encoder: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none") as client:
        chats(client, model)
        samples(client, model)
        completes(client, model)
        responds(client, model)
        embeds(client, encoder)
        fails(client, model)
        lists(client, model)
        draws(client, "echo/draws")
        draws_in_steps(client, "echo/draws")
    asyncio.run(streams(url, model))
    print(f"openai {openai.__version__}: all well")


if __name__ == "__main__":
    main(*sys.argv[1:])
