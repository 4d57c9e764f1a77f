"""What a training leaves about itself and shows in between: its record, the best state, samples, curves."""

import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device
from support.processes import mind_signals, needs_stop_at, stop_at

FACTORS = "adapter_model.safetensors"
FILES = ["adapter_config.json", FACTORS]


class RunsTest(CommandTest):
    def setUp(self):
        super().setUp()
        for name, source, count in (("data.jsonl", TRAIN, 12), ("val.jsonl", VALIDATION, 3)):
            self.write(name, "".join(source.read_text(encoding="utf-8").splitlines(True)[:count]))
        self.val, self.out = ("--val", self.folder / "val.jsonl"), self.folder / "out"

    def command(self, *options, out=None):
        return ["train", MODEL, "--data", self.folder / "data.jsonl", "--out", out or self.out, "--batch-size", 2,
                "--accumulate", 2, "--rank", 2, *options]

    def lines(self, out=None):
        text = (out or self.out).joinpath("log.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def record(self):
        return json.loads(self.out.joinpath("run.json").read_text(encoding="utf-8"))

    def killed(self, command, call, path, number, after=True):
        """The command meets the signal at a call on this path."""
        done = subprocess.run([CLORA, *map(str, command)], capture_output=True, timeout=300, check=False,
                              env=stop_at(1, call, path, number, after), preexec_fn=mind_signals)
        return done.returncode, done.stderr.decode()


@needs_device
class Record(RunsTest):
    def test_a_run_leaves_its_log_and_says_what_it_was(self):
        said = self.gives_json(*self.command("--steps", 2, *self.val, "--seed", 5))
        self.assertEqual(sorted(os.listdir(self.out)), [*FILES, "log.jsonl", "run.json"])
        self.assertEqual([line["step"] for line in self.lines()], [0, 1, 2, 2])
        record = self.record()
        self.assertEqual(record["result"], said)
        self.assertEqual(record["command"][:4], ["clora", "train", str(MODEL), "--data"])
        self.assertEqual((record["ended"], record["seed"], record["steps"]), ("done", 5, 2))
        self.assertLessEqual(record["begun_at"], record["ended_at"])
        self.assertTrue(record["device"]["driver"])
        for where in (record["plan"], record["data"]["hash"], record["validation"]["hash"]):
            self.assertRegex(where, r"\A[0-9a-f]{32}\Z")
        self.assertNotEqual(record["data"]["hash"], record["validation"]["hash"])
        self.assertEqual(record["data"]["sequences"], 12)
        self.assertGreater(record["peak_process_bytes"], said["peak_device_bytes"] // 2)

    def test_a_failed_run_says_why(self):
        err = self.fails(1, *self.command("--steps", 50, "--lr", "1e9", "--quiet"), says="not finite")
        record = self.record()
        self.assertEqual(record["ended"], "failed")
        self.assertIn(record["why"], err)
        self.assertIsNone(record["validation"])

    @needs_stop_at
    def test_an_interrupted_run_has_a_record_and_ends_as_it_was_begun(self):
        command = self.command("--steps", 3, "--save-every", 1, "--quiet")
        status, err = self.killed(command, "rename", "step-1.", signal.SIGTERM)
        self.assertEqual(status, 128 + signal.SIGTERM, err)
        first = self.record()
        self.assertEqual((first["ended"], first["result"]["step"]), ("interrupted", 1))
        self.succeeds("train", "--resume", self.out, "--quiet")
        second = self.record()
        self.assertEqual((second["ended"], second["result"]["step"]), ("done", 3))
        for key in ("command", "begun_at", "data", "plan", "device"):
            self.assertEqual(first[key], second[key], key)
        self.assertEqual([line["step"] for line in self.lines()], [1, 2, 3])

    @needs_stop_at
    def test_a_run_that_was_killed_early_is_begun_again(self):
        status, _ = self.killed(self.command("--steps", 1, "--quiet"), "rename", FACTORS, signal.SIGKILL, False)
        self.assertEqual(status, -signal.SIGKILL)
        self.assertIn("log.jsonl", os.listdir(self.out))
        status, _, err = clora(*self.command("--steps", 1))
        self.assertEqual(status, 0, err)
        self.assertRegex(err, r"note: removed \S*out/log.jsonl, ")
        self.assertEqual(len(self.lines()), 1)
        # but nothing else goes
        shutil.rmtree(self.out)
        self.out.mkdir()
        self.out.joinpath("log.jsonl").write_text("notes\n", encoding="utf-8")
        self.fails(1, *self.command("--steps", 1), says="is not empty")

    @needs_stop_at
    def test_another_device_or_plan_is_refused_by_name(self):
        command = self.command("--steps", 3, "--save-every", 1, "--quiet")
        status, err = self.killed(command, "rename", "step-1.", signal.SIGKILL)
        self.assertEqual(status, -signal.SIGKILL, err)
        other = os.environ | {"CLORA_PARAM_ADAMW_BLOCK": "128"}
        resume = ["train", "--resume", self.out, "--quiet"]
        self.fails(1, *resume, env=other, says=["step-1.safetensors: what is launched differs", "adamw", "--replan"])
        self.succeeds(*resume, "--replan", env=other)
        self.fails(2, *self.command("--replan"), says="--replan is for --resume")


@needs_device
class Best(RunsTest):
    def test_the_best_is_kept_and_patience_ends_the_run(self):
        options = ("--lr", "5e-2", "--eval-every", 1, *self.val)
        out = self.succeeds(*self.command("--steps", 20, *options, "--best", "--patience", 2))
        record = self.record()
        best, step = record["result"]["best"], record["result"]["step"]
        self.assertEqual(record["ended"], "stopped early")
        self.assertLess(step, 20)
        self.assertEqual(step, best["step"] + 2)
        losses = {line["step"]: line["val_loss"] for line in self.lines() if "val_loss" in line and line["step"]}
        self.assertEqual(best["val_loss"], min(losses.values()))
        self.assertEqual(best["step"], min(losses, key=losses.get))
        self.assertIn(f"stopped early, after step {step} of 20: no lower validation loss in 2 validations", out)
        self.assertEqual(sorted(os.listdir(self.out)), [*FILES, "best", "log.jsonl", "run.json"])
        short = self.folder / "short"
        self.succeeds(*self.command("--steps", best["step"], *options, "--quiet", out=short))
        for name in FILES:
            self.assertEqual((self.out / "best" / name).read_bytes(), (short / name).read_bytes())
        self.assertNotEqual((self.out / FACTORS).read_bytes(), (short / FACTORS).read_bytes())
        loaded = self.gives_json("eval", MODEL, "--adapter", self.out / "best", "--data", self.folder / "val.jsonl",
                                 "--batch-size", 2)
        self.assertAlmostEqual(loaded["loss"], best["val_loss"], places=6)

    def test_they_need_validations(self):
        self.fails(2, *self.command("--best"), says="--best needs --val FILE")
        self.fails(2, *self.command("--patience", 1, *self.val), says="--patience needs --val FILE and --eval-every N")


@needs_device
class Samples(RunsTest):
    def test_samples_are_what_generate_writes_and_change_nothing(self):
        prompts = self.write("prompts.txt", "name: Mia's\n\nThe food\r\n")
        self.succeeds(*self.command("--steps", 3, "--lr", "1e-2", "--quiet", out=self.folder / "plain"))
        out = self.succeeds(*self.command("--steps", 3, "--lr", "1e-2", "--sample-prompts", prompts, "--sample-every",
                                          2, "--sample-tokens", 6))
        for name in FILES:
            self.assertEqual((self.out / name).read_bytes(), (self.folder / "plain" / name).read_bytes())
        samples = [line for line in self.lines() if "sample" in line]
        self.assertEqual([line["step"] for line in samples], [0, 0, 2, 2, 3, 3])
        self.assertEqual([line["prompt"] for line in samples[:2]], ["name: Mia's", "The food"])
        for line in samples[-2:]:
            self.assertIn(json.dumps(line["sample"], ensure_ascii=False), out)
            written = self.gives_json("generate", MODEL, "--adapter", self.out, "--prompt", line["prompt"],
                                      "--max-tokens", 6)
            self.assertEqual(line["sample"], written["text"])

    def test_rows_are_read_as_generate_reads_them(self):
        rows = self.write("rows.jsonl", '{"prompt": "name :"}\n')
        self.succeeds(*self.command("--steps", 1, "--sample-prompts", rows, "--sample-tokens", 2, "--quiet"))
        self.assertEqual([line["prompt"] for line in self.lines() if "sample" in line], ["name :"] * 2)

    def test_mistakes_are_said_before_the_work(self):
        empty = self.write("empty.txt", "\n")
        self.fails(1, *self.command("--sample-prompts", empty), says="empty.txt holds no prompts")
        self.fails(2, *self.command("--sample-every", 2), says="need --sample-prompts FILE")
        self.assertFalse(self.out.exists())


@needs_device
class Skipped(RunsTest):
    def test_so_many_steps_may_be_passed_over(self):
        options = ("--steps", 50, "--lr", "1e9", "--quiet")
        first = self.fails(1, *self.command(*options), says="not finite")
        step = int(first.split("step ")[1].split(":")[0])
        kept = (self.out / FACTORS).read_bytes()
        shutil.rmtree(self.out)
        self.fails(1, *self.command(*options, "--skip-nonfinite", 2), says=[f"step {step + 2}: ", "not finite"])
        self.assertEqual((self.out / FACTORS).read_bytes(), kept)
        passed = [line["step"] for line in self.lines() if line["loss"] is None or line["grad_norm"] is None]
        self.assertEqual(passed, [step, step + 1])
        self.assertEqual(self.record()["result"]["skipped"], 2)

    def test_not_where_weights_follow_at_once(self):
        self.fails(1, "train", MODEL, "--data", self.folder / "data.jsonl", "--out", self.out, "--method", "full",
                   "--clip", 0, "--skip-nonfinite", 1, says="no step can be passed over")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def masked(data):
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xa282ead8) & 0xffffffff


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """[(number, value)] of a message of Protocol Buffers."""
    found, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        found.append((key >> 3, value))
    return found


def events(path):
    """The events of a file whose sums are right: their fields by number."""
    data, found = path.read_bytes(), []
    while data:
        size, = struct.unpack("<Q", data[:8])
        event = data[12:12 + size]
        assert struct.unpack("<I", data[8:12]) == (masked(data[:8]),)
        assert struct.unpack("<I", data[12 + size:16 + size]) == (masked(event),)
        found.append(dict(fields(event)))
        data = data[16 + size:]
    return found


def scalars(path):
    """{(step, tag): value}"""
    found = {}
    for event in events(path):
        for _, value in fields(event.get(5, b"")):
            parts = dict(fields(value))
            found[event[2], parts[1].decode()] = struct.unpack("<f", parts[2])[0]
    return found


@needs_device
class Board(RunsTest):
    def test_tensorboard_has_the_numbers_of_the_log(self):
        self.assertEqual(crc32c(b"123456789"), 0xe3069283)  # as the sum is published
        folder = self.folder / "board"
        self.succeeds(*self.command("--steps", 2, *self.val, "--tensorboard", folder, "--quiet"))
        path, = folder.iterdir()
        self.assertRegex(path.name, r"\Aevents\.out\.tfevents\.\d{10}\.")
        self.assertEqual(events(path)[0][3], b"brain.Event:2")
        tags = {"loss": "train/loss", "lr": "train/learning_rate", "grad_norm": "train/grad_norm",
                "tokens_per_second": "train/tokens_per_second", "val_loss": "eval/loss"}
        wanted = {(line["step"], tags[key]): value for line in self.lines() for key, value in line.items()
                  if key in tags}
        found = scalars(path)
        self.assertEqual(found.keys(), wanted.keys())
        for key, value in wanted.items():
            self.assertAlmostEqual(found[key], value, delta=1e-6 * abs(value))
        self.fails(1, *self.command("--steps", 1, "--tensorboard", self.folder / "val.jsonl", out=self.folder / "no"),
                   says="cannot write to --tensorboard")


class Plot(CommandTest):
    LOG = ('{"step":0,"val_loss":3.5}\n{"step":1,"loss":3.0,"lr":0.1,"grad_norm":1,"tokens":9,"tokens_per_second":50}\n'
           '{"step":2,"loss":null,"lr":0.1,"grad_norm":1,"tokens":9,"tokens_per_second":60}\n'
           '{"step":2,"val_loss":2.5}\n{"step":2,"prompt":"a","sample":"b"}\n'
           '{"step":1,"loss":2.0,"lr":0.1,"grad_norm":1,"tokens":9,"tokens_per_second":50}\n{"step":3,"lo')

    def setUp(self):
        super().setUp()
        self.out = self.folder / "it's an adapter"
        self.out.mkdir()
        self.out.joinpath("log.jsonl").write_text(self.LOG, encoding="utf-8")

    def script(self, *arguments):
        """What gnuplot is told."""
        bins = self.folder / "bin"
        bins.mkdir(exist_ok=True)
        bins.joinpath("gnuplot").write_text(f"#!/bin/sh\ncat > '{self.folder}/script'\n", encoding="utf-8")
        bins.joinpath("gnuplot").chmod(0o755)
        self.succeeds("plot", *arguments, env=os.environ | {"PATH": f"{bins}:{os.environ['PATH']}"})
        return self.folder.joinpath("script").read_text(encoding="utf-8")

    def test_the_points_are_those_of_the_log(self):
        run, = self.gives_json("plot", self.out)["runs"]
        self.assertEqual(run, {"log": str(self.out), "loss": [[1, 3.0], [1, 2.0]], "val_loss": [[0, 3.5], [2, 2.5]],
                               "lr": [[1, 0.1], [2, 0.1], [1, 0.1]],
                               "tokens_per_second": [[1, 50.0], [2, 60.0], [1, 50.0]]})

    def test_gnuplot_draws_them_in_the_terminal_or_a_picture(self):
        script = self.script(self.out)
        self.assertTrue(script.startswith("set terminal dumb 80,24\n"))
        self.assertIn("$run0_3 << END\n1 50\n2 60\n\n1 50\nEND\n", script)  # where a run begins anew
        picture = self.folder / "curves.png"
        script = self.script(self.out, self.out / "log.jsonl", "--out", picture)
        self.assertTrue(script.startswith(f"set terminal pngcairo size 800,960\nset output '{picture}'\n"))
        self.assertIn("title 'it?s an adapter", script.replace(f"{self.folder}/", ""))
        if shutil.which("gnuplot"):
            status, out, err = clora("plot", self.out)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("loss", out)
            self.succeeds("plot", self.out, "--out", self.folder / "curves.svg")
            self.assertIn("</svg>", self.folder.joinpath("curves.svg").read_text(encoding="utf-8"))

    def test_mistakes_are_one_line(self):
        self.fails(1, "plot", self.out, env={"PATH": "/nowhere"}, says="gnuplot is needed to draw and is not installed")
        self.fails(1, "plot", self.folder / "none", says="No such file")
        self.fails(1, "plot", self.write("notes", "{}\n"), says="notes: line 1 is none of a training log")
        self.fails(1, "plot", self.write("empty", ""), says="empty holds no steps yet")
        self.fails(2, "plot", self.out, "--out", "curves.pdf", says="pictures are .svg or .png")


if __name__ == "__main__":
    main()
