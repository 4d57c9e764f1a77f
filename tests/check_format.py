"""Fail if a file of C or OpenCL C is not as clang-format writes it: check_format.py ROOT CLANG_FORMAT

Versions of clang-format differ in details; the project uses 14, and with another the test is skipped.
"""

import pathlib
import re
import subprocess
import sys

from check_style import project_files

VERSION = "14"
SKIPPED = 77

root, clang_format = pathlib.Path(sys.argv[1]), sys.argv[2]
version = subprocess.run([clang_format, "--version"], capture_output=True, text=True, check=True).stdout
if not re.search(rf"version {VERSION}\.", version):
    print(f"skipped: {version.strip()}; the check needs {VERSION}")
    sys.exit(SKIPPED)
checked = (p for p in project_files(root) if p.suffix in (".c", ".h", ".cl"))
files = [str(p) for p in checked if p.is_file()]
if not files:
    sys.exit(f"{root}: no sources found")
result = subprocess.run([clang_format, "--dry-run", "--Werror", *files])
print(f"{len(files)} files")
sys.exit(result.returncode != 0)
