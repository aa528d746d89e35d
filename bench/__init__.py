"""Measures the speed of everything: what is compared takes turns in one run, and what counts are the ratios.

Run it from the project's folder: ``python -m bench --help``. README.md beside this file says what is measured.
"""

import sys
from pathlib import Path

# Models, servers and runtimes are made by the code that makes them for the tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
