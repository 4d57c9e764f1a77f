"""Running the built command in tests: its path is in CLORA_BIN."""

import functools
import json
import os
import pathlib
import random
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLORA = os.environ.get("CLORA_BIN", "clora")
MODEL = ROOT / "models/tiny"
TRAIN = ROOT / "data/train.jsonl"
VALIDATION = ROOT / "data/validation.jsonl"
FIXTURES = pathlib.Path(os.environ.get("CLORA_TEST_FIXTURES", ROOT / "tests/fixtures"))
# The command leaves ignored what its caller ignores: the tests do not depend on who started them.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

SECONDS = 3600 if os.environ.get("CLORA_TEST_LONG") else 240  # of one command, at most: GPUs that are none are slow

MEMORY = "weights", "adapter", "gradients", "optimizer", "activations", "evaluation", "scratch"  # of a plan
COMMANDS = ["devices", "tune", "plan", "train", "eval", "generate", "chat", "merge", "combine", "convert", "inspect",
            "tokenize", "bench", "compare", "plot"]


def clora(*arguments, stdin="", **options):
    """Run to the end: (exit status, standard output, standard error)."""
    if isinstance(stdin, str):
        options["input"] = stdin.encode()
    else:
        options["stdin"] = stdin
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    done = subprocess.run([CLORA, *map(str, arguments)], timeout=SECONDS, check=False, **options)
    return done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode()


def preload(library):
    """LD_PRELOAD with this library before those that the tests themselves have."""
    return ":".join([str(library), *filter(None, [os.environ.get("LD_PRELOAD")])])


def sample(things, count):
    """Some of them, where all would take too long, as support/sample.h draws."""
    if os.environ.get("CLORA_TEST_LONG"):
        return things
    seed = int(os.environ.get("CLORA_TEST_SEED") or time.time())
    print(f"a sample; CLORA_TEST_SEED={seed} repeats it, CLORA_TEST_LONG=1 takes all", file=sys.stderr)
    return random.Random(seed).sample(things, count)


def has_device():
    return clora("devices", "--quiet")[0] == 0


def is_character_device(path):
    return os.path.exists(path) and stat.S_ISCHR(os.stat(path).st_mode)


def takes_panels():
    """Does the default device run the kernels of CPUs? Tests that name one of those say that they need them."""
    status, out, _ = clora("devices", "--json")
    return status == 0 and any(device["default"] and device["gemm"] == "panel" for device in json.loads(out))


needs_device = unittest.skipUnless(has_device(), "no OpenCL device")
needs_panels = unittest.skipUnless(takes_panels(), "the device does not run the kernels of CPUs")
needs_full_device = unittest.skipUnless(is_character_device("/dev/full"), "no /dev/full")


@functools.cache
def help_options(command):
    """{"--rank": "N"} as the help lists them; None without a value, "[WHAT]" where it may be left out."""
    _, out, _ = clora(*command.split(), "--help")
    found = re.findall(r"^  (--[a-z-]+)(?: (\[?[A-Z][A-Z|,]*\]?))?(?:  .*)?$", out, re.MULTILINE)
    return {name: value or None for name, value in found}


def unfolded(text):
    """Output for people before it was folded to the width of a page."""
    return re.sub(r"\n {4,}(?=\S)", " ", text)


class CommandTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="clora-command-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def succeeds(self, *arguments, **options):
        """Standard output of a run that must end well."""
        status, out, err = clora(*arguments, **options)
        self.assertEqual(status, 0, f"clora {arguments}: {err}")
        return out

    def gives_json(self, *arguments, **options):
        """The one object of a run with --json."""
        return json.loads(self.succeeds(*arguments, "--json", **options))

    def one_line(self, err, *parts):
        """An error is one line that begins with the command's name and holds the parts."""
        self.assertRegex(err, r"\Aclora[^\n]*: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, err)

    def fails(self, status, *arguments, says=(), **options):
        """The run must end with this status and one line that says what is wrong."""
        found, out, err = clora(*arguments, **options)
        self.assertEqual(found, status, f"clora {arguments}: {out}{err}")
        self.one_line(err, *([says] if isinstance(says, str) else says))
        return err


def main():
    """Run the tests of the calling module; the last line is what tests/count_tests.py reads."""
    program = unittest.main(exit=False, verbosity=2)
    result = program.result
    bad = len(result.failures) + len(result.errors)
    sys.stdout.flush()
    print(f"[  PASSED  ] {result.testsRun - bad - len(result.skipped)} test(s).")
    if bad:
        print(f"[  FAILED  ] {bad} test(s)")
    if result.skipped:
        print(f"[  SKIPPED ] {len(result.skipped)} test(s)")
    sys.exit(bad > 0)
