"""What can be measured: each job is one fresh process, named by its side and settings, that gives a dictionary."""

import functools
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from . import process

HERE = pathlib.Path(__file__).resolve().parent
TEXT = "A small adapter learns from a few words that are repeated over and over again. " * 400


def missing(*packages):
    """Which of these Python packages are not installed."""
    return [name for name in packages if importlib.util.find_spec(name) is None]


@dataclass(frozen=True)
class Job:
    """side: clora, limit, torch or llama; the rest are the settings that matter to what is measured."""

    side: str
    what: str
    dtype: str = "f32"
    batch: int = 1
    length: int = 256
    rank: int = 8
    targets: str = "all-linear"
    sequences: int = 1
    recompute: str = ""  # what: layer or attention
    cold: bool = False
    layer: tuple = ()  # (N, K) of one linear layer


class Bench:
    """Runs jobs with the options of the command line. Files that jobs need are made once."""

    def __init__(self, options, work):
        self.o, self.work = options, pathlib.Path(work)

    def run(self, job):
        return getattr(self, f"{job.side}_{job.what}")(job)

    def lacks(self, job):
        """Why a job cannot run here, or None."""
        needs = {"torch": ["torch", "transformers", "peft"], "llama": ["llama_cpp", "gguf", "numpy"]}
        for package in missing(*needs.get(job.side, [])):
            return f"no package {package}"
        if job.side == "limit" and not os.access(self.o.clora_bench, os.X_OK):
            return f"no program {self.o.clora_bench}"
        if job.side == "clora" and job.recompute and "--recompute" not in self.clora_help:
            return "clora bench has no --recompute"
        return None

    def measure(self, *command, extra=None):
        return process.run(command, self.o.threads, extra)

    # ---- clora ----

    @functools.cached_property
    def clora_help(self):
        return subprocess.run([self.o.clora, "bench", "--help"], capture_output=True, text=True).stdout

    def clora_bench(self, *settings):
        return self.measure(self.o.clora, "bench", self.o.model, "--json", "--rounds", self.o.steps, *settings)

    def clora_train(self, j):
        sizes = ["--batch-size", j.batch, "--max-length", j.length, "--rank", j.rank, "--target-modules", j.targets]
        more = ["--recompute"] if j.recompute else []
        result = self.clora_bench("--only", "train", "--dtype", j.dtype, *sizes, *more)
        return result["training"] | {"planned_bytes": result["training"]["plan"]["total"]}

    def clora_full(self, j, *more):
        data, log = self.work / "text.txt", self.work / "log.jsonl"
        data.write_text(TEXT * 4, encoding="utf-8")
        log.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            sizes = ["--batch-size", j.batch, "--max-length", j.length, "--steps", self.o.steps + 1, "--dtype", j.dtype]
            files = ["--data", data, "--out", out, "--log", log]
            again = ["--recompute", j.recompute] if j.recompute else []
            command = [self.o.clora, "train", self.o.model, "--method", "full", *files, *sizes, *again, *more, "--json"]
            result = self.measure(*command)
        steps = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        return result | {"tokens_per_second": max(step["tokens_per_second"] for step in steps)}

    def clora_full_unclipped(self, j):
        return self.clora_full(j, "--clip", 0)

    def clora_prefill(self, j):
        return self.clora_bench("--only", "prefill", "--dtype", j.dtype, "--max-length", j.length)["prefill"]

    def clora_decode(self, j):
        sizes = ["--new-tokens", j.length, "--sequences", j.sequences]
        return self.clora_bench("--only", "decode", "--dtype", j.dtype, *sizes)["decode"][0]

    def in_cache(self, cold, *command):
        """With the user's kernel cache, or an empty one."""
        if not cold:
            return self.measure(*command)
        with tempfile.TemporaryDirectory(dir=self.work) as cache:
            return self.measure(*command, extra={"POCL_CACHE_DIR": cache})

    def clora_first_step(self, j):
        data = self.work / "text.txt"
        data.write_text(TEXT, encoding="utf-8")
        with tempfile.TemporaryDirectory(dir=self.work) as out:
            sizes = ["--batch-size", 1, "--max-length", j.length, "--steps", 1, "--dtype", j.dtype]
            files = ["--data", data, "--out", out]
            return self.in_cache(j.cold, self.o.clora, "train", self.o.model, *files, *sizes, "--json")

    def clora_first_token(self, j):
        words = ["--prompt", "Once upon a time", "--max-tokens", 1, "--dtype", j.dtype]
        return self.in_cache(j.cold, self.o.clora, "generate", self.o.model, *words, "--json")

    def limit_products(self, j):
        sizes = ["--steps", f"{j.batch}x{j.length}", "--dtype", j.dtype, "--model", self.o.model]
        command = [self.o.clora_bench, "--only", "products", "--rounds", self.o.steps, *sizes, "--json"]
        return self.measure(*command)["products_only"][0]

    def linear(self, j, *operations):
        """One after the other: the product with W0 and its term, and the product that makes the term's input."""
        shape = "M={},N={},K={},R={}".format(j.length, *j.layer, j.rank)
        sizes = ["--shape", shape, "--dtype", j.dtype, "--rounds", 5 * self.o.steps]
        result = self.measure(self.o.clora_bench, *operations, "--only", "operations", *sizes, "--json")
        return {"milliseconds": 1e3 * sum(operation["seconds"] for operation in result["results"])}

    def limit_forward(self, j):
        return self.linear(j, "lowrank_down", "matmul")

    def limit_dx(self, j):
        return self.linear(j, "lowrank_down_grad", "matmul_dx")

    # ---- PyTorch ----

    def torch(self, what, j, *settings):
        sizes = ["--dtype", j.dtype, "--batch-size", j.batch, "--length", j.length]
        program = [sys.executable, HERE / "torch_side.py", what, self.o.model]
        return self.measure(*program, *sizes, "--rounds", self.o.steps, "--threads", self.o.threads, *settings)

    def torch_train(self, j):
        more = ["--checkpointing"] if j.recompute else []
        return self.torch("train", j, "--rank", j.rank, "--target-modules", j.targets, *more)

    def torch_full(self, j, *more):
        again = ["--checkpointing"] if j.recompute else []
        return self.torch("train", j, "--method", "full", *again, *more)

    def torch_full_unclipped(self, j):
        return self.torch_full(j, "--clip", 0)

    def torch_prefill(self, j):
        return self.torch("prefill", j)

    def torch_decode(self, j):
        return self.torch("decode", j)

    def torch_linear(self, j):
        sizes = ["--rank", j.rank, "--layer", *j.layer, "--rounds", 5 * self.o.steps]
        return self.torch(j.what, j, *sizes)

    torch_forward = torch_dx = torch_linear

    def torch_first_step(self, j):
        return self.torch("train", j, "--rounds", 1, "--warm-up", 0)

    # ---- llama.cpp ----

    def gguf(self, dtype):
        path = self.work / f"{dtype}.gguf"
        if not path.exists():
            subprocess.run([sys.executable, HERE / "gguf_file.py", self.o.model, path, "--dtype", dtype], check=True)
        return path

    def llama(self, what, j):
        program = [sys.executable, HERE / "llama_side.py", what, self.gguf(j.dtype)]
        sizes = ["--length", j.length, "--sequences", j.sequences]
        return self.measure(*program, *sizes, "--rounds", self.o.steps, "--threads", self.o.threads)

    def llama_prefill(self, j):
        return self.llama("prefill", j)

    def llama_decode(self, j):
        return self.llama("decode", j)
