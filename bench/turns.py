#!/usr/bin/env python3
"""Whether a build of clora is as fast as another, measured in turns: bench/turns.py MODEL OLD/src/clora build/src/clora

    bench/turns.py MODEL OLD NEW [--only decode,train,prompt,start] [--rounds 7] [--least 0.98]

A line names what was measured, both medians, and the speed of NEW over OLD: the median of the rounds' ratios, then the
lowest and the highest. Every measurement is a fresh process, and within a round the two follow each other, so that a
busy moment falls on both; who is first changes from round to round. Each build has a cache of kernels of its own, which
a run that does not count has filled, and no tuned parameters. Exits 1 when a median is below --least.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROWS = "1,8,32"


def decode(dtype):
    return ["--only", "decode", "--dtype", dtype, "--sequences", ROWS]


def train(dtype, batch, length):
    return ["--only", "train", "--dtype", dtype, "--batch-size", batch, "--max-length", length]


def prompt(dtype):
    return ["--only", "prefill", "--dtype", dtype]


# What `clora bench` is told; of start, which is timed from outside, what the weights are held in.
SECTIONS = {
    "decode": {dtype: decode(dtype) for dtype in ("f16", "f32")},
    "train": {f"{dtype} {batch} x {length}": train(dtype, batch, length)
              for dtype in ("f32", "bf16") for batch, length in (("4", "256"), ("1", "512"))},
    "prompt": {dtype: prompt(dtype) for dtype in ("f16", "f32")},
    "start": {dtype: dtype for dtype in ("f16", "f32")},
}


class Build:
    def __init__(self, path, folder):
        self.path = path
        self.environment = os.environ | {"POCL_CACHE_DIR": str(folder / "kernels"),
                                         "CLORA_CACHE_DIR": str(folder / "tuned")}
        (folder / "kernels").mkdir(parents=True)

    def run(self, *arguments):
        done = subprocess.run([self.path, *arguments], capture_output=True, text=True, env=self.environment)
        if done.returncode != 0:
            sys.exit(f"{self.path}: {done.stderr.strip()}")
        return done.stdout

    def start(self, model, dtype):
        """What a text of one token takes from the command to its end."""
        begin = time.perf_counter()
        self.run("generate", model, "--dtype", dtype, "--prompt", "The", "--max-tokens", "1", "--quiet")
        return {"seconds to a first token": time.perf_counter() - begin}

    def bench(self, model, arguments):
        """Seconds by what took them."""
        result = json.loads(self.run("bench", model, *arguments, "--rounds", "4", "--json"))
        found = {"step": result["training"], "prompt": result["prefill"]}
        found |= {f"{d['sequences']} rows": d for d in result["decode"] or []}
        found |= {f"{name}, adapter": {"seconds": one["adapter_seconds"]}
                  for name, one in found.items() if one and "adapter_seconds" in one}
        return {name: statistics.median(one["seconds"]) for name, one in found.items() if one}


def measure(build, section, model, what):
    return build.start(model, what) if section == "start" else build.bench(model, what)


def in_turns(builds, rounds, measurement):
    """For each build a dictionary of lists of seconds."""
    seconds = [{}, {}]
    for build in builds:
        measurement(build)  # compiles
    for i in range(rounds):
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            for name, value in measurement(builds[side]).items():
                seconds[side].setdefault(name, []).append(value)
    return seconds


def line(name, old, new):
    """What is printed of two lists of seconds, and the median of their ratios."""
    ratios = [a / b for a, b in zip(old, new)]
    speed = statistics.median(ratios)
    times = " | ".join(f"{1000 * statistics.median(side):.1f}" for side in (old, new))
    return f"| {name} | {times} | {speed:.3f} | {min(ratios):.3f} | {max(ratios):.3f} |", speed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("old", metavar="OLD", help="the command of the build before")
    parser.add_argument("new", metavar="NEW", help="that of the build after")
    parser.add_argument("--only", default=",".join(SECTIONS), help="some of %(default)s")
    parser.add_argument("--rounds", type=int, default=7, help="(default 7)")
    parser.add_argument("--least", type=float, default=0.98, help="speed over the old one's (default 0.98)")
    o = parser.parse_args()
    for name in o.only.split(","):
        if name not in SECTIONS:
            parser.error(f"--only {name}: take some of {', '.join(SECTIONS)}")
    return o


def main():
    o = arguments()
    slower = False
    print("| measured | old ms | new ms | speed of new over old | lowest | highest |\n"
          "| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="clora-turns-") as folder:
        builds = [Build(path, pathlib.Path(folder, side)) for path, side in ((o.old, "old"), (o.new, "new"))]
        for section in o.only.split(","):
            for case, what in SECTIONS[section].items():
                old, new = in_turns(builds, o.rounds, lambda b, s=section, w=what: measure(b, s, o.model, w))
                for name in old:
                    text, speed = line(f"{section} {case}: {name}", old[name], new[name])
                    slower |= speed < o.least
                    print(text, flush=True)
    sys.exit(slower)


if __name__ == "__main__":
    main()
