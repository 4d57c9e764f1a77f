"""Runs that go on from a checkpoint: the same bytes, the same log, whatever ended them.

Of each method one step is drawn after which a run of 20 goes on; CLORA_TEST_SEED repeats it, CLORA_TEST_LONG=1 takes
all.
"""

import gzip
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device
from support.processes import has_steps, has_stopped, mind_signals, needs_stop_at, start, stop_at, wait_for

STEPS = 6
LORA = ("--rank", 2, "--dropout", 0.1)
WATCHED = ("--lr", 2e-2, "--best", "--patience", 2)  # which is too high for a loss that only falls


def files(folder):
    """Without the record and the log of the run, which have times."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*")
            if path.is_file() and path.name not in ("run.json", "log.jsonl")}


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
        self.out, self.log = self.folder / "out", self.folder / "out/log.jsonl"
        self.data, self.held_out = "data.jsonl", "val.jsonl"

    def begin(self, out, *options):
        return ["train", MODEL, "--data", self.folder / self.data, "--val", self.folder / self.held_out, "--out", out,
                "--steps", STEPS, "--eval-every", 2, "--batch-size", 2, "--accumulate", 2, "--quiet",
                *(options or LORA)]

    def whole(self, *options):
        """What a run that nothing ends leaves."""
        out = self.folder / "whole"
        self.succeeds(*self.begin(out, *options))
        return files(out), lines(out / "log.jsonl")

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
        self.log = self.folder / "another.jsonl"
        command = self.begin(self.out, *options, "--save-every", 1, "--log", self.log)
        for step, after in ((1, True), (4, False)):
            process = self.stopped(command, step, signal.SIGKILL, after)
            self.assertEqual(process.returncode, -signal.SIGKILL, process.stderr)
            command = ["train", "--resume", self.out, "--quiet"]
        with self.log.open("a", encoding="utf-8") as log:
            log.write('{"step":5,"loss":')  # half a line
        self.succeeds(*command)
        self.assertEqual((files(self.out), lines(self.log)), whole)

    def killed(self, command, call, path, number=signal.SIGKILL):
        """Before this call, without a checkpoint that was asked for."""
        process = subprocess.run([CLORA, *map(str, command)], capture_output=True, timeout=300, check=False,
                                 env=stop_at(1, call, path, number))
        self.assertEqual(process.returncode, -number, process.stderr)

    def test_a_run_that_is_killed_at_its_first_best_state_goes_on_or_is_run_again(self):
        options = (*LORA, "--steps", 3, "--best")
        whole = self.whole(*options)
        command = self.begin(self.out, *options)
        self.killed(command, "mkdir", "out/.best-unfinished")
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual((files(self.out), lines(self.log)), whole)
        shutil.rmtree(self.out)
        self.killed(command, "rename", "/step-2.")  # of the checkpoint that is written first
        self.fails(1, "train", "--resume", self.out, says="no checkpoint of a run is there")
        self.succeeds(*command)
        self.assertEqual((files(self.out), lines(self.log)), whole)

    def test_a_run_that_is_killed_between_the_directories_of_two_methods_goes_on(self):
        options = ("--method", "lora,prefix", "--rank", 2, "--prefix-tokens", 3, "--steps", 2)
        whole = self.whole(*options)
        self.killed(self.begin(self.out, *options), "mkdir", "out/prefix")
        self.assertTrue((self.out / "lora/adapter_config.json").exists())
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual((files(self.out), lines(self.log)), whole)
        status, _, err = clora("train", "--resume", self.out)
        self.assertEqual(status, 0, err)
        self.assertIn("is over", err)

    def test_an_interrupted_run_keeps_its_place_before_its_adapter(self):
        command = self.begin(self.out, *LORA, "--steps", 10**6)
        with start(CLORA, *command, env=stop_at(1, "rename", "out/adapter_model")) as process:
            wait_for(process, has_steps(self.log))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.assertEqual(len(list(self.out.glob("checkpoint/step-*.safetensors"))), 1)

    def test_a_run_that_a_signal_ends_goes_on_with_the_same_bytes(self):
        options = (*LORA, "--method", "lora,prefix", "--prefix-tokens", 3)
        whole = self.whole(*options)
        command = self.begin(self.out, *options, "--save-every", 2)
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
        process = self.stopped(self.begin(self.out, *options, "--save-every", 3), 3, signal.SIGINT, True)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, process.stderr)
        self.assertTrue((self.out / "config.json").exists())
        self.write("out/checkpoint/.clora-unfinished-1-1", "")  # no other checkpoint comes
        self.succeeds("train", "--resume", self.out, "--quiet")
        self.assertEqual((files(self.out), lines(self.log)), whole)


LONG = bool(os.environ.get("CLORA_TEST_LONG"))
SEED = int(os.environ.get("CLORA_TEST_SEED", random.randrange(10**6)))
ALL_STEPS = 20
EXTRAS = ("--steps", ALL_STEPS, "--eval-every", 3, "--best", "--patience", 5, "--schedule", "cosine", "--warmup", 3,
          "--clip", 0.5, "--optimizer", "adamw8bit")
ROWS = ("--pack", "--max-length", 64, "--val", "25%", "--template", "chatml")


@needs_stop_at
class EachStep(ResumeTest):
    """With all that a run does besides: shuffling, accumulation, validation, clipping, a schedule, moments of 8 bits,
    the best state kept, an end where it gets no better; dropout, packing and rows from a file where a method has them.
    """

    def setUp(self):
        super().setUp()
        rows = [json.loads(line) for line in TRAIN.read_text(encoding="utf-8").splitlines()[12:24]]
        pairs = [{"prompt": row["context"], "chosen": row["target"], "rejected": other["target"]}
                 for row, other in zip(rows, rows[1:])]
        self.write("pairs.jsonl", "".join(json.dumps(pair) + "\n" for pair in pairs))
        packed = self.folder / "packed.jsonl.gz"
        packed.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows[:6]).encode()))
        self.packed = ("--data", f"{packed}:1.5")
        self.environment = os.environ | {"CLORA_CACHE_DIR": str(self.folder)}

    def prepared(self):
        """The files of sequences, which a run that goes on finds again."""
        return [(path, path.stat().st_ino) for path in self.folder.glob("data/*")]

    def copies(self, command, steps):
        """The output directory as a kill would leave it where a checkpoint of these steps has just got its name."""
        environment = stop_at(0, "rename", "/step-", signal.SIGSTOP, after=True)
        with start(CLORA, *command, env=environment | {"CLORA_CACHE_DIR": str(self.folder)}) as process:
            for number in range(10**6):
                wait_for(process, has_stopped)
                if process.poll() is not None:
                    self.assertEqual(process.returncode, 0, process.stderr.read())
                    return
                step = max(int(path.stem[5:]) for path in self.out.glob("checkpoint/step-*.safetensors"))
                if step in steps:
                    yield step, shutil.copytree(self.out, self.folder / f"copy-{number}")
                if step >= max(steps):
                    return
                process.send_signal(signal.SIGCONT)

    def goes_on(self, *options, streamed=()):
        whole = self.whole(*EXTRAS, *options)
        last = max(row["step"] for row in whole[1])
        self.assertGreater(last, 10)
        draw = random.Random(f"{SEED} {self.id()}")
        steps = range(1, last) if LONG else [draw.randrange(1, last)]
        command = self.begin(self.out, *EXTRAS, *options, *streamed, "--save-every", 1)
        seen = set()
        for step, copy in self.copies(command, steps):
            with self.subTest(f"CLORA_TEST_SEED={SEED}: step {step}"):
                before = self.prepared()
                self.succeeds("train", "--resume", copy, "--quiet", env=self.environment)
                self.assertEqual((files(copy), lines(copy / "log.jsonl")), whole)
                self.assertEqual((self.prepared(), len(before)), (before, len(streamed) // 2))
            seen.add(step)
            shutil.rmtree(copy)
        self.assertEqual(seen, set(steps))

    def test_of_lora(self):
        self.goes_on(*LORA, *ROWS, *self.packed, streamed=("--stream", "on"))

    def test_of_all_weights(self):
        self.goes_on("--method", "full", "--lr", 1e-3, *ROWS, *self.packed, streamed=("--stream", "on"))

    def test_of_bottlenecks_and_a_prefix(self):
        self.goes_on("--method", "adapter,prefix", "--bottleneck-dropout", 0.1, "--prefix-tokens", 3, *ROWS,
                     *self.packed, streamed=("--stream", "on"))

    def test_of_preferences(self):
        self.data, self.held_out = "pairs.jsonl", "pairs.jsonl"
        self.goes_on(*LORA, "--objective", "dpo", "--lr", 1e-3)


class Checkpoints(ResumeTest):
    def test_as_many_as_are_to_be_kept(self):
        self.succeeds(*self.begin(self.out, *LORA, "--save-every", 1, "--keep", 2))
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
        self.succeeds(*self.begin(self.out))
        self.assertNotIn("checkpoint", [path.name for path in self.out.iterdir()])
        status, _, err = clora("train", "--resume", self.out)
        self.assertEqual(status, 0, err)
        self.assertIn("is over", err)

    @needs_stop_at
    def test_what_would_change_the_run_is_refused_by_name(self):
        process = self.stopped(self.begin(self.out, *LORA, "--save-every", 2), 2, signal.SIGKILL, True)
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
        self.plant_others(self.out / "checkpoint")
        self.fails(1, "train", "--resume", self.out, "--quiet", says=f"{self.out}/checkpoint/step-8.safetensors: Is a")
        self.out.joinpath("checkpoint/step-8.safetensors").rmdir()
        self.succeeds("train", "--resume", self.out, "--quiet", "--eval-every", 3)

    def plant_others(self, folder):
        """What bears the name of a checkpoint and is none; and what one says of itself that cannot be."""
        folder.joinpath("step-8.safetensors").mkdir()
        os.mkfifo(folder / "step-7.safetensors")
        folder.joinpath("step-6.safetensors").symlink_to("nowhere")
        for name in ("step-99999999999999999999", "step--1", "step-", "step-+6", "step-05"):
            folder.joinpath(f"{name}.safetensors").write_bytes(b"")
        good = folder / "step-2.safetensors"
        data = good.read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:end])
        note = json.loads(header["__metadata__"]["note"])
        note |= {"begun_at": 10**18, "val_step": 10**18, "sample_step": "x", "tokens": -10**18, "seconds": None,
                 "best": {"step": 10**18, "loss": 1e300, "since": -5}}
        header["__metadata__"]["note"] = json.dumps(note)
        text = json.dumps(header).encode()
        good.write_bytes(struct.pack("<Q", len(text)) + text + data[end:])


if __name__ == "__main__":
    main()
