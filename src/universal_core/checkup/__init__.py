"""Looks over an installation: what is here, what is wrong, and the command that mends it."""

from universal_core.checkup.examination import Situation, examine
from universal_core.checkup.findings import Finding

__all__ = ["Finding", "Situation", "examine"]
