"""Let calls fail, one after the other, in whole commands: run_failures.py CLORA_FAILING [OPTION...]

CLORA_FAILING is the command with the calls of tests/support/failing.h. Each run fails one allocation, OpenCL call or
operation on a file, or all from there on, and must end in one of two ways: exit status 0 and the very result of a run
where nothing fails, or exit status 1, one line that says what failed, and nothing that looks like a result; a training
with checkpoints must then give that result when it goes on. A report of a sanitizer is always a failure. Without
--long, a sample of the calls is taken, drawn by the seed that is printed.
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
FIXTURES = TESTS / "fixtures"
SANITIZER = 99  # exit status
NO_VERDICT = b"LeakSanitizer has encountered a fatal error"  # it met a driver's thread that was about to end
ATTEMPTS = 3
DIARY = ("log.jsonl", "run.json")  # times of day, and no result
NEVER = 10**15
PREFIX = "clora "
UNKNOWN = ("clGetDeviceInfo:", "clGetPlatformInfo:")  # what a driver does not tell is taken as 0: another device

# Name, what runs, and for each kind of call how many that fail alone and how many from which on all fail are a sample.
HOST = {"memory": (6, 3), "json": (3, 1), "file": (5, 1)}
DEVICE = {"memory": (3, 1), "json": (1, 0), "opencl": (4, 1), "file": (2, 1)}
CHECKPOINTS = {"memory": (1, 0), "opencl": (1, 0), "file": (2, 1)}
LONG = 200  # calls of a kind on a device that are enough for a long run, but of files: all
TRAIN = ["train", ROOT / "models/tiny", "--data", ROOT / "data/validation.jsonl", "--out", "out", "--steps", "2",
         "--batch-size", "2", "--max-length", "48", "--quiet"]
KEEPING = [*TRAIN, "--save-every", "1", "--keep", "2"]
RESUME = ["train", "--resume", "out", "--quiet"]
INSPECT_MODEL = ["inspect", ROOT / "models/tiny"]
INCOMPLETE = "note: cannot read "  # a tokenizer; the rest is told all the same
COMMANDS = [
    ("tokenize", ["tokenize", FIXTURES / "tokenizers/llama2", "Hello world's 12 <s>", "--special"], HOST),
    ("inspect adapter", ["inspect", FIXTURES / "tiny-llama-patterns"], HOST),
    ("inspect adapter as JSON", ["inspect", FIXTURES / "tiny-llama-patterns", "--json"], HOST),
    ("inspect data", ["inspect", ROOT / "data/validation.jsonl"], HOST),
    ("merge", ["merge", FIXTURES / "tiny-llama", FIXTURES / "tiny-llama-lora", "--out", "out", "--quiet"], HOST),
    ("combine", ["combine", FIXTURES / "tiny-llama-lora", FIXTURES / "tiny-llama-patterns:-2", "--out", "out"], HOST),
    ("convert", ["convert", FIXTURES / "tiny-llama-patterns", "--to", "mlx", "--out", "out", "--quiet"], HOST),
    ("inspect model", INSPECT_MODEL, DEVICE),
    ("generate", ["generate", ROOT / "models/tiny", "--prompt", "name :", "--max-tokens", "6", "--quiet"], DEVICE),
    ("train", TRAIN, DEVICE),
    ("checkpoints", KEEPING, CHECKPOINTS),
    ("resume", RESUME, CHECKPOINTS)]


class Failures:
    def __init__(self, program, folder, seed):
        self.program, self.folder, self.random = program, folder, random.Random(seed)
        self.bad = self.runs = 0
        suppressions = TESTS / "support/leaks.txt"
        self.environment = dict(os.environ) | {
            "ASAN_OPTIONS": f"detect_leaks=1:allocator_may_return_null=1:exitcode={SANITIZER}"
                            ":verify_asan_link_order=0",
            "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0:exitcode={SANITIZER}",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "CLORA_FAIL_REPORT": str(folder / "report"),
            "CLORA_CACHE_DIR": str(folder / "clora-cache")}

    def prepare(self):
        """A training that was killed after its first step."""
        if self.run(KEEPING, f"memory:{NEVER}")[0] != 0:
            sys.exit("a training with checkpoints fails by itself")
        out = self.folder / "out"
        for path in out.iterdir():
            if path.name not in ("log.jsonl", "checkpoint"):
                path.unlink()
        out.joinpath("checkpoint/step-2.safetensors").unlink()
        out.rename(self.folder / "begun")

    def run(self, arguments, failing, anew=True):
        """Exit status, standard output, standard error and the files of out."""
        out = self.folder / "out"
        for _ in range(ATTEMPTS):
            if anew:
                shutil.rmtree(out, ignore_errors=True)
            if anew and arguments == RESUME:
                shutil.copytree(self.folder / "begun", out)
            done = subprocess.run([self.program, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                                  env=self.environment | {"CLORA_FAIL": failing}, cwd=self.folder, timeout=600,
                                  check=False)
            if NO_VERDICT not in done.stderr:
                break
        files = {p.name: p.read_bytes() for p in sorted(out.glob("*")) if p.is_file() and p.name not in DIARY}
        self.runs += 1
        return done.returncode, done.stdout, done.stderr.decode(errors="replace"), files

    def calls(self, arguments, kind):
        """What a run gives where nothing fails, and how often each function of the kind is called there."""
        usual = self.run(arguments, f"{kind}:{NEVER}")
        if usual[0] != 0:
            sys.exit(f"{' '.join(map(str, arguments))} fails by itself: {usual[2]}")
        lines = [line.split() for line in (self.folder / "report").read_text().splitlines()]
        return usual, {function: int(count) for function, count in lines}

    def places(self, kind, functions, alone, onwards):
        """Some calls that fail alone, rare functions as often as common ones, and some from which on all fail."""
        total = sum(functions.values())
        if total == 0:
            return []
        drawn = [self.random.choice(list(functions)) for _ in range(alone)]
        places = {f"{function}:{self.random.randrange(functions[function])}" for function in drawn}
        places |= {f"{kind}:{self.random.randrange(total)}+" for _ in range(onwards)}
        return sorted(places)

    def goes_on(self, usual):
        """Whether a training with checkpoints that failed can still give its result."""
        begun = list(self.folder.glob("out/checkpoint/step-*.safetensors"))
        status, _, errors, files = self.run(RESUME if begun else KEEPING, f"memory:{NEVER}", anew=False)
        return None if status == 0 and files == usual[3] else f"it does not go on: {errors}"

    def wrong(self, arguments, result, usual):
        """What is not as it must be, or None; `usual` None: any result will do."""
        status, out, errors, files = result
        lines = [line for line in errors.splitlines() if " note: " not in line]
        if status == 0:
            same = not usual or (out, files) == (usual[1], usual[3])
            if arguments == INSPECT_MODEL and INCOMPLETE in errors:
                return None
            return None if same and not lines else "exit status 0, another result"
        if status != 1:
            return f"exit status {status}"
        if not lines or not lines[0].startswith(PREFIX) or len(lines[0].split(": ", 1)[1]) < 10:
            return "no line that says why"
        if len(lines) > 1 and "does not build" not in lines[0]:  # a compiler's log may follow
            return "more than one line"
        if "the adapter is saved" in lines[0]:  # and something beside it is not
            return None if usual and files == usual[3] else "another adapter"
        if usual and arguments in (KEEPING, RESUME):
            return self.goes_on(usual)
        return f"{', '.join(files)} is left" if files else None

    def check(self, arguments, usual, failing):
        if failing.startswith(UNKNOWN):
            usual = None
        result = self.run(arguments, failing)
        wrong = self.wrong(arguments, result, usual)
        if wrong:
            self.bad += 1
            print(f"WRONG: CLORA_FAIL={failing} {' '.join(map(str, arguments))}\n  {wrong}\n{result[2][-6000:]}")

    def loop(self, name, arguments, kind, most):
        """A sample of the calls of a kind, or with `most` None all of them."""
        if arguments == RESUME and not (self.folder / "begun").exists():
            self.prepare()
        usual, functions = self.calls(arguments, kind)
        total, runs, bad = sum(functions.values()), self.runs, self.bad
        if most:
            places = self.places(kind, functions, *most)
        else:
            places = [f"{kind}:{at}{on}" for on in ("", "+") for at in range(total)]
        for failing in places:
            self.check(arguments, usual, failing)
        print(f"{name}: {self.runs - runs} of {total} calls of kind {kind}, {self.bad - bad} wrong", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--long", action="store_true", help=f"every call, or {LONG} of a kind on a device")
    parser.add_argument("--only", default="", help="the start of a command's name and kind: 'train: opencl'")
    options = parser.parse_args()
    print(f"--seed {options.seed}", flush=True)
    program = str(pathlib.Path(options.program).resolve())
    with tempfile.TemporaryDirectory(prefix="clora-failures-") as name:
        failures = Failures(program, pathlib.Path(name), options.seed)
        has_device = failures.run(["devices", "--quiet"], f"memory:{NEVER}")[0] == 0
        for command, arguments, kinds in COMMANDS:
            for kind, sample in kinds.items():
                if f"{command}: {kind}".startswith(options.only) and (kinds is HOST or has_device):
                    long = None if kinds is HOST or kind == "file" else (LONG, LONG)
                    failures.loop(command, arguments, kind, long if options.long else sample)
    print(f"{failures.runs} runs, {failures.bad} wrong")
    return 1 if failures.bad else 0


sys.exit(main())
