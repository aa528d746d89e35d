"""The checks of the Makefile, each in an environment of its own; `nox -s tests` runs every Python version found."""

from pathlib import Path

import nox

PYTHONS = ("3.11", "3.12", "3.13")
CONSTRAINTS = ("--constraint", "constraints.txt")
PROJECT = nox.project.load_toml("pyproject.toml")

nox.options.sessions = ["tests", "lint", "types"]
nox.options.error_on_missing_interpreters = False


def install(session: nox.Session, group: str) -> None:
    """Install the packages of a dependency group."""
    session.install(*CONSTRAINTS, *nox.project.dependency_groups(PROJECT, group))


def extras_of(plugin: str) -> str:
    """Return the extras of a plugin that the core's own extra asks for: ``[stt,tts]``."""
    (named,) = PROJECT["project"]["optional-dependencies"][plugin.removeprefix("universal-")]
    return str(named).removeprefix(plugin)


def install_projects(session: nox.Session) -> None:
    """Install the core and every plugin from the working tree."""
    projects = [".", *(f"{folder}{extras_of(folder.name)}" for folder in sorted(Path("plugins").glob("universal-*")))]
    session.install(*CONSTRAINTS, *(part for project in projects for part in ("--editable", project)))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run every test of the core and the plugins, or those that are named."""
    install_projects(session)
    install(session, "test")
    old_sdk = nox.project.dependency_groups(PROJECT, "openai-1")
    session.install("--no-deps", "--target", str(Path(session.virtualenv.location, "openai-1")), *old_sdk)
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check the style."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types."""
    install_projects(session)
    install(session, "types")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Check the documentation."""
    install_projects(session)
    install(session, "test")
    session.run("pytest", "tests/docs")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the speed: everything, or what is named: ``nox -s bench -- chat embeddings``."""
    install_projects(session)
    install(session, "test")
    session.run("python", "-m", "bench", *session.posargs)
