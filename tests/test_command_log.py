"""clora train --log: what stands in the file stays, one run writes to it, and pipes and standard streams work too."""

import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, VALIDATION, CommandTest, clora, main, needs_device
from support.processes import has_steps, start, wait_for


@needs_device
class Log(CommandTest):
    def setUp(self):
        super().setUp()
        lines = VALIDATION.read_text(encoding="utf-8").splitlines(True)
        self.data, self.out = self.write("pairs.jsonl", "".join(lines[:4])), self.folder / "out"
        self.log = self.folder / "log.jsonl"

    def command(self, log, out="out", steps=1, data=None):
        return ["train", MODEL, "--data", data or self.data, "--out", self.folder / out, "--steps", steps, "--quiet",
                "--log", log]

    def refuses(self, log, status=1, says="", **options):
        self.fails(status, *self.command(log, **options), says=says)
        self.assertFalse(self.out.exists())

    def steps(self, text):
        return [json.loads(line)["step"] for line in text.splitlines()]

    def test_the_lines_of_a_second_run_go_behind_those_of_the_first(self):
        self.succeeds(*self.command(self.log, "first", 2))
        first = self.log.read_text(encoding="utf-8")
        self.succeeds(*self.command(self.log, "second"))
        text = self.log.read_text(encoding="utf-8")
        self.assertTrue(text.startswith(first))
        self.assertEqual(self.steps(text), [1, 2, 1])

    def test_a_line_that_was_cut_off_spoils_no_other(self):
        self.log.write_text('{"step":1,"loss":1.5}\n{"step":2,"lo', encoding="utf-8")
        self.succeeds(*self.command(self.log))
        lines = self.log.read_text(encoding="utf-8").splitlines()
        self.assertEqual(lines[:2], ['{"step":1,"loss":1.5}', '{"step":2,"lo'])
        self.assertEqual([json.loads(line)["step"] for line in lines[2:]], [1])

    def test_a_file_that_is_no_log_is_not_written_to(self):
        for text in ("notes\n", "{", '{"step" : 1}\n', "\n", '{"model_type":"llama"}'):
            with self.subTest(text):
                self.log.write_text(text, encoding="utf-8")
                self.refuses(self.log, says=[f"the log {self.log} holds something other than a log", "name another"])
                self.assertEqual(self.log.read_text(encoding="utf-8"), text)

    def test_a_file_of_the_run_itself_is_no_log(self):
        self.data.chmod(0o644)
        before = self.data.read_bytes()
        link, hard = self.folder / "link", self.folder / "hard"
        link.symlink_to(self.data)
        os.link(self.data, hard)
        for log in (self.data, link, hard, f"{self.folder}/./pairs.jsonl"):
            self.refuses(log, 2, says="would write over the data")
        self.assertEqual(self.data.read_bytes(), before)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            self.refuses(self.out / name, 2, says="a file of the adapter")
        self.fails(1, *self.command(MODEL / "config.json"), says="holds something other than a log")

    def test_a_log_belongs_to_one_run(self):
        link = self.folder / "link"
        link.symlink_to(self.log)
        with start(CLORA, *self.command(self.log, "other", 1000000)) as process:
            wait_for(process, has_steps(self.log))
            for log in (self.log, link):
                self.refuses(log, says=[f"the log {log} is being written by another run", "name a new one"])
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=120)
        self.succeeds(*self.command(self.log))

    def test_a_run_that_does_not_begin_leaves_no_log(self):
        self.refuses(self.log, data=self.folder / "none.jsonl", says="none.jsonl")
        self.refuses(self.out / "log", data=self.folder / "none.jsonl", says="none.jsonl")
        self.assertEqual(os.listdir(self.folder), ["pairs.jsonl"])
        with start(CLORA, *self.command(self.out / "log", steps=1000000)) as process:
            wait_for(process, has_steps(self.out / "log"))
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGINT)
        self.assertIn("adapter_config.json", os.listdir(self.out))

    def test_the_log_may_lie_in_the_output_directory_however_the_two_are_spelt(self):
        self.folder.joinpath("link").symlink_to(self.folder)
        self.folder.joinpath("there").mkdir()
        for out, log in (("there", "./there/log"), ("new", "there/../new//log"), ("last/", "link/last/log")):
            with self.subTest(log):
                self.succeeds(*self.command(f"{self.folder}/{log}", out))
                self.assertEqual(self.steps(self.folder.joinpath(log).read_text(encoding="utf-8")), [1])

    def test_a_pipe_has_the_lines_when_somebody_reads_it_and_hangs_nothing_when_nobody_does(self):
        os.mkfifo(self.log)
        with start(CLORA, *self.command(self.log, "first")) as process:
            self.assertEqual(self.steps(self.log.read_text(encoding="utf-8")), [1])
            process.communicate(timeout=120)
        self.assertEqual(process.returncode, 0)
        self.refuses(self.log, out="second", says=[str(self.log), "nobody reads from this pipe"])

    def test_a_standard_stream_may_be_the_log(self):
        _, out, _ = clora(*self.command("/dev/stdout", "a"))
        self.assertEqual(self.steps(out), [1])
        _, _, err = clora(*self.command("/dev/stderr", "b"))
        self.assertEqual(self.steps(err), [1])
        file = self.write("file", "before\n")
        with open(file, "ab") as stream:
            subprocess.run([CLORA, *map(str, self.command("/dev/stdout", "c")), "--json"], stdout=stream,
                           stderr=subprocess.DEVNULL, check=True)
        first, log, result = file.read_text(encoding="utf-8").splitlines()
        self.assertEqual((first, json.loads(log)["step"], json.loads(result)["steps"]), ("before", 1, 1))


if __name__ == "__main__":
    main()
