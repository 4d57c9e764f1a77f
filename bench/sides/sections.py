"""What is compared, by section: a line is one number of a job, mostly divided by one of another, and its bound.

A section is a function of the options: o.shapes are training steps as (sequences, tokens), o.ranks the adapters' ranks,
o.prompt the tokens that are read and o.new_tokens those that are written.
"""

import json
import pathlib
from dataclasses import dataclass

from .jobs import Job

RATE, RESIDENT, SECONDS = "tokens_per_second", "peak_resident_bytes", "process_seconds"
ALL, SOME = "all-linear", "q_proj,v_proj"


@dataclass(frozen=True)
class Line:
    """a's number over b's; without b the number itself. It must be at least or at most so much, where that is said."""

    text: str
    a: Job
    key: str
    b: Job = None
    b_key: str = None
    least: float = None
    most: float = None
    aim: float = None

    def jobs(self):
        return [job for job in (self.a, self.b) if job]

    def value(self, results):
        """results: job -> what it gave in one round."""
        mine = results[self.a][self.key]
        return mine / results[self.b][self.b_key or self.key] if self.b else mine

    def holds(self, value):
        if self.least is None and self.most is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def trainer(side, dtype, step, rank, targets=ALL, recompute=""):
    return Job(side, "train", dtype, *step, rank, targets, recompute=recompute)


def training(o):
    for step in o.shapes:
        shape = f"{step[0]} x {step[1]}"
        for rank in o.ranks:
            mine = trainer("clora", "f32", step, rank)
            name = f"training f32, {shape}, rank {rank}"
            yield Line(f"{name}, all linear: PEFT", mine, RATE, trainer("torch", "f32", step, rank), least=1.3, aim=1.5)
            limit = Job("limit", "products", "f32", *step)
            yield Line(f"{name}, all linear: products only", mine, RATE, limit, least=0.8)
            some = [trainer(side, "f32", step, rank, SOME) for side in ("clora", "torch")]
            yield Line(f"{name}, q and v: PEFT", some[0], RATE, some[1], least=1.15, aim=1.3)


def full(o):
    """Full fine-tuning: every weight, with its gradient and two moments; both sides clip, or neither does."""
    step, shape = o.shapes[0], "{} x {}".format(*o.shapes[0])

    def trains(side, what="full", recompute=""):
        return Job(side, what, "f32", *step, recompute=recompute)

    theirs, free = trains("torch"), trains("torch", "full_unclipped")
    yield Line(f"full fine-tuning f32, {shape}: PyTorch", trains("clora"), RATE, theirs, least=1.5)
    yield Line("its peak resident memory: PyTorch", trains("clora"), RESIDENT, theirs)
    some = trains("clora", recompute="attention")
    yield Line("the same with recomputed attention: PyTorch", some, RATE, theirs, least=1.5)
    yield Line("its peak resident memory: PyTorch", some, RESIDENT, theirs, most=0.5)
    again = trains("clora", "full_unclipped", "layer")
    yield Line("peak without clipping, recomputed: PyTorch without clipping", again, RESIDENT, free, most=0.4)


def layers(model):
    """(N, K) of the frozen weights of a layer: q, k, v as one, and gate and up."""
    c = json.loads(pathlib.Path(model, "config.json").read_text(encoding="utf-8"))
    hidden, inner, heads = c["hidden_size"], c["intermediate_size"], c["num_attention_heads"]
    head = c.get("head_dim") or hidden // heads
    both = heads + 2 * c.get("num_key_value_heads", heads)
    return (both * head, hidden), (hidden, heads * head), (2 * inner, hidden), (hidden, inner)


def linear(o):
    rows = o.shapes[0][0] * o.shapes[0][1]
    for rank in o.ranks:
        for layer in layers(o.model):
            for what, most in (("forward", 0.88), ("dx", 0.95)):
                sides = [Job(side, what, length=rows, rank=rank, layer=layer) for side in ("limit", "torch")]
                text = "{}, {} rows, N {} K {} R {}, ms: PyTorch".format(what, rows, *layer, rank)
                yield Line(text, sides[0], "milliseconds", sides[1], most=most)


