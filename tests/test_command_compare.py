"""clora compare: methods from the same start on the same batches. Losses are training's, times are not judged."""

import json
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, TRAIN, VALIDATION, CommandTest, main, needs_device
from support.processes import mind_signals


class CompareTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.write("train.jsonl", "".join(TRAIN.read_text(encoding="utf-8").splitlines(True)[:12]))
        self.val = self.write("val.jsonl", "".join(VALIDATION.read_text(encoding="utf-8").splitlines(True)[:4]))
        self.out = self.folder / "compared"
        self.files = ["--data", self.data, "--val", self.val, "--batch-size", "2", "--new-tokens", "2"]

    def compare(self, *arguments):
        return self.gives_json("compare", MODEL, *self.files, "--quiet", *arguments)


@needs_device
class Compare(CompareTest):
    def test_rows_are_what_training_alone_gives(self):
        result = self.compare("--methods", "lora:4@1e-2/1e-5,adapter:3", "--ranks", "2", "--steps", "3",
                              "--lr-grid", "1e-2", "--out", self.out, "--csv", self.folder / "t.csv")
        rows = {row["method"]: row for row in result["rows"]}
        self.assertEqual(list(rows), ["lora:4", "adapter:3", "lora:2"])
        for name, row in rows.items():
            method, rank = name.split(":")
            size = "--rank" if method == "lora" else "--bottleneck"
            alone = self.gives_json("train", MODEL, *self.files[:6], "--steps", "3", "--method", method, size, rank,
                                    "--lr", "1e-2", "--out", self.folder / rank, "--quiet")
            self.assertEqual((row["lr"], row["seeds"], row["val_loss_deviation"]), (0.01, 1, 0))
            self.assertEqual(row["val_loss"], alone["val_loss"])
            self.assertEqual(row["trainable_parameters"], alone["trainable_parameters"])
            saved = self.folder / rank
            sizes = {f.name: f.stat().st_size for f in saved.iterdir() if f.name not in ("log.jsonl", "run.json")}
            self.assertEqual(row["bytes_on_disk"], sum(sizes.values()))
            for key in ("tokens_per_second", "peak_device_bytes", "token_seconds_base", "token_seconds"):
                self.assertGreater(row[key], 0)
            self.assertEqual(row["token_seconds_merged"] is None, method != "lora")  # which alone can be merged
            memory = row["memory"]
            self.assertGreaterEqual(memory["gradients"], 4 * row["trainable_parameters"])
            self.assertGreaterEqual(memory["adapter"], memory["gradients"])
            self.assertGreaterEqual(memory["optimizer"], 2 * memory["gradients"])
            self.assertLessEqual(sum(memory.values()), row["peak_device_bytes"])
        self.assertEqual(result["target_loss"], max(row["val_loss"] for row in rows.values()))
        table = self.folder.joinpath("t.csv").read_text(encoding="utf-8").splitlines()
        self.assertEqual([line.split(",")[0] for line in table], ["method", "lora:4", "adapter:3", "lora:2"])
        again = self.succeeds("compare", MODEL, *self.files, "--steps", "3", "--out", self.out, "--methods",
                              "lora:4@1e-2/1e-5,adapter:3@1e-2")
        self.assertRegex(again, r"\nThe target [^\n]*\nlora:4 is best at its highest [^\n]* higher [^\n]*\n\Z")

    def test_it_goes_on_where_it_was(self):
        first = self.compare("--steps", "2", "--out", self.out)
        kept = {path.name: path.stat().st_mtime_ns for path in self.out.iterdir()}
        again = self.compare("--steps", "2", "--out", self.out, "--ranks", "1", "--methods", "lora")
        self.assertEqual(again["rows"][0]["val_loss"], first["rows"][0]["val_loss"])
        self.assertEqual(len(again["rows"]), 2)
        self.assertEqual({name: self.out.joinpath(name).stat().st_mtime_ns for name in kept}, kept)
        result = self.out / "lora-0.0002-0.json"
        for arguments in (["--steps", "3"], ["--steps", "2", "--alpha", "1"]):
            self.fails(1, "compare", MODEL, *self.files, "--quiet", "--out", self.out, *arguments,
                       says=["another comparison", arguments[-2].removeprefix("--")])
        result.write_text("{", encoding="utf-8")
        self.fails(1, "compare", MODEL, *self.files, "--quiet", "--out", self.out, "--steps", "2",
                   says=[result.name, "not a result"])

    def test_seeds_give_a_mean(self):
        row = self.compare("--steps", "2", "--seeds", "2", "--out", self.out)["rows"][0]
        losses = [json.loads(path.read_text(encoding="utf-8"))["validation"][-1]["val_loss"]
                  for path in sorted(self.out.glob("*.json"))]
        self.assertEqual(row["seeds"], 2)
        self.assertNotEqual(*losses)
        self.assertAlmostEqual(row["val_loss"], sum(losses) / 2, places=6)
        self.assertAlmostEqual(row["val_loss_deviation"], abs(losses[0] - losses[1]) / 2**0.5, places=6)

    def test_an_interrupt_keeps_what_is_done(self):
        command = [CLORA, "compare", MODEL, *self.files, "--ranks", "1,2", "--steps", "1", "--seeds", "1000", "--out",
                   self.out]
        with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              preexec_fn=mind_signals) as process:
            said = next(line for line in process.stderr if "validation" in line)  # one training is done
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        self.assertRegex(said, r"^lora:1 +lr 0\.0002 +seed 0: validation loss [\d.]+ after 1 step\n$")
        self.assertEqual(process.returncode, 130, err)
        self.assertRegex(out, r"(?m)^lora:1 +14,016 ")
        self.assertRegex(err, r"interrupted; the table has what is done, the same command goes on\n\Z")
        self.assertTrue(self.out.joinpath("lora-1-0.0002-0.json").exists())


class Wrong(CompareTest):
    def test_mistakes_are_one_line_each(self):
        for arguments, says in (
                ([], "--steps"), (["--methods", "lore"], ["lore", "these are: lora"]),
                (["--methods", "lora:0"], "lora:0"), (["--methods", "lora:"], "lora:"),
                (["--methods", "lora:8,lora:8"], "lora:8 twice"), (["--methods", ""], "no such method"),
                (["--methods", "full:8"], "no number"), (["--methods", "lora@"], "lora@"),
                (["--methods", "lora@1e-3/x,full"], "lora@1e-3/x"),
                (["--ranks", "1,x"], "lora:x"), (["--lr-grid", "1e-3,"], "--lr-grid"),
                (["--lr-grid", "nan"], "--lr-grid"), (["--seeds", "0"], "--seeds")):
            with self.subTest(arguments):
                steps = ["--steps", "1"] if arguments else []
                self.fails(2, "compare", MODEL, *self.files, *steps, *arguments, says=says)
        self.assertFalse(self.out.exists())

    def test_methods_begin_with_what_training_gives_them(self):
        ours, theirs = (self.succeeds(command, "--help").split("\nMethod lora\n")[1].split("\nMethod prompt\n")
                        for command in ("compare", "train"))
        self.assertEqual(ours[0], theirs[0])
        self.assertEqual(ours[1].split("\nTraining\n")[0], theirs[1].split("\nTraining\n")[0])


if __name__ == "__main__":
    main()
