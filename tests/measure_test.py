#!/usr/bin/env python3
"""What a test costs: processor seconds, and how many programs and kernels PoCL compiled for it.

    meson test -C build --num-processes 1 --wrapper "python3 $PWD/tests/measure_test.py costs.txt"

Each test adds a line to the file. Programs and kernels are those that the test's PoCL cache has more than before.
"""

import os
import pathlib
import resource
import subprocess
import sys


def compiled():
    cache = pathlib.Path(os.environ.get("POCL_CACHE_DIR", "/nonexistent"))
    return sum(1 for _ in cache.rglob("program.bc")), sum(1 for _ in cache.rglob("*.so"))


def main():
    log, command = sys.argv[1], sys.argv[2:]
    programs, kernels = compiled()
    status = subprocess.run(command, check=False).returncode
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    programs, kernels = (now - then for now, then in zip(compiled(), (programs, kernels)))
    with open(log, "a", encoding="utf-8") as lines:
        lines.write(f"{used.ru_utime + used.ru_stime:8.1f} s {programs:5} programs {kernels:5} kernels  "
                    f"{' '.join(os.path.basename(word) for word in command)}\n")
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
