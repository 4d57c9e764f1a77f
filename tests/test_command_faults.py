"""What a run leaves that is killed, interrupted or refused while it writes: all, or nothing that the next one minds."""

import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import (CLORA, FIXTURES, MODEL, SECONDS, VALIDATION, CommandTest, clora, main, needs_device,
                             needs_full_device)
from support.processes import has_steps, has_stopped, needs_stop_at, start, stop_at, wait_for

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ADAPTER = FIXTURES / "tiny-llama-lora"
FAILING = os.environ.get("CLORA_TEST_FAILING", "")  # the command with support/failing.h


def contents(folder):
    """Without what a training writes of itself."""
    if not folder.exists():
        return {}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ("log.jsonl", "run.json")}


def limited(kind, size):
    return lambda: resource.setrlimit(kind, (size, size))


class MergeTest(CommandTest):
    """A base in two shards, with files beside the weights; merging it takes some milliseconds."""

    def setUp(self):
        super().setUp()
        self.base, self.out, self.log = self.folder / "base", self.folder / "out", self.folder / "log"
        self.base.mkdir()
        tensors = checkpoint.read(FIXTURES / "tiny-llama/model.safetensors")
        names = list(tensors)
        checkpoint.write_shards(self.base, [{n: tensors[n] for n in part} for part in (names[::2], names[1::2])])
        for name in ("config.json", "generation_config.json"):
            shutil.copy(FIXTURES / "tiny-llama" / name, self.base / name)
        self.base.joinpath("LICENSE").write_text("free\n", encoding="utf-8")
        self.command = ["merge", self.base, ADAPTER, "--out", self.out]
        self.succeeds("merge", self.base, ADAPTER, "--out", self.folder / "whole")
        self.whole = contents(self.folder / "whole")

    def merges(self):
        """An attempt that must succeed, and leave what an undisturbed one does."""
        status, _, err = clora(*self.command)
        self.assertEqual(status, 0, err)
        self.assertEqual(contents(self.out), self.whole)
        return err


