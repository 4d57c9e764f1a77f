#!/usr/bin/env python3
"""Long runs of the command: what it holds stays as it is, and no text is wrong: bench/hours.py [MODEL]

    bench/hours.py [MODEL] [--only training,generations,order] [--steps 10000] [--requests 10000] [--seed N]

training     so many steps, with checkpoints and validation: resident memory, open files and threads after the first
             fifth of the run against those at its end
generations  so many requests, adapters drawn by Zipf's law from more than fit, so that they are read and evicted under
             load: the same, and each text against that of a run with one slot and room for all; a sample of them, drawn
             by the seed that is printed, against a process of its own each
order        200 requests, half of them greedy, alone, in 8 and in 32 slots, and shuffled: the same ids

On a CPU device memory is resident memory. Ends with status 1 where something grows or differs.
"""

import argparse
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

import adapters

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEBI = 2**20
GROWTH = 0.01  # of resident memory, from the middle of a run to its end
PERIOD = 0.1  # seconds between looks
ADAPTERS, FIT, SLOTS, TOKENS, CAPACITY = 200, 20, 16, 8, 64
STRENGTH = 100  # of an adapter, so that it changes texts
ALONE = 20  # requests that have a process of their own
ORDERED = 200
WORDS = ["Once upon a time", "The weather today", "; fruit =", "In the beginning there was", "name : The Old Mill"]


