"""Run a test program under oclgrind and fail on anything it reports: run_oclgrind.py OCLGRIND PROGRAM [ARGUMENT...]

oclgrind checks every access of every kernel (bounds, races, barriers), and exits 0 even when it has found something:
what counts is its log. The program sees CLORA_TEST_SMALL=1 and keeps its shapes small: this is an interpreter.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

LINES = 40

oclgrind, *command = sys.argv[1:]
with tempfile.TemporaryDirectory(prefix="clora-oclgrind-") as folder:
    log = pathlib.Path(folder, "log")
    environment = os.environ | {"CLORA_TEST_SMALL": "1"}
    environment.pop("CLORA_DEVICE", None)  # there is one device, oclgrind's
    status = subprocess.run([oclgrind, "--data-races", "--log", log, *command], env=environment).returncode
    report = log.read_text(errors="replace").splitlines() if log.exists() else []
if status < 0:
    print(f"oclgrind: {command[0]} died of signal {-status}")
if report:
    print(f"oclgrind: {len(report)} lines in the log; the first of them:")
    print("\n".join(report[:LINES]))
sys.exit(1 if report or status < 0 else status)
