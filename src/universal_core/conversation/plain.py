"""The conversation format for models that bring no chat template.

    You are a helpful assistant.        <- a system turn, without a heading

    User:
    Hello!

    Assistant:
    Hello. What can I do for you?

    User:
    What is a llama?

    Assistant:
                                        <- the model continues here

Turns are separated by an empty line. A model that was never trained on conversations tends to go on with the
user's next turn, so the headings are stop strings.
"""

from collections.abc import Iterable

from universal_core.messages import ChatMessage

PLAIN_STOPS = ("\n\nUser:", "\n\nAssistant:", "\n\nTool:", "\nUser:", "\nAssistant:", "\nTool:")
"""The stop strings that belong to the format."""

_HEADINGS = {"user": "User:\n", "assistant": "Assistant:\n", "tool": "Tool:\n", "system": "", "developer": ""}


def render_plain(messages: Iterable[ChatMessage], *, opens: bool = True, continues: bool = False) -> str:
    """Return the conversation as text that ends where the assistant's next turn begins.

    Where ``continues`` is true, the last turn goes on instead; without ``opens`` nothing begins.
    """
    turns = [(_HEADINGS[message.role], message.text) for message in messages]
    written = [heading + text.strip() for heading, text in turns]
    if continues and turns:
        written[-1] = turns[-1][0] + turns[-1][1].lstrip()
    return "\n\n".join([*written, *(("Assistant:\n",) if opens and not continues else ())])
