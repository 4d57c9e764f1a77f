"""Signals and the command: what the caller ignores stays ignored; the exit status tells which signal ended a run."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, FIXTURES, MODEL, VALIDATION, CommandTest, main, needs_device
from support.processes import (has_begun, has_driver, has_steps, has_stopped, needs_proc, needs_stop_at, start, stop_at,
                               wait_for)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ignoring(*numbers):
    def prepare():
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
    return prepare


class SignalTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.write("pairs.jsonl", "".join(VALIDATION.read_text(encoding="utf-8").splitlines(True)[:8]))
        self.out = self.folder / "out"
        self.cache = os.environ | {"CLORA_CACHE_DIR": str(self.folder / "cache")}

    def training(self, steps):
        return ["train", MODEL, "--data", self.data, "--out", self.out, "--steps", steps, "--quiet"]


@needs_device
class Ignored(SignalTest):
    def survives(self, *command, numbers=SIGNALS, **options):
        """A run that meets these signals from its beginning to its end, all of them ignored by the caller."""
        with start(CLORA, *command, preexec_fn=ignoring(*numbers), **options) as process:
            while process.poll() is None:
                for number in numbers:
                    process.send_signal(number)
                time.sleep(0.01)
            out, err = process.communicate()
        self.assertEqual(process.returncode, 0, err)
        self.assertNotRegex(err, b"interrupted|stopping")
        return out

    def test_training_survives(self):
        self.survives(*self.training(4))
        self.assertEqual(len(os.listdir(self.out)), 4)

    def test_commands_that_use_a_device_survive(self):
        self.survives("devices", numbers=(*SIGNALS, signal.SIGQUIT))
        self.assertTrue(self.survives("generate", MODEL, "--prompt", "name:"))
        self.survives("eval", MODEL, "--data", self.data)
        self.survives("bench", MODEL, "--rounds", "1", "--max-length", "16", "--new-tokens", "2")

    def test_tuning_survives(self):
        command = ["tune", "--shape", "96,64", "--for", "generate", "--budget", "3s", "--json"]
        result = json.loads(self.survives(*command, env=self.cache))
        self.assertEqual(result["unusable"], 0)

    def test_commands_of_the_host_survive(self):
        self.survives("merge", FIXTURES / "tiny-llama", FIXTURES / "tiny-llama-lora", "--out", self.out)
        with start(CLORA, "tokenize", MODEL, preexec_fn=ignoring(*SIGNALS), stdin=subprocess.PIPE) as process:
            wait_for(process, has_begun)
            for number in SIGNALS:
                process.send_signal(number)
            out, _ = process.communicate(b"text", timeout=60)
        self.assertEqual((process.returncode, out[:1]), (0, b"["))

    def test_a_shell_in_which_they_are_trapped_and_nohup(self):
        log = self.folder / "log.jsonl"
        for words in (["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh"], ["nohup"]):
            if not shutil.which(words[0]):
                continue
            with self.subTest(words[0]), start(*words, CLORA, *self.training(1000000), "--log", log) as process:
                wait_for(process, has_steps(log))
                for _ in range(20):
                    process.send_signal(signal.SIGHUP)
                    time.sleep(0.02)
                self.assertIsNone(process.poll())
                process.send_signal(signal.SIGTERM)  # which is not ignored
                _, err = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 128 + signal.SIGTERM, err)
            shutil.rmtree(self.out, ignore_errors=True)
            log.unlink()


@needs_proc
class Status(SignalTest):
    def ends(self, number, condition, *command, **options):
        with start(CLORA, *command, **options) as process:
            wait_for(process, condition)
            self.assertTrue(condition(process), "it ended, or never came there")
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # where the condition is that it stands still
            out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + number, err)
        return out, err

    def test_a_command_that_reads_its_input(self):
        for number in SIGNALS:
            with self.subTest(number.name):
                out, err = self.ends(number, has_begun, "tokenize", MODEL, stdin=subprocess.PIPE)
                self.assertEqual((out, err), (b"", b""))

    @needs_device
    @needs_stop_at
    def test_the_signal_that_ended_a_command_of_the_device(self):
        commands = (["eval", MODEL, "--data", VALIDATION], ["bench", MODEL, "--rounds", "32"],
                    ["generate", MODEL, "--prompt", "name:", "--max-tokens", "200"])
        for command, number in zip(commands, SIGNALS):
            with self.subTest(command[0]):
                stopped = stop_at(1, "open", MODEL / "model.safetensors", signal.SIGSTOP)
                self.ends(number, lambda process: has_stopped(process) and has_driver(process), *command, env=stopped)

    @needs_device
    def test_tuning_keeps_what_it_found(self):
        for number in (signal.SIGTERM, signal.SIGHUP):  # SIGINT: test_command_tune.py
            with self.subTest(number.name):
                entries = len(list(self.folder.glob("cache/**/entries/*.json")))
                out, err = self.ends(number, lambda _, had=entries: len(list(
                    self.folder.glob("cache/**/entries/*.json"))) > had, "tune", MODEL, "--json", env=self.cache)
                self.assertGreater(json.loads(out)["done"], entries)
                self.assertRegex(err, rb"clora tune: interrupted; what was found is kept[^\n]*\n\Z")

    @needs_device
    @needs_stop_at
    def test_a_training_that_has_not_begun_leaves_nothing(self):
        # the directory is tried; the device is open and the data are next
        for call, path, after in (("mkdir", self.out, False), ("mkdir", self.out, True), ("open", self.data, False)):
            for number in SIGNALS:
                with self.subTest(f"{number.name} {call} {after}"):
                    process = subprocess.run([CLORA, *map(str, self.training(1000000))], capture_output=True,
                                             timeout=120, env=stop_at(1, call, path, number, after))
                    self.assertEqual(process.returncode, 128 + number, process.stderr)
                    self.assertFalse(self.out.exists())


if __name__ == "__main__":
    main()
