"""The Python that runs this: its version, its environment, its clock."""

import platform
import sys
import sysconfig
import time
from importlib.metadata import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from universal_core.checkup.findings import Finding, ok, problem, warning

NAME = "Python"
FAR_OFF = 300.0
"""Seconds that clocks may differ."""
_SET_CLOCK = "sudo timedatectl set-ntp true"


def check_python() -> Finding:
    """Tell the interpreter's version, and whether packages can be installed beside it."""
    version, wanted = platform.python_version(), metadata("universal-core")["Requires-Python"]
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return problem(
            NAME,
            f"{version} ({sys.executable}); expected {wanted}",
            'python3.12 -m venv .venv && .venv/bin/pip install "universal-core[all]"',
        )
    if sys.prefix != sys.base_prefix:
        return ok(NAME, f"{version} in the virtual environment {sys.prefix}")
    if Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists():
        return warning(
            NAME,
            f"{version} of the system ({sys.executable}), which pip may not change",
            'python3 -m venv .venv && .venv/bin/pip install "universal-core[all]"',
        )
    return ok(NAME, f"{version} ({sys.executable}), no virtual environment")


def check_clock(elsewhere: float | None) -> Finding:
    """Tell how far the clock is from the hub's, or from when this software was installed where the hub is not asked.

    With a clock that is far off, no certificate is valid and no download begins.
    """
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now))
    if elsewhere is not None and abs(now - elsewhere) > FAR_OFF:
        return warning(
            "clock", f"{shown}, {abs(now - elsewhere):.0f} s from the hub's", "sudo timedatectl set-ntp true"
        )
    if now < Path(__file__).stat().st_mtime - 86400:
        return warning("clock", f"{shown}, before this software was installed", _SET_CLOCK)
    return ok("clock", shown)