def bf16(o):
    for step in o.shapes:
        sides = [trainer(side, "bf16", step, 8) for side in ("clora", "torch")]
        text = f"training bf16, {step[0]} x {step[1]}, rank 8, all linear: PEFT"
        yield Line(text, sides[0], RATE, sides[1], least=1.5, aim=1.9)


def memory(o):
    step, shape = o.shapes[0], "{} x {}".format(*o.shapes[0])
    mine, theirs = (trainer(side, "f32", step, 8) for side in ("clora", "torch"))
    yield Line(f"peak resident memory, {shape}, f32: PEFT", mine, RESIDENT, theirs, most=0.35)
    yield Line(f"peak resident bytes over the plan, {shape}, f32", mine, "over_plan_bytes", most=250e6)


def recompute(o):
    step = o.shapes[0]
    mine = trainer("clora", "f32", step, 8, recompute="layer")
    plain, theirs = (trainer("torch", "f32", step, 8, recompute=again) for again in ("", "layer"))
    yield Line("peak resident memory with recompute: PEFT without", mine, RESIDENT, plain, most=0.25)
    yield Line("training with recompute: PEFT with checkpointing", mine, RATE, theirs, least=1.2)


def generation(o):
    for dtype, least in (("f32", 1.2), ("f16", 1.0)):
        sides = [Job(side, "prefill", dtype, length=o.prompt) for side in ("clora", "llama")]
        yield Line(f"prefill {dtype}, {o.prompt} tokens: llama.cpp", sides[0], RATE, sides[1], least=least)
    for dtype, theirs in (("f32", "f32"), ("f16", "f16"), ("bf16", "f16")):
        mine = Job("clora", "decode", dtype, length=o.new_tokens)
        other = Job("llama", "decode", theirs, length=o.new_tokens)
        yield Line(f"decode {dtype}: llama.cpp {theirs}", mine, RATE, other, least=1.0, aim=1.2)
        text = f"decode {dtype} with an adapter: without"
        yield Line(text, mine, f"adapter_{RATE}", mine, RATE, least=0.9)


def batched(o):
    for count in (8, 32):
        sides = [Job(side, "decode", "f16", length=o.new_tokens, sequences=count) for side in ("clora", "llama")]
        yield Line(f"decode f16, {count} sequences: llama.cpp", sides[0], RATE, sides[1], least=1.0)


def family(o):
    """What every family is held to, on a model of random weights: not among what is measured unless it is named."""
    for step in o.shapes:
        shape = f"{step[0]} x {step[1]}, rank 8, all linear: PEFT"
        for dtype, least in (("f32", 1.3), ("bf16", 1.5)):
            mine, theirs = (trainer(side, dtype, step, 8) for side in ("clora", "torch"))
            yield Line(f"training {dtype}, {shape}", mine, RATE, theirs, least=least)
    mine, theirs = (Job(side, "decode", "f16", length=o.new_tokens) for side in ("clora", "llama"))
    yield Line("decode f16: llama.cpp f16", mine, RATE, theirs, least=1.0)


def transformers(o):
    for what, length in (("prefill", o.prompt), ("decode", o.new_tokens)):
        sides = [Job(side, what, "f32", length=length) for side in ("clora", "torch")]
        yield Line(f"{what} f32: transformers", sides[0], RATE, sides[1])


def start(_):
    warm = Job("clora", "first_step", length=64)
    yield Line("seconds of a whole train of one 1 x 64 step", warm, SECONDS, most=3.0)
    cold = Job("clora", "first_step", length=64, cold=True)
    yield Line("the same with an empty kernel cache", cold, SECONDS, most=12.0)
    yield Line("PEFT's time for it: clora's", Job("torch", "first_step", length=64), SECONDS, warm)
    yield Line("seconds of generate until its first token", Job("clora", "first_token"), SECONDS, most=1.0)


ALL_SECTIONS = training, full, linear, bf16, memory, recompute, generation, batched, transformers, start
USUAL = [f.__name__ for f in ALL_SECTIONS]
SECTIONS = {f.__name__: f for f in (*ALL_SECTIONS, family)}
