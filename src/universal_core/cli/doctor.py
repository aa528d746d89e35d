"""``universal doctor``."""

from collections.abc import Iterable

import click

from universal_core.cli.options import config_option, json_option
from universal_core.cli.output import Output
from universal_core.hookspecs import hookimpl

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@config_option
@click.option("--thorough", is_flag=True, help="Import every backend's libraries too, which takes a while.")
@json_option
def doctor_command(file: str | None, thorough: bool, as_json: bool) -> None:
    """Look over this installation: what is here, what is wrong, and the command that mends it.

    Nothing is changed, loaded or downloaded. Leaves with status 1 where there is a problem; warnings are none.

    \b
    Example:
      universal doctor
      universal doctor --thorough
    """
    # Imported here so that help is there at once.
    from universal_core.checkup import Situation, examine

    output, counts = Output(as_json), {"ok": 0, "warning": 0, "problem": 0}
    findings = []
    for finding in examine(Situation.of(file), thorough):
        counts[finding.state] += 1
        findings.append(finding)
        if not as_json:
            state = click.style(f"{finding.state:<8}", fg=COLOURS[finding.state])
            output.line(f"{state} {finding.name:<14} {finding.found}")
            if finding.advice:
                output.line(f"{'':<23} -> {finding.advice}")
    if as_json:
        output.value({"findings": findings, "problems": counts["problem"], "warnings": counts["warning"]})
    else:
        output.line(f"\n{counts['problem']} problems, {counts['warning']} warnings")
    if counts["problem"]:
        raise SystemExit(1)


@hookimpl
def register_commands() -> Iterable[click.Command]:
    """Add the command."""
    return [doctor_command]
