"""Runs that go on from a checkpoint: the same bytes, the same log, whatever ended them."""

import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device
from support.processes import mind_signals, needs_stop_at, stop_at

STEPS = 6
LORA = ("--rank", 2, "--dropout", 0.1)
WATCHED = ("--lr", 2e-2, "--best", "--patience", 2)  # which is too high for a loss that only falls


def files(folder):
    """Without the record of the run, which has the time of day."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name != "run.json"}


def adapter(contents):
    """Without checkpoints, which know how long the run took."""
    return {name: data for name, data in contents.items() if name.startswith("adapter")}


def lines(log):
    """All but the time of each step."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key != "tokens_per_second"} for row in rows]


@needs_device
class ResumeTest(CommandTest):
    def setUp(self):
        super().setUp()
        for name, source, count in (("data.jsonl", TRAIN, 12), ("val.jsonl", VALIDATION, 3)):
            self.write(name, "".join(source.read_text(encoding="utf-8").splitlines(True)[:count]))
        self.write("prompts.txt", "name :\n")
        self.samples = ("--sample-prompts", self.folder / "prompts.txt", "--sample-every", 3, "--sample-tokens", 4)
        self.out, self.log = self.folder / "out", self.folder / "log.jsonl"

    def begin(self, out, log, *options):
        return ["train", MODEL, "--data", self.folder / "data.jsonl", "--val", self.folder / "val.jsonl", "--out", out,
                "--log", log, "--steps", STEPS, "--eval-every", 2, "--batch-size", 2, "--accumulate", 2, "--quiet",
                *(options or LORA)]

    def whole(self, *options):
        """What a run that nothing ends leaves."""
        out, log = self.folder / "whole", self.folder / "whole.jsonl"
        self.succeeds(*self.begin(out, log, *options))
        return files(out), lines(log)

    def stopped(self, command, step, number, after):
        """The command meets the signal where this step's checkpoint gets its name."""
        environment = stop_at(1, "rename", f"step-{step}.", number, after)
        return subprocess.run([CLORA, *map(str, command)], capture_output=True, timeout=300, env=environment,
                              preexec_fn=mind_signals, check=False)


@needs_stop_at
class Resume(ResumeTest):
    def test_a_run_that_is_killed_goes_on_with_the_same_bytes(self):
        options = (*LORA, *WATCHED, *self.samples)
        whole = self.whole(*options)
        command = self.begin(self.out, self.log, *options, "--save-every", 1)
        for step, after in ((1, True), (2, False), (4, True)):
            process = self.stopped(command, step, signal.SIGKILL, after)
            self.assertEqual(process.returncode, -signal.SIGKILL, process.stderr)
            command = ["train", "--resume", self.out, "--quiet"]
        with self.log.open("a", encoding="utf-8") as log:
            log.write('{"step":5,"loss":')  # half a line
        self.succeeds(*command)
        self.assertEqual((files(self.out), lines(self.log)), whole)

    def test_a_run_that_a_signal_ends_goes_on_with_the_same_bytes(self):
        options = (*LORA, "--method", "lora,prefix", "--prefix-tokens", 3)
        whole = self.whole(*options)
        command = self.begin(self.out, self.log, *options, "--save-every", 2)
        process = self.stopped(command, 2, signal.SIGTERM, True)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM, process.stderr)
        self.assertIn(b"interrupted after 2 of 6 steps", process.stderr)
        self.assertTrue((self.out / "lora/adapter_config.json").exists())
        self.fails(1, *command, says=[f"{self.out} holds a run that did not end", f"--resume {self.out} goes on"])
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual((files(self.out), lines(self.log)), whole)

    def test_a_whole_model_goes_on_over_what_an_interruption_saved(self):
        options = ("--method", "full", "--optimizer", "adamw8bit")
        whole = self.whole(*options)
        process = self.stopped(self.begin(self.out, self.log, *options, "--save-every", 3), 3, signal.SIGINT, True)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, process.stderr)
        self.assertTrue((self.out / "config.json").exists())
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual((files(self.out), lines(self.log)), whole)


