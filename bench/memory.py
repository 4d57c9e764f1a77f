#!/usr/bin/env python3
"""The peak memory that `clora plan` predicts against what `clora train` takes, on a CPU: bench/memory.py MODEL

For each method and size: the prediction, the peak that the kernel counted for the process, and their ratio; then a run
with --memory at some of the prediction, which is killed when it takes more. A limit of the address space would not do:
PoCL and its compiler reserve gigabytes that they never touch. So the parent reads the process's high-water mark, which
forgets nothing, and kills it there. Ends with status 1 when a run takes more than 5 % less than predicted or 1 % more,
or passes a limit.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZES = [(1, 64), (2, 128), (4, 128), (4, 256)]  # sequences, tokens
ALLOWED = 0.05  # below the prediction
OVER = 0.01  # above it: memory comes in pages
SHARES = [0.9, 0.7]  # of what the run as asked for would take
MEBI = 2**20


def rows_without_end(path, count):
    """Pairs far longer than any of the sizes: every row is full."""
    text = " ".join(json.loads(line)["target"] for line in (ROOT / "data/train.jsonl").read_text().splitlines())
    with path.open("w") as out:
        for i in range(count):
            out.write(json.dumps({"context": text[i * 90:i * 90 + 40], "target": text[i * 700:i * 700 + 6000]}) + "\n")


def high_water(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def peak(command, limit=None):
    """(bytes, whether it was killed at the limit)"""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    killed = False
    while limit and os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if high_water(child.pid) > limit:
            child.kill()
            killed = True
            break
        time.sleep(0.005)
    error = child.stderr.read().decode()
    _, status, usage = os.wait4(child.pid, 0)
    if status and not killed:
        sys.exit(f"{' '.join(map(str, command))}: {error}")
    return usage.ru_maxrss * 1024, killed or bool(limit and usage.ru_maxrss * 1024 > limit)


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.failed = options, folder, False
        self.data = folder / "data.jsonl"
        rows_without_end(self.data, 8)

    def plan(self, arguments):
        done = subprocess.run([self.options.clora, "plan", self.options.model, *arguments, "--json"],
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def train(self, arguments, limit=None):
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        return peak([self.options.clora, "train", self.options.model, "--data", self.data, "--out", out, "--steps", "2",
                     "--quiet", *arguments], limit)

    def size(self, method, batch, length):
        arguments = ["--batch-size", str(batch), "--max-length", str(length), *method]
        plan = self.plan(arguments)
        self.train(arguments)  # compiles
        taken, _ = self.train(arguments)
        ratio = taken / plan["bytes"]
        bad = not 1 - ALLOWED <= ratio <= 1 + OVER
        print(f"{' '.join(method):32} {batch} x {length:4}  predicted {plan['bytes'] / MEBI:8.1f} MiB  "
              f"measured {taken / MEBI:8.1f}  {ratio:.3f}{'  WRONG' if bad else ''}", flush=True)
        self.failed |= bad
        for share in SHARES:
            self.limit(arguments, plan, share)

    def limit(self, arguments, plan, share):
        least = int(1.02 * (plan["choices"][-1]["bytes"] + plan["compiler"]))  # the process is never quite the same
        limit = max(int(share * (plan["bytes"] + plan["compiler"])), least)
        taken, passed = self.train([*arguments, "--memory", str(limit)], limit)
        print(f"{'':32} --memory {limit / MEBI:.1f}MiB: {taken / MEBI:.1f}{'  PASSED' if passed else ''}", flush=True)
        self.failed |= passed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--clora", default=str(ROOT / "build/src/clora"))
    parser.add_argument("--method", action="append", help='options of a method, such as "--method full --dtype f32"; '
                        "may be given more than once")
    parser.add_argument("--sizes", default=",".join(f"{b}x{t}" for b, t in SIZES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clora-memory-") as folder:
        bench = Bench(options, pathlib.Path(folder))
        for method in options.method or ["--rank 8", "--rank 64 --dtype f32 --recompute"]:
            for size in options.sizes.split(","):
                bench.size(method.split(), *map(int, size.split("x")))
    sys.exit(bench.failed)


if __name__ == "__main__":
    main()
