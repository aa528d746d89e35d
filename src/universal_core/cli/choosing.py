"""Which model a command asks where it was given none."""

from universal_core.cli.client import Client


def model_for(client: Client, given: str | None, task: str) -> dict[str, str]:
    """Return the field ``model`` of a request: what was given, or the only model of the server that has the task.

    Where there are several or none the field is missing, and the server takes its default, or says what it needs.
    """
    if given:
        return {"model": given}
    able = [model["id"] for model in client.get("/v1/models")["data"] if task in (model.get("tasks") or ())]
    return {"model": able[0]} if len(able) == 1 else {}
