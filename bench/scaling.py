#!/usr/bin/env python3
"""How clora's training scales: one line for each step's size and rank, measured by `clora bench` in fresh processes.

    bench/scaling.py MODEL [--shapes 1x64,1x256,4x256,1x1024] [--ranks 1,8,64] [--dtype f32,bf16] [--out result.json]
"""

import argparse
import json
import pathlib
import subprocess
import sys


def measure(o, shape, rank, dtype):
    batch, length = shape.split("x")
    sizes = ["--batch-size", batch, "--max-length", length, "--rank", rank, "--dtype", dtype, "--rounds", str(o.rounds)]
    command = [o.clora, "bench", o.model, "--only", "train", *sizes, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    return json.loads(done.stdout)


def text(result, rank):
    training = result["training"]
    step = f"{result['batch_size']} x {result['max_length']}"
    peak, plan = (n / 2**20 for n in (training["peak_resident_bytes"], training["plan"]["total"]))
    longest = training["profile"][0]
    share = longest["seconds"] / sum(entry["seconds"] for entry in training["profile"])
    rate = training["tokens_per_second"]
    return f"| {step} | {rank} | {result['dtype']} | {rate:,.0f} | {peak:,.0f} | {plan:,.0f} | {longest['kernel']} {share:.0%} |"


def main():
    parser = argparse.ArgumentParser(description="Measure training over sizes, ranks and types of weights.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--shapes", default="1x64,1x256,4x256,1x1024", help="sequences x tokens")
    parser.add_argument("--ranks", default="8", help="(default 8)")
    parser.add_argument("--dtype", default="file", help="file, f32, f16, bf16 (default file)")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--clora", default="build/src/clora", help="(default build/src/clora)")
    parser.add_argument("--out", type=pathlib.Path, help="write everything here as JSON")
    o = parser.parse_args()
    results = []
    print("| step | rank | weights | tokens/s | peak MiB | planned MiB | longest kernel |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for dtype in o.dtype.split(","):
        for shape in o.shapes.split(","):
            for rank in o.ranks.split(","):
                results.append(measure(o, shape, rank, dtype))
                print(text(results[-1], rank), flush=True)
    if o.out:
        o.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
