#!/usr/bin/env python3
"""What many adapters on one base cost: clora generate --requests with one adapter, with many, and with more than fit.

    bench/adapters.py MODEL [--adapters 1000] [--requests 200] [--slots 16] [--tokens 32] [--rounds 5] [--all-linear]

Makes adapters of random numbers, ranks 1 to 16 on q_proj and v_proj, or with --all-linear ranks 1 to 64 on every linear
layer; draws each request's adapter by Zipf's law; and runs the same requests in turns

    one        all with one adapter, of the mean rank
    many       each with its own, without a limit of memory
    memory     the same with room for all but one of the adapters in use
    churn      the same with room for a quarter of their bytes

as the median of the rounds. `loads` are adapters read in a run, which its time includes; processors' time is less
disturbed by other programs than tokens a second. With --check every text of `churn` is compared with the one of `many`.
"""

import argparse
import array
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def shapes_of(config, all_linear):
    """{module: (outputs, inputs)} of a layer."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    kv, ffn = config.get("num_key_value_heads", heads) * head, config["intermediate_size"]
    shapes = {"self_attn.q_proj": (heads * head, hidden), "self_attn.v_proj": (kv, hidden)}
    if all_linear:
        shapes |= {"self_attn.k_proj": (kv, hidden), "self_attn.o_proj": (hidden, heads * head),
                   "mlp.gate_proj": (ffn, hidden), "mlp.up_proj": (ffn, hidden), "mlp.down_proj": (hidden, ffn)}
    return shapes


DRAW = random.Random(0)
BLOCK = array.array("f", (DRAW.gauss(0, 0.02) for _ in range(65521)))


def numbers(n, begin):
    """n floats of a long random block, each factor's from another place on."""
    begin %= len(BLOCK)
    return (BLOCK[begin:] + BLOCK * (n // len(BLOCK) + 1))[:n]


def make_adapter(path, config, shapes, rank, seed):
    header, parts, at = {}, [], 0
    for layer in range(config["num_hidden_layers"]):
        for module, (outputs, inputs) in shapes.items():
            for factor, shape in (("A", [rank, inputs]), ("B", [outputs, rank])):
                data = numbers(shape[0] * shape[1], 7919 * seed + 104729 * len(parts))
                name = f"base_model.model.model.layers.{layer}.{module}.lora_{factor}.weight"
                header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(data)]}
                parts.append(data)
                at += 4 * len(data)
    text = json.dumps(header).encode()
    path.mkdir(parents=True)
    with open(path / "adapter_model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for part in parts:
            part.tofile(file)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "task_type": "CAUSAL_LM",
                "target_modules": sorted({module.split(".")[1] for module in shapes})}
    (path / "adapter_config.json").write_text(json.dumps(settings))
    return at


def draw(o, count):
    """The adapter of each request: the k-th likeliest with a probability of 1 / k."""
    return random.Random(7).choices(range(count), [1 / (k + 1) for k in range(count)], k=o.requests)


def run(o, folder, names, memory=None):
    """What one run of the command did; its ids too."""
    path = folder / "requests.jsonl"
    words = ["Once upon a time", "The weather today", "A list of fruit:", "In the beginning there was"]
    rows = [{"prompt": words[i % 4], "adapter": name} for i, name in enumerate(names)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [o.clora, "generate", o.model, "--requests", path, "--adapters", folder, "--slots", o.slots,
               "--max-tokens", o.tokens, "--stats", "--quiet", *(["--adapter-memory", int(memory)] if memory else [])]
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))}: {err}")
    number = lambda pattern: float(re.search(pattern, err).group(1).replace(",", ""))
    return {"speed": number(r"([\d,.]+) tokens/s"), "loads": number(r"adapters: ([\d,]+) read"),
            "resident": usage.ru_maxrss << 10, "seconds": usage.ru_utime + usage.ru_stime,
            "ids": [json.loads(line)["ids"] for line in out.splitlines()]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--clora", default=ROOT / "build/src/clora")
    for name, value in (("adapters", 1000), ("requests", 200), ("slots", 16), ("tokens", 32), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--all-linear", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true")
    o = parser.parse_args()
    config = json.loads(pathlib.Path(o.model, "config.json").read_text(encoding="utf-8"))
    shapes, most = shapes_of(config, o.all_linear), 64 if o.all_linear else 16
    with tempfile.TemporaryDirectory(prefix="clora-adapters-") as name:
        folder = pathlib.Path(name)
        used = draw(o, o.adapters)
        sizes = {i: make_adapter(folder / f"a{i}", config, shapes, 1 + i % most, i) for i in sorted(set(used))}
        make_adapter(folder / "mean", config, shapes, (1 + most) // 2, o.adapters)
        many, total, largest = [f"a{i}" for i in used], sum(sizes.values()), max(sizes.values())
        sides = {"one": (["mean"] * o.requests, None), "many": (many, None), "memory": (many, total - largest // 2),
                 "churn": (many, max(total / 4, 2 * largest))}
        run(o, folder, *sides["many"])  # compiles what it needs
        results = {side: [] for side in sides}
        for _ in range(o.rounds):
            for side, (names, memory) in sides.items():
                results[side].append(run(o, folder, names, memory))
        if o.check and results["many"][0]["ids"] != results["churn"][0]["ids"]:
            sys.exit("the texts of many and churn differ")
    median = lambda side, key: statistics.median(result[key] for result in results[side])
    table = {side: {key: median(side, key) for key in ("speed", "seconds", "loads", "resident")} for side in sides}
    if o.json:
        print(json.dumps({"adapters": len(sizes), "bytes": total, **table}))
        return
    print(f"{len(sizes)} of {o.adapters} adapters in use, {total / 2**20:.1f} MiB; {o.requests} requests of {o.tokens} "
          f"tokens, {o.slots} slots; medians of {o.rounds} rounds in turns")
    for side, row in table.items():
        print(f"{side:8} {row['speed']:9.1f} tokens/s  {row['speed'] / table['one']['speed']:5.2f} of one  "
              f"{row['seconds']:7.2f} s of processors  {row['loads']:5.0f} loads  {row['resident'] / 2**20:7.1f} MiB")


if __name__ == "__main__":
    main()
