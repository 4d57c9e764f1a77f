#!/usr/bin/env python3
"""Compare what two builds of clora compute, bit by bit: compare_builds.py OLD NEW [--model DIR] [--only WORD]

OLD and NEW are two clora programs, such as that of the last commit and that of the next. Both train, generate,
evaluate, merge and tokenize on this machine, each in a cache directory of its own, and every result must be the same:
the bytes of adapters and merged models, logs without their times, texts, losses. --model adds greedy texts and losses
of another model. Exits 1 when something differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
TINY = ROOT / "models/tiny"
TRAIN = ROOT / "data/train.jsonl"
VALIDATION = ROOT / "data/validation.jsonl"
TIMES = {"seconds", "tokens_per_second", "prefill_tokens_per_second", "decode_tokens_per_second", "peak_device_bytes"}

# name -> options of train, environment
TRAININGS = {
    "f32": ([], {}),
    "f16": (["--dtype", "f16"], {}),
    "bf16": (["--dtype", "bf16"], {}),
    "dropout": (["--dropout", "0.1"], {}),
    "accumulate": (["--accumulate", "3", "--batch-size", "2"], {}),
    "pack": (["--pack", "--max-length", "96"], {}),
    "recompute": (["--recompute", "--dropout", "0.05"], {}),
    "attention only": (["--target-modules", "q_proj,v_proj", "--rank", "16", "--rslora"], {}),
    "ranks": (["--rank-pattern", "down_proj=16,q_proj=1", "--schedule", "cosine", "--warmup", "4"], {}),
    "decay": (["--weight-decay", "0.1", "--clip", "0.1", "--init", "kaiming", "--learn-context"], {}),
    "validation": (["--val", str(VALIDATION), "--eval-every", "10"], {}),
    "full": (["--method", "full"], {}),
    "full without clipping": (["--method", "full", "--clip", "0"], {}),
    "full recompute": (["--method", "full", "--recompute", "--max-length", "64"], {}),
    "full bf16": (["--method", "full", "--dtype", "bf16", "--master", "none", "--clip", "0"], {}),
    "full accumulate": (["--method", "full", "--accumulate", "2", "--clip", "0"], {}),
    "full tile": (["--method", "full", "--optimizer", "adamw8bit"], {"CLORA_GEMM": "tile"}),
    "prefix": (["--method", "prefix", "--prefix-tokens", "5", "--recompute", "attention"], {}),
    "bottleneck": (["--method", "adapter", "--recompute"], {}),
    "panel": ([], {"CLORA_GEMM": "panel"}),
    "tile": ([], {"CLORA_GEMM": "tile"}),
    "clblast": ([], {"CLORA_GEMM": "clblast"}),
}
PROMPTS = ["Once upon a time", "The quick brown fox", "1, 2, 3, 4,", "Die Hauptstadt von Österreich", "def f(x):\n"]


class Build:
    """One of the two programs, with caches of its own."""

    def __init__(self, program, folder):
        self.program = os.path.abspath(program)
        self.folder = folder
        folder.mkdir()
        self.environment = dict(os.environ, CLORA_CACHE_DIR=str(folder / "cache"))

    def run(self, *arguments, **changes):
        """What the command prints."""
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment | changes, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return done.stdout

    def result(self, *arguments, **changes):
        """What the command says as JSON, without times."""
        return [without_times(json.loads(line)) for line in self.run(*arguments, "--json", **changes).splitlines()]


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES and key != "out"}
    if isinstance(value, list):
        return [without_times(item) for item in value]
    return value


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*"))
            if p.is_file() and p.name != "run.json"}


def train(build, name):
    options, environment = TRAININGS[name]
    out, log = build.folder / f"adapter {name}", build.folder / f"log {name}"
    build.run("train", TINY, "--data", TRAIN, "--out", out, "--log", log, "--steps", 20, "--seed", 7, "--quiet",
              *options, **environment)  # fmt: skip
    return {"adapter": files(out), "log": [without_times(json.loads(line)) for line in log.read_text().splitlines()]}


def use(build, dtype, adapter):
    """Texts one by one and side by side, and a loss."""
    options = ["--dtype", dtype] + (["--adapter", build.folder / "adapter f32"] if adapter else [])
    rows = build.folder / "prompts.jsonl"
    rows.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return {
        "texts": [build.result("generate", TINY, "--prompt", p, "--max-tokens", 48, *options) for p in PROMPTS],
        "drawn": build.result("generate", TINY, "--prompt", "A", "--temperature", 0.9, "--seed", 3, *options),
        "side by side": build.result("generate", TINY, "--jsonl", rows, "--batch-size", 5, *options),
        "loss": build.result("eval", TINY, "--data", VALIDATION, *options),
    }


def merge(build, dtype):
    out = build.folder / f"merged {dtype}"
    said = build.result("merge", TINY, build.folder / "adapter f32", "--out", out, "--dtype", dtype)
    return {"said": said, "files": files(out)}


def tokenize(build):
    rows = build.folder / "texts.jsonl"
    lines = [json.loads(line) for line in TRAIN.read_text().splitlines()[:200]]
    rows.write_text("".join(json.dumps({"text": " ".join(row.values())}) + "\n" for row in lines))
    return build.run("tokenize", TINY, "--jsonl", rows)


def other_model(build, model):
    options = ["generate", model, "--max-tokens", 32, "--prompt"]
    return {
        "texts": [build.result(*options, prompt, "--dtype", t) for t in ("f32", "f16", "bf16") for prompt in PROMPTS],
        "loss": build.result("eval", model, "--data", VALIDATION, "--max-length", 64, "--dtype", "bf16"),
    }


def checks(model):
    """name -> what to do with a build; trainings first, for later ones take their adapters."""
    for name in TRAININGS:
        yield f"train {name}", lambda build, name=name: train(build, name)
    for dtype in ("f32", "f16", "bf16"):
        for adapter in (False, True):
            name = f"use {dtype} {'with' if adapter else 'without'} an adapter"
            yield name, lambda build, dtype=dtype, adapter=adapter: use(build, dtype, adapter)
    for dtype in ("f32", "bf16"):
        yield f"merge {dtype}", lambda build, dtype=dtype: merge(build, dtype)
    yield "tokenize", tokenize
    if model:
        yield f"use {model}", lambda build: other_model(build, model)


def difference(old, new, where=""):
    """Where two results differ first, in words, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        if old.keys() != new.keys():
            return f"{where}: {sorted(old.keys() ^ new.keys())} in one of the two only"
        found = (difference(old[key], new[key], f"{where} {key}") for key in old)
        return next((text for text in found if text), None)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        found = (difference(a, b, f"{where} {i}") for i, (a, b) in enumerate(zip(old, new)))
        return next((text for text in found if text), None)
    if old == new:
        return None
    if isinstance(old, bytes):
        return f"{where}: {len(old)} and {len(new)} bytes that differ"
    return f"{where}: {str(old)[:200]!r} and {str(new)[:200]!r}"


def main():
    parser = argparse.ArgumentParser(description="Compare what two builds of clora compute, bit by bit.")
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--model", help="another model directory: its texts and a loss too")
    parser.add_argument("--only", default="", help="checks whose name holds this (and the training that they need)")
    options = parser.parse_args()
    failed = done = 0
    with tempfile.TemporaryDirectory(prefix="clora-compare-") as place:
        builds = [Build(p, pathlib.Path(place, n)) for n, p in (("old", options.old), ("new", options.new))]
        for name, check in checks(options.model):
            if options.only not in name and name != "train f32":
                continue
            found = difference(*map(check, builds))
            failed += found is not None
            done += 1
            print(f"DIFFERS  {name}:{found}" if found else f"same     {name}", flush=True)
    print(f"{done - failed} of {done} are the same")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