class Merge(MergeTest):
    def points(self, after=False):
        """Every point of a merge at which a file gets its name, is made durable or is taken away."""
        for call, count in (("rename", 6), ("fsync", 20), ("unlink", 1)):
            for number in range(1, count + 1):
                yield number, call, after

    @needs_stop_at
    def test_killed_at_any_point_it_leaves_whole_files_and_the_next_attempt_succeeds(self):
        killed = noted = 0
        points = [*self.points(), *self.points(after=True)]
        if not os.environ.get("CLORA_TEST_LONG"):
            points = points[random.randrange(4)::4]  # each is drawn often, and names itself when it fails
        for number, call, after in points:
            with self.subTest(f"{'after' if after else 'before'} {call} {number}"):
                with start(CLORA, *self.command, env=stop_at(number, call, self.out, after=after)) as process:
                    process.communicate(timeout=60)
                if process.returncode == 0:
                    shutil.rmtree(self.out)  # there are fewer such calls
                    continue
                killed += 1
                self.assertEqual(process.returncode, -signal.SIGKILL)
                left = {name: data for name, data in contents(self.out).items() if not name.startswith(".clora-")}
                self.assertLessEqual(left.items(), self.whole.items())
                if "config.json" in left:
                    self.assertEqual(left, self.whole)
                    self.fails(1, *self.command, says="is not empty")
                    self.assertEqual(contents(self.out), self.whole)
                else:
                    noted += "clora merge: note: removed " in self.merges()
                shutil.rmtree(self.out)
        self.assertGreater(killed, len(points) // 3)
        self.assertGreater(noted, len(points) // 4)

    @needs_stop_at
    def test_a_signal_ends_it_and_leaves_nothing(self):
        for number in (1, 2, 3):
            for made in (False, True):
                with self.subTest(f"{number} {made}"):
                    if made:
                        self.out.mkdir()
                    environment = stop_at(number, "fsync", self.out, signal.SIGSTOP)
                    with start(CLORA, *self.command, env=environment) as process:
                        wait_for(process, has_stopped)
                        process.send_signal(SIGNALS[number - 1])
                        process.send_signal(signal.SIGCONT)
                        out, err = process.communicate(timeout=60)
                    self.assertEqual(process.returncode, 128 + SIGNALS[number - 1], err)
                    self.assertEqual(out, b"")
                    self.assertRegex(err, rb"clora merge: interrupted; nothing is left in [^\n]*/out\n\Z")
                    self.assertEqual(self.out.exists(), made)
                    self.merges()
                    shutil.rmtree(self.out)

    @needs_stop_at
    def test_a_second_signal_ends_it_at_once_and_the_next_attempt_succeeds(self):
        with start(CLORA, *self.command, env=stop_at(2, "rename", self.out, signal.SIGSTOP)) as process:
            wait_for(process, has_stopped)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCONT):  # before it can act on the first
                process.send_signal(number)
            process.communicate(timeout=60)
        self.assertIn(process.returncode, (-signal.SIGTERM, -signal.SIGHUP))
        self.assertTrue(any(self.out.iterdir()))
        self.merges()

    def test_a_limit_on_file_sizes_is_an_error_with_its_remedy(self):
        largest = max(map(len, self.whole.values()))
        for size in (0, 1, 4096, 30000, largest - 1):
            with self.subTest(size):
                self.fails(1, *self.command, preexec_fn=limited(resource.RLIMIT_FSIZE, size),
                           says=["cannot write ", "File too large; raise the limit on file sizes (ulimit -f)"])
                self.assertFalse(self.out.exists())
        self.succeeds(*self.command, preexec_fn=limited(resource.RLIMIT_FSIZE, largest))

    def test_with_little_memory_it_is_done_or_refused(self):
        for mib in (48, 64, 96, 128, 192, 256):
            with self.subTest(mib):
                status, _, err = clora(*self.command, preexec_fn=limited(resource.RLIMIT_AS, mib << 20))
                if status == 0:
                    self.assertEqual(contents(self.out), self.whole)
                    shutil.rmtree(self.out)
                elif err.startswith("clora"):
                    self.assertEqual(status, 1, err)
                    self.assertFalse(self.out.exists())

    @needs_full_device
    def test_streams_that_are_full_or_closed_do_not_touch_the_model(self):
        for redirect, status in ((">/dev/full", 1), (">&-", 1), ("2>&-", 0), ("<&- 2>&-", 0), (">/dev/full 2>&-", 1)):
            with self.subTest(redirect):
                done = subprocess.run(["sh", "-c", f'"$@" {redirect}', "sh", CLORA, *map(str, self.command)],
                                      capture_output=True, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(contents(self.out), self.whole)
                shutil.rmtree(self.out)

    def test_a_directory_that_holds_anything_is_refused(self):
        self.out.mkdir()
        for make, name in (pathlib.Path.touch, "file"), (pathlib.Path.mkdir, "below"), (pathlib.Path.touch, ".hidden"):
            with self.subTest(name):
                make(self.out / name)
                self.fails(1, *self.command, says=[str(self.out), "is not empty"])
                self.assertEqual(os.listdir(self.out), [name])
                shutil.rmtree(self.out)
                self.out.mkdir()

    def test_the_model_is_never_the_output_under_any_name(self):
        before = contents(self.base)
        link, around = self.folder / "link", self.folder / "around"
        link.symlink_to(self.base)
        around.symlink_to(self.folder)
        for out in (self.base, f"{self.base}/", self.base / "." / "below", self.base / "below", link, link / "below",
                    around / "base", around / "base/below", f"{self.base}/../base", f"{self.folder}/./base//below/"):
            with self.subTest(out):
                self.fails(1, "merge", self.base, ADAPTER, "--out", out, says="lies in the model directory")
        self.fails(1, "merge", link, ADAPTER, "--out", self.base / "below", says="lies in the model directory")
        self.assertEqual(contents(self.base), before)
        self.succeeds("merge", self.base, ADAPTER, "--out", f"{self.base}2")  # a name that only begins alike


@needs_stop_at
class OneRunAtATime(MergeTest):
    def test_a_second_merge_is_refused_by_name_and_the_first_goes_on(self):
        link = self.folder / "link"
        link.symlink_to(self.out)
        with start(CLORA, *self.command, env=stop_at(1, "rename", self.out, signal.SIGSTOP)) as process:
            wait_for(process, has_stopped)
            for name in (self.out, link, f"{self.out}/../out/"):
                self.fails(1, "merge", self.base, ADAPTER, "--out", name,
                           says=[f"the output directory {name} is being written by another run", "name a new one"])
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(contents(self.out), self.whole)

    def test_the_claim_ends_with_its_owner(self):
        with start(CLORA, *self.command, env=stop_at(1, "rename", self.out, signal.SIGSTOP)) as process:
            wait_for(process, has_stopped)
            process.kill()
            process.communicate()
        self.assertIn("which a run left unfinished", self.merges())

    @needs_device
    def test_a_training_and_a_merge_exclude_each_other(self):
        with start(CLORA, *self.command, env=stop_at(1, "rename", self.out, signal.SIGSTOP)) as process:
            wait_for(process, has_stopped)
            self.fails(1, "train", MODEL, "--data", VALIDATION, "--out", self.out, "--quiet", says="by another run")
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=60)
        self.assertEqual(contents(self.out), self.whole)


@needs_device
class Train(CommandTest):
    FILES = {"adapter_config.json", "adapter_model.safetensors"}

    def setUp(self):
        super().setUp()
        lines = VALIDATION.read_text(encoding="utf-8").splitlines(True)
        self.data, self.out = self.write("pairs.jsonl", "".join(lines[:4])), self.folder / "out"

    def command(self, steps=1, *more):
        return ["train", MODEL, "--data", self.data, "--out", self.out, "--steps", steps, "--quiet", *more]

    def test_a_second_training_into_the_same_directory_is_refused_by_name_at_its_start(self):
        log = self.folder / "log.jsonl"
        with start(CLORA, *self.command(1000000, "--rank", "4"), "--log", log) as process:
            wait_for(process, has_steps(log))
            self.fails(1, *self.command(), says=[f"the output directory {self.out} is being written by another run"])
            self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    @needs_stop_at
    def test_killed_while_it_saves_it_leaves_whole_files_and_the_next_attempt_succeeds(self):
        self.succeeds(*self.command())
        whole = contents(self.out)
        shutil.rmtree(self.out)
        for number, call, after in ((1, "rename", False), (1, "rename", True), (2, "rename", False)):
            with self.subTest(f"{call} {number} {after}"):
                with start(CLORA, *self.command(), env=stop_at(number, call, self.out, after=after)) as process:
                    process.communicate(timeout=120)  # which is the next attempt of the one before, too
                self.assertEqual(process.returncode, -signal.SIGKILL)
                left = {name: data for name, data in contents(self.out).items() if not name.startswith(".clora-")}
                self.assertLessEqual(left.items(), whole.items())
                self.assertNotIn("adapter_config.json", left)
                self.fails(1, "eval", MODEL, "--adapter", self.out, "--data", self.data, says="adapter_config.json")
        status, _, err = clora(*self.command()[:-1])
        self.assertEqual(status, 0, err)
        self.assertRegex(err, r"\A(clora train: note: removed [^\n]*/out/[^\n]*\n)+\Z")
        self.assertEqual(contents(self.out), whole)

    def test_a_limit_on_file_sizes_is_an_error_and_no_signal(self):
        for size in (0, 4096, 200000):
            with self.subTest(size):
                status, _, err = clora(*self.command(), preexec_fn=limited(resource.RLIMIT_FSIZE, size))
                self.assertEqual(status, 1, err)
                self.assertEqual(contents(self.out), {})

    @needs_full_device
    def test_streams_that_are_full_or_closed_do_not_touch_the_adapter(self):
        for redirect, status in ((">/dev/full", 1), ("<&- >&- 2>&-", 1)):
            with self.subTest(redirect):
                words = ["sh", "-c", f'"$@" {redirect}', "sh", CLORA, *map(str, self.command()[:-1])]
                done = subprocess.run(words, capture_output=True, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(set(contents(self.out)), self.FILES)
                shutil.rmtree(self.out)

    def test_caches_that_cannot_be_written_are_an_error_or_done_without(self):
        file = self.write("file", "")
        status, _, err = clora(*self.command(), env=os.environ | {"POCL_CACHE_DIR": str(file)})
        if status != 0:  # only PoCL cannot do without
            self.assertRegex(err, r"(?m)\Aclora train: .*$")
            self.assertFalse(self.out.exists())
        shutil.rmtree(self.out, ignore_errors=True)
        self.succeeds(*self.command(), env=os.environ | {"CLORA_CACHE_DIR": str(file)})
        self.assertEqual(set(contents(self.out)), self.FILES)

    def test_a_place_that_cannot_be_written_is_refused_before_the_work(self):
        file = self.write("file", "")
        for out in (file, file / "below", "/dev/null", "/proc/nowhere", self.folder / "no" / "where"):
            with self.subTest(out):
                self.fails(1, *self.command(), "--out", out, says=f"cannot write {out}: ")
                self.fails(1, "merge", MODEL, ADAPTER, "--out", out, says="")
        self.fails(1, "tune", "export", "/dev/full", says="cannot write /dev/full: No space left on device")

    def test_the_model_and_the_adapter_that_goes_on_are_never_the_output(self):
        link = self.folder / "link"
        link.symlink_to(MODEL)
        before = contents(MODEL)
        for out in (MODEL, f"{MODEL}/.", link):
            self.fails(1, *self.command(), "--out", out, says="is not empty")
        self.succeeds(*self.command())
        self.fails(1, *self.command(), "--init-adapter", self.out, says="is not empty")
        self.assertEqual(contents(MODEL), before)


@unittest.skipUnless(os.path.exists(FAILING), "no command with calls that fail")
class Hang(CommandTest):
    """Calls into a driver that does not come back."""

    def hangs(self, call, number, *arguments):
        """The limit grows where a busy machine takes as long with another call before it comes to this one."""
        for seconds in (1, 4, 16, 64):
            environment = {"CLORA_FAIL": f"{call}:{number}", "CLORA_FAIL_HANGS": "1",
                           "CLORA_DEVICE_TIMEOUT": str(seconds)}
            done = subprocess.run([FAILING, *map(str, arguments)], env=os.environ | environment, capture_output=True,
                                  text=True, timeout=SECONDS, check=False)
            if done.returncode == 0 or f": {call} has not" in done.stderr:
                break
        self.assertEqual(done.returncode, 1, done.stderr)
        self.one_line(done.stderr, f": {call} has not come back", "CLORA_DEVICE_TIMEOUT")

    @needs_device
    def test_a_call_that_does_not_come_back_ends_the_command(self):
        for call in ("clBuildProgram", "clEnqueueReadBuffer", "clEnqueueNDRangeKernel"):
            with self.subTest(call):
                self.hangs(call, 0, "generate", MODEL, "--prompt", "name :", "--max-tokens", 1, "--quiet")

    def test_a_limit_that_is_none_is_refused(self):
        for wrong in ("soon", "-1", "1e9", "nan", " 5", "5s"):
            with self.subTest(wrong):
                self.fails(1, "devices", env=os.environ | {"CLORA_DEVICE_TIMEOUT": wrong},
                           says=["CLORA_DEVICE_TIMEOUT", wrong])


if __name__ == "__main__":
    main()