def look(pid):
    """Resident bytes, open files, threads."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
        fields = dict(line.split(":", 1) for line in stream)
    return int(fields["VmRSS"].split()[0]) << 10, len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"])


def watch(command, out):
    """Run to the end: what it held at each look, what it said, and the seconds it took."""
    begin, looks = time.monotonic(), []
    with open(out, "wb") as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen([*map(str, command)], stdout=stdout, stderr=stderr)
        while process.poll() is None:
            try:
                looks.append(look(process.pid))
            except (OSError, KeyError):
                break  # it has just ended
            time.sleep(PERIOD)
        process.wait()
        stderr.seek(0)
        said = stderr.read().decode()
    if process.returncode:
        sys.exit(f"{' '.join(map(str, command))}: {said}")
    return looks, said, time.monotonic() - begin


def is_flat(looks):
    """Print what was held after the first fifth and at the end; the last looks may be those of an end."""
    looks = looks[:-2]
    fifth = max(len(looks) // 5, 1)
    early, late = looks[fifth:3 * fifth], looks[3 * fifth:]
    flat = True
    for name, i, unit, growth in (("resident MiB", 0, MEBI, GROWTH), ("open files", 1, 1, 0), ("threads", 2, 1, 0)):
        # half of the looks: a file that is just being written is none that stays open
        first, last = (statistics.median(held[i] for held in part) for part in (early, late))
        grows = last > first * (1 + growth)
        flat &= not grows
        print(f"    {name}: {first / unit:.4g} after a fifth, {last / unit:.4g} at the end{'  GROWS' if grows else ''}")
    return flat


class Hours:
    def __init__(self, options, folder):
        self.o, self.folder, self.random = options, folder, random.Random(options.seed)
        self.failed = False

    def expect(self, what, good):
        self.failed |= not good
        print(f"    {what}: {'yes' if good else 'NO'}", flush=True)

    def training(self):
        command = [self.o.clora, "train", self.o.model, "--data", ROOT / "data/train.jsonl", "--val",
                   ROOT / "data/validation.jsonl", "--out", self.folder / "out", "--steps", self.o.steps,
                   "--batch-size", 1, "--max-length", 16, "--save-every", max(self.o.steps // 20, 1), "--eval-every",
                   max(self.o.steps // 5, 1), "--quiet"]
        looks, _, seconds = watch(command, self.folder / "stdout")
        print(f"training: {self.o.steps} steps in {seconds:.0f} s")
        self.expect("flat", is_flat(looks))

    def rows(self, count, names):
        """Requests; every other one is sampled, with a seed of its own."""
        chosen = self.random.choices(names, [1 / (k + 1) for k in range(len(names))], k=count)
        for i, name in enumerate(chosen):
            row = {"prompt": self.random.choice(WORDS) + " " * (i % 3), "adapter": name, "id": i}
            yield row | ({"temperature": 0.9, "seed": i} if i % 2 else {})

    def command(self, rows, slots, *options):
        path = self.folder / "requests.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return [self.o.clora, "generate", self.o.model, "--requests", path, "--adapters", self.folder / "adapters",
                "--slots", slots, "--capacity", CAPACITY, "--max-tokens", TOKENS, "--stats", "--quiet", *options]

    def ask(self, rows, slots, *options):
        """{id: (ids, text)}, then as watch()."""
        out = self.folder / "answers"
        result = watch(self.command(rows, slots, *options), out)
        answers = map(json.loads, out.read_text().splitlines())
        return {answer["id"]: (answer["ids"], answer["text"]) for answer in answers}, *result

    def in_a_process(self, row):
        sampling = ["--temperature", row["temperature"], "--seed", row["seed"]] if "seed" in row else []
        command = [self.o.clora, "generate", self.o.model, "--prompt", row["prompt"], "--adapter",
                   self.folder / "adapters" / row["adapter"], "--max-tokens", TOKENS, "--json", *sampling]
        done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, check=True)
        answer = json.loads(done.stdout)
        return answer["ids"], answer["text"]

    def make_adapters(self, count):
        """Their names, and how many bytes they take."""
        config = json.loads(pathlib.Path(self.o.model, "config.json").read_text())
        shapes, names = adapters.shapes_of(config, False), [f"a{i}" for i in range(count)]
        missing = [name for name in names if not (self.folder / "adapters" / name).exists()]
        for name in missing:
            path, rank = self.folder / "adapters" / name, 1 + int(name[1:]) % 16
            adapters.make_adapter(path, config, shapes, rank, int(name[1:]))
            settings = json.loads((path / "adapter_config.json").read_text())
            (path / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": STRENGTH * rank}))
        return names, sum(path.stat().st_size for path in (self.folder / "adapters").glob("*/*.safetensors"))

    def generations(self):
        names, size = self.make_adapters(ADAPTERS)
        rows = list(self.rows(self.o.requests, names))
        answers, looks, said, seconds = self.ask(rows, SLOTS, "--adapter-memory", size * FIT // ADAPTERS)
        print(f"generations: {self.o.requests} requests of {TOKENS} tokens with {ADAPTERS} adapters, of which about "
              f"{FIT} fit, in {seconds:.0f} s; {re.search('adapters: (.*)', said).group(1)}")
        self.expect("flat", is_flat(looks))
        self.expect("each text as with one slot", answers == self.ask(rows, 1)[0])
        sample = self.random.sample(rows, min(ALONE, len(rows)))
        self.expect(f"{len(sample)} of them as in a process of their own",
                    all(answers[row["id"]] == self.in_a_process(row) for row in sample))

    def order(self):
        names, _ = self.make_adapters(ADAPTERS)
        rows = list(self.rows(ORDERED, names))
        shuffled = self.random.sample(rows, len(rows))
        alone = self.ask(rows, 1)[0]
        print(f"order: {len(rows)} requests, {len({str(answer) for answer in alone.values()})} different texts")
        for slots in (8, 32):
            self.expect(f"{slots} slots", self.ask(rows, slots)[0] == alone)
            self.expect(f"{slots} slots, shuffled", self.ask(shuffled, slots)[0] == alone)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default=ROOT / "models/tiny")
    parser.add_argument("--clora", default=ROOT / "build/src/clora")
    parser.add_argument("--only", default="training,generations,order")
    parser.add_argument("--steps", type=int, default=10000)
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="clora-hours-") as folder:
        hours = Hours(options, pathlib.Path(folder))
        for part in options.only.split(","):
            {"training": hours.training, "generations": hours.generations, "order": hours.order}[part]()
    sys.exit(hours.failed)


if __name__ == "__main__":
    main()
