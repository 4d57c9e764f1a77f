#!/usr/bin/env python3
"""Train the same adapter with clora and with PyTorch + PEFT, and compare loss and speed.

    bench/compare_training.py MODEL E2E_ZIP [--steps 60] [--rounds 2] [--out result.json]

E2E_ZIP is the published data set of the E2E NLG challenge (trainset.csv, devset.csv). Both sides start from one
adapter with random A and B = 0, see the same pairs in the same order, and use the same options; the loss on
development pairs is computed by each side for its own result, and by PyTorch for clora's adapter too. Rounds
alternate between the two, for a machine that is busy is busy for both. The first update of each round is left out of
the rates: it compiles kernels and fills caches. Needs the packages torch, transformers and peft. Exits 1 when the
losses differ by more than 3 percent or clora makes less than half of PyTorch's tokens per second.
"""

import argparse
import csv
import io
import json
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

import peft
import torch
import transformers

COLUMNS = ("mr", "ref")
LOSS_TOLERANCE = 0.03
LEAST_RATE = 0.5


def read_pairs(archive, name, count):
    """The first pairs of a file, wherever in the archive it lies."""
    with zipfile.ZipFile(archive) as z:
        member = next(n for n in z.namelist() if n.rsplit("/", 1)[-1] == name and not n.startswith("__MACOSX"))
        text = z.read(member).decode("utf-8-sig")
    rows = [tuple(row[c] for c in COLUMNS) for row, _ in zip(csv.DictReader(io.StringIO(text)), range(count))]
    if len(rows) < count:
        sys.exit(f"{archive}: {name} has {len(rows)} rows, {count} are needed")
    return rows


def write_pairs(path, pairs):
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(pairs)


def sequences(tokenizer, pairs, max_length):
    """(ids, labels) as docs/formats.md says: context and target encoded apart, the context masked, eos learnt."""
    bos = [tokenizer.bos_token_id] if tokenizer("x")["input_ids"][0] == tokenizer.bos_token_id else []
    for context, target in pairs:
        head = bos + tokenizer(context, add_special_tokens=False)["input_ids"]
        tail = tokenizer(target, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        if len(head) + len(tail) > max_length:
            sys.exit(f"a pair has {len(head) + len(tail)} tokens; choose a --max-length that cuts none")
        yield head + tail, [-100] * len(head) + tail


def batches(rows, size, pad):
    rows = list(rows)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        width = max(len(ids) for ids, _ in part)
        yield {
            "input_ids": torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in part]),
            "labels": torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in part]),
            "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in part]),
        }


class Torch:
    """One side: PyTorch + PEFT."""

    def __init__(self, options, work):
        torch.set_num_threads(options.threads)
        self.options, self.work = options, work
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(options.model)
        self.pad = self.tokenizer.eos_token_id
        self.train_rows = list(sequences(self.tokenizer, options.train_pairs, options.max_length))
        self.dev_rows = list(sequences(self.tokenizer, options.dev_pairs, options.max_length))

    def base(self):
        return transformers.AutoModelForCausalLM.from_pretrained(self.options.model, dtype=torch.float32)

    def make_adapter(self, folder):
        torch.manual_seed(self.options.seed)
        config = peft.LoraConfig(
            r=self.options.rank,
            lora_alpha=self.options.alpha,
            lora_dropout=0.0,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        peft.get_peft_model(self.base(), config).save_pretrained(folder)

    def eval(self, model):
        """Mean negative log likelihood over the learnt ids."""
        total = learnt = 0
        model.eval()
        with torch.no_grad():
            for batch in batches(self.dev_rows, self.options.eval_batch_size, self.pad):
                count = int((batch["labels"][:, 1:] != -100).sum())
                total += float(model(**batch).loss) * count
                learnt += count
        return total / learnt

    def eval_adapter(self, folder):
        return self.eval(peft.PeftModel.from_pretrained(self.base(), folder))

    def train(self, init):
        model = peft.PeftModel.from_pretrained(self.base(), init, is_trainable=True)
        parameters = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=self.options.lr, weight_decay=0.0)
        losses, steps = [], []
        model.train()
        for batch in batches(self.train_rows, self.options.batch_size, self.pad):
            begin = time.perf_counter()
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            steps.append((int(batch["attention_mask"].sum()), time.perf_counter() - begin))
        return {"losses": losses, "steps": steps, "dev_loss": self.eval(model)}


