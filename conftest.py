"""What the tests of the core and of every plugin stand on: no network, no more threads than help, no traces left."""

import os

# Read by libraries when they are imported, so before any test is.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
# Servers that several tests use start before anything of a single test is set.
os.environ["UNIVERSAL_RUNTIME_POOL_MEASUREMENTS"] = ""
