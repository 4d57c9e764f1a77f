"""Run a program with an empty directory, which goes afterwards, as its last argument: in_directory.py PROGRAM..."""

import subprocess
import sys
import tempfile

with tempfile.TemporaryDirectory(prefix="clora-api-") as directory:
    result = subprocess.run([*sys.argv[1:], directory])
sys.exit(result.returncode if result.returncode >= 0 else 128 - result.returncode)