class Clora:
    """The other side: the command."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        write_pairs(work / "train.csv", options.train_pairs)
        write_pairs(work / "dev.csv", options.dev_pairs)

    def call(self, *arguments):
        command = [self.options.clora, *map(str, arguments), "--json"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{' '.join(map(str, command))}\n{result.stderr}")
        return json.loads(result.stdout)

    def data(self, name):
        return ["--data", self.work / name, "--columns", ",".join(COLUMNS), "--max-length", self.options.max_length]

    def eval(self, *adapter):
        sizes = ["--batch-size", self.options.eval_batch_size]
        return self.call("eval", self.options.model, *adapter, *self.data("dev.csv"), *sizes)["loss"]

    def train(self, init):
        out, log = self.work / "clora-adapter", self.work / "log.jsonl"
        shutil.rmtree(out, ignore_errors=True)
        o = self.options
        run = ["--init-adapter", init, "--out", out, "--log", log, "--no-shuffle", "--steps", o.steps, "--lr", o.lr]
        result = self.call("train", o.model, *self.data("train.csv"), *run, "--batch-size", o.batch_size)
        with open(log, encoding="utf-8") as stream:
            lines = [line for line in map(json.loads, stream) if "loss" in line]
        steps = [(line["tokens"], line["tokens"] / line["tokens_per_second"]) for line in lines]
        return {
            "losses": [line["loss"] for line in lines],
            "steps": steps,
            "dev_loss": self.eval("--adapter", out),
            "peak_device_bytes": result["peak_device_bytes"],
        }


def rate(rounds):
    """Tokens per second of each round without its first update."""
    return [sum(t for t, _ in r["steps"][1:]) / sum(s for _, s in r["steps"][1:]) for r in rounds]


def machine():
    model = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            model = next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return model


def compare(options, work):
    reference, clora = Torch(options, work), Clora(options, work)
    init = work / "init-adapter"
    reference.make_adapter(init)
    before = {"torch": reference.eval_adapter(init), "clora": clora.eval("--adapter", init)}
    print(f"development loss before: torch {before['torch']:.5f}, clora {before['clora']:.5f}", flush=True)
    rounds = {"torch": [], "clora": []}
    for number in range(options.rounds):
        for name, side in (("clora", clora), ("torch", reference)):
            rounds[name].append(side.train(init))
            done = rounds[name][-1]
            print(f"round {number + 1}: {name} {rate([done])[0]:.0f} tokens/s, {done['dev_loss']:.5f}", flush=True)
    last = {name: r[-1] for name, r in rounds.items()}
    rates = {name: rate(r) for name, r in rounds.items()}
    return {
        "machine": machine(),
        "threads": options.threads,
        "model": pathlib.Path(options.model).name,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
        "options": {
            k: getattr(options, k) for k in ("steps", "batch_size", "rank", "alpha", "lr", "max_length", "seed")
        },
        "development_pairs": options.dev_rows,
        "loss_before": before,
        "loss_after": {name: r["dev_loss"] for name, r in last.items()},
        "loss_after_clora_adapter_in_torch": reference.eval_adapter(work / "clora-adapter"),
        "loss_ratio": last["clora"]["dev_loss"] / last["torch"]["dev_loss"],
        "largest_step_loss_difference": max(
            abs(a - b) for a, b in zip(last["clora"]["losses"], last["torch"]["losses"])
        ),
        "training_tokens": {name: sum(t for t, _ in r["steps"]) for name, r in last.items()},
        "tokens_per_second": rates,
        "rate_ratio": statistics.median(rates["clora"]) / statistics.median(rates["torch"]),
        "clora_peak_device_bytes": last["clora"]["peak_device_bytes"],
        "losses": {name: r["losses"] for name, r in last.items()},
    }


def arguments():
    parser = argparse.ArgumentParser(description="Train the same adapter with clora and with PyTorch + PEFT.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("archive", metavar="E2E_ZIP")
    parser.add_argument("--clora", default="build/src/clora", help="(default build/src/clora)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--eval-batch-size", type=int, default=8)
    parser.add_argument("--dev-rows", type=int, default=200, help="development pairs (default 200)")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--out", help="write the result here as JSON")
    return parser.parse_args()


def main():
    options = arguments()
    transformers.logging.set_verbosity_error()
    options.train_pairs = read_pairs(options.archive, "trainset.csv", options.steps * options.batch_size)
    options.dev_pairs = read_pairs(options.archive, "devset.csv", options.dev_rows)
    with tempfile.TemporaryDirectory(prefix="clora-compare-") as folder:
        result = compare(options, pathlib.Path(folder))
    text = json.dumps(result, indent=2) + "\n"
    if options.out:
        pathlib.Path(options.out).write_text(text, encoding="utf-8")
    print(f"development loss after: {result['loss_after']}, ratio {result['loss_ratio']:.4f}")
    print(f"tokens/s: {result['tokens_per_second']}, clora against torch {result['rate_ratio']:.2f}")
    good = abs(result["loss_ratio"] - 1) <= LOSS_TOLERANCE and result["rate_ratio"] >= LEAST_RATE
    sys.exit(not good)


if __name__ == "__main__":
    main()
