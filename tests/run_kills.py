"""Kill whole commands, and run them again: run_kills.py CLORA_FAILING [OPTION...]

CLORA_FAILING is the command with the calls of tests/support/failing.h, which kills itself (SIGKILL) in place of its
n-th operation on a file or OpenCL call; besides, it is killed after a time. What --resume then gives, or running it
again where there is no checkpoint, must be the very files of a run that nothing disturbs. Tuning must leave a cache
that can be read, with all that was in it. Without --long a few moments are drawn, by the seed that is printed.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
TIMES = ("log.jsonl", "run.json", "run.json.new")  # files that have times of day in them
NEVER = 10**15
TRAIN = ["train", ROOT / "models/tiny", "--data", "pairs.jsonl", "--val", "25%", "--out", "out", "--steps", "4",
         "--batch-size", "2", "--eval-every", "2", "--best", "--quiet"]
RESUME = ["train", "--resume", "out", "--quiet"]
TUNE = ["tune", "--shape", "40,24", "--rank", "2", "--for", "generate", "--max-length", "4", "--budget", "600s",
        "--quiet"]

# Name, what runs, and of each kind of moment how many in a long run, and otherwise.
RUNS = [
    ("training", [*TRAIN, "--rank", "2", "--dropout", "0.1", "--save-every", "1"],
     {"file": (40, 2), "opencl": (10, 1), "time": (10, 0)}),
    ("training without checkpoints", [*TRAIN, "--rank", "2"], {"file": (20, 1), "time": (5, 0)}),
    ("training of two methods", [*TRAIN, "--method", "lora,prefix", "--rank", "2"], {"file": (15, 1), "time": (5, 0)}),
    ("training of all weights", [*TRAIN, "--method", "full", "--save-every", "2"], {"file": (25, 1), "time": (5, 0)}),
    ("merging", ["merge", FIXTURES / "tiny-llama", FIXTURES / "tiny-llama-lora", "--out", "out", "--quiet"],
     {"file": (35, 3), "time": (10, 0)}),
    ("tuning", TUNE, {"file": (15, 1), "opencl": (5, 0)})]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name not in TIMES}


def lines(log):
    """All but the time of each step."""
    rows = map(json.loads, log.read_text(encoding="utf-8").splitlines()) if log.exists() else ()
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


class Kills:
    def __init__(self, program, folder, seed):
        self.program, self.folder, self.random = program, folder, random.Random(seed)
        self.out, self.cache = folder / "out", folder / "cache"
        self.killed = self.late = self.bad = 0
        rows = (ROOT / "data/validation.jsonl").read_text(encoding="utf-8").splitlines(True)
        folder.joinpath("pairs.jsonl").write_text("".join(rows[:12]), encoding="utf-8")

    def run(self, arguments, failing=f"memory:{NEVER}", seconds=None):
        """Exit status and standard error; killed after so many seconds."""
        environment = os.environ | {"CLORA_FAIL": failing, "CLORA_FAIL_REPORT": str(self.folder / "report"),
                                    "CLORA_CACHE_DIR": str(self.cache), "POCL_EXTRA_BUILD_FLAGS": "-cl-opt-disable"}
        process = subprocess.Popen([self.program, *map(str, arguments)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, cwd=self.folder)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait(), process.communicate()[1].decode(errors="replace")

    def undisturbed(self, arguments, kind):
        """A run to its end: how many calls of the kind it made, or how long it took."""
        self.fresh()
        begin = time.monotonic()
        status, errors = self.run(arguments, f"{kind}:{NEVER}")
        if status != 0:
            sys.exit(f"{' '.join(map(str, arguments))} fails by itself: {errors}")
        report = (self.folder / "report").read_text().split()
        return time.monotonic() - begin if kind == "time" else sum(map(int, report[1::2]))

    def fresh(self):
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)

    def result(self):
        return files(self.out), lines(self.out / "log.jsonl")

    def again(self, arguments, whole):
        """What is wrong after another attempt, or None."""
        if whole[0].items() <= files(self.out).items():
            return None  # it was killed after its work
        begun = list(self.out.glob("checkpoint/step-*.safetensors"))
        status, errors = self.run(RESUME if begun else arguments)
        if status != 0:
            return f"{'--resume' if begun else 'running again'} ends with {status}: {errors}"
        return None if self.result() == whole else f"other files or another log: {sorted(files(self.out))}"

    def tuned(self, arguments, before):
        """The same of tuning."""
        status, errors = self.run(["tune", "show", "--json"])
        if status != 0 or "ignored" in errors:
            return f"the cache cannot be read: {errors}"
        if not before.items() <= files(self.cache).items():
            return "an entry is lost"
        status, errors = self.run(arguments)
        entries = [name for name in files(self.cache) if "/entries/" in name]
        return None if status == 0 and not any("unfinished" in name for name in entries) else f"again: {errors}"

    def kill(self, arguments, kind, moment):
        """Whether it was killed in time."""
        if kind == "time":
            status, _ = self.run(arguments, seconds=moment)
        else:
            status, _ = self.run(arguments, f"{kind}:{moment}!")
        return status == -signal.SIGKILL

    def finished(self):
        """What tuning had found before: an entry of another shape."""
        self.fresh()
        status, errors = self.run([*TUNE[:2], "128,24", "--rank", "0", "--for", "generate", "--max-length", "1"])
        if status != 0:
            sys.exit(f"tuning fails by itself: {errors}")
        return {name: data for name, data in files(self.cache).items() if "/entries/" in name}

    def check(self, name, arguments, kind, moments):
        total = self.undisturbed(arguments, kind)
        whole = self.result()
        for _ in range(moments):
            moment = self.random.uniform(0, total) if kind == "time" else self.random.randrange(total)
            self.fresh()
            before = self.finished() if arguments is TUNE else {}
            if not self.kill(arguments, kind, moment):
                self.late += 1
            self.killed += 1
            wrong = self.tuned(arguments, before) if arguments is TUNE else self.again(arguments, whole)
            if wrong:
                self.bad += 1
                print(f"WRONG: {name}, killed at {kind} {moment} of {total}: {wrong}", flush=True)
        print(f"{name}: killed at {moments} of {total:.6g} ({kind})", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--long", action="store_true", help="200 moments", default="CLORA_TEST_LONG" in os.environ)
    parser.add_argument("--only", default="", help="the start of a run's name and kind: 'training: file'")
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="clora-kills-") as folder:
        kills = Kills(str(pathlib.Path(options.program).resolve()), pathlib.Path(folder), options.seed)
        has_device = kills.run(["devices", "--quiet"])[0] == 0
        for name, arguments, kinds in RUNS:
            for kind, (long, few) in kinds.items():
                moments = long if options.long else few
                wanted = f"{name}: {kind}".startswith(options.only) and (has_device or arguments[0] == "merge")
                if moments and wanted:
                    kills.check(name, arguments, kind, moments)
    print(f"{kills.killed} kills, {kills.late} of them too late, {kills.bad} wrong")
    return 1 if kills.bad else 0


if __name__ == "__main__":
    sys.exit(main())