@needs_stop_at
class Streamed(ResumeTest):
    def test_rows_from_a_file_give_the_same_bytes_and_the_same_log(self):
        cache = {**os.environ, "CLORA_CACHE_DIR": str(self.folder)}
        rows = TRAIN.read_text(encoding="utf-8").splitlines(True)
        packed = self.folder / "packed.jsonl.gz"
        packed.write_bytes(gzip.compress("".join(rows[12:18]).encode()))
        options = (*LORA, "--data", f"{packed}:1.5", "--val", "25%", "--template", "chatml", "--pack",
                   "--max-length", 64)
        whole = self.whole(*options)
        command = self.begin(self.out, self.log, *options, "--save-every", 1, "--stream", "on")
        environment = {**stop_at(1, "rename", "step-2.", signal.SIGKILL, True), "CLORA_CACHE_DIR": str(self.folder)}
        process = subprocess.run([CLORA, *map(str, command)], capture_output=True, timeout=300, env=environment,
                                 check=False)
        self.assertEqual(process.returncode, -signal.SIGKILL, process.stderr)
        kept = list((self.folder / "data").iterdir())
        before = [(path, path.stat().st_ino) for path in kept]
        self.assertEqual(len(kept), 1)
        self.succeeds("train", "--resume", self.out, "--quiet", env=cache)
        self.assertEqual((files(self.out), lines(self.log)), whole)
        self.assertEqual([(path, path.stat().st_ino) for path in (self.folder / "data").iterdir()], before)


class Checkpoints(ResumeTest):
    def test_as_many_as_are_to_be_kept(self):
        self.succeeds(*self.begin(self.out, self.log, *LORA, "--save-every", 1, "--keep", 2))
        self.assertEqual(sorted(path.name for path in (self.out / "checkpoint").iterdir()),
                         [f"step-{STEPS - 1}.safetensors", f"step-{STEPS}.safetensors"])
        before = files(self.out)
        status, out, err = clora("train", "--resume", self.out)
        self.assertEqual((status, out), (0, ""), err)
        self.assertIn("is over", err)
        self.assertEqual(files(self.out), before)
        # the one before it, when the newest is damaged
        newest = self.out / f"checkpoint/step-{STEPS}.safetensors"
        newest.write_bytes(newest.read_bytes()[:-1])
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual(adapter(files(self.out)), adapter(before))

    def test_without_one_there_is_nothing_to_go_on_with(self):
        self.fails(1, "train", "--resume", self.out, says=f"--resume {self.out}: no such directory")
        self.out.mkdir()
        self.fails(1, "train", "--resume", self.out, says="no checkpoint of a run is there")
        shutil.rmtree(self.out)
        self.succeeds(*self.begin(self.out, self.log))
        self.assertNotIn("checkpoint", [path.name for path in self.out.iterdir()])
        status, _, err = clora("train", "--resume", self.out)
        self.assertEqual(status, 0, err)
        self.assertIn("is over", err)

    @needs_stop_at
    def test_what_would_change_the_run_is_refused_by_name(self):
        process = self.stopped(self.begin(self.out, self.log, *LORA, "--save-every", 2), 2, signal.SIGKILL, True)
        self.assertEqual(process.returncode, -signal.SIGKILL, process.stderr)
        before = files(self.out)
        for option, value in (("--lr", 0.1), ("--rank", 3), ("--steps", 9), ("--seed", 1), ("--method", "full"),
                              ("--data", self.folder / "val.jsonl"), ("--no-shuffle", None), ("--dtype", "bf16")):
            words = [option] if value is None else [option, value]
            self.fails(2, "train", "--resume", self.out, *words, says=f"{option} would change the run")
        self.fails(2, "train", "--resume", self.out, MODEL, says="unexpected argument")
        data = self.folder / "data.jsonl"
        text = data.read_text(encoding="utf-8")
        data.write_text(text.replace("name", "nome", 1), encoding="utf-8")
        self.fails(1, "train", "--resume", self.out, "--quiet", says="is of a run whose data is not this one's")
        data.unlink()
        self.fails(1, "train", "--resume", self.out, "--quiet", says="data.jsonl")
        self.assertEqual(files(self.out), before)
        data.write_text(text, encoding="utf-8")
        self.succeeds("train", "--resume", self.out, "--quiet", "--eval-every", 3)


if __name__ == "__main__":
    main()
