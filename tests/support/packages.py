"""Packages that only some checks need: they run with the Python that CLORA_TEST_PYTHON names, and skip without."""

import importlib.util
import os
import sys

SKIPPED = 77


def need(*names):
    """Go on under $CLORA_TEST_PYTHON where that is set; end the program as skipped when a package is not there."""
    other = os.environ.get("CLORA_TEST_PYTHON")
    if other and os.environ.get("CLORA_TEST_PYTHON_RUNS") != "1":
        os.environ["CLORA_TEST_PYTHON_RUNS"] = "1"
        os.execv(other, [other, *sys.argv])
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: no {' and no '.join(missing)}; set CLORA_TEST_PYTHON to a Python with {', '.join(names)}")
        sys.exit(SKIPPED)
