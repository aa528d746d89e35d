"""``python -m universal_core`` is ``universal``."""

from universal_core.cli.main import main

main()
