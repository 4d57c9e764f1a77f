"""clora train --objective classify, and eval with what it makes: labels of texts."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, CommandTest, main, needs_device, unfolded

TEXTS = ["the meal was very good", "a good and happy day", "this is good work", "good things grow here",
         "the meal was very bad", "a bad and sad day", "this is bad work", "bad things grow here"]


def row(text, label):
    return json.dumps({"text": text, "label": label}) + "\n"


@needs_device
class Labels(CommandTest):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "adapter"
        self.data = self.write("texts.jsonl", "".join(row(t, "nice" if "good" in t else "awful") for t in TEXTS))

    def train(self, *arguments):
        return unfolded(self.succeeds("train", MODEL, "--objective", "classify", "--data", self.data, "--out", self.out,
                                      "--lr", "0.003", *arguments))

    def test_labels_are_learnt_and_kept_by_name(self):
        plan = self.train("--steps", "20", "--val", self.data, "--modules-to-save", "norm")
        self.assertRegex(plan, r"(?m)^adapter .*, copies of norm, a head of 2 labels$")
        settings = json.loads((self.out / "adapter_config.json").read_text(encoding="utf-8"))
        self.assertEqual(settings["task_type"], "SEQ_CLS")
        self.assertEqual(settings["modules_to_save"], ["norm", "classifier", "score"])
        self.assertEqual(settings["id2label"], {"0": "awful", "1": "nice"})
        self.assertEqual(settings["label2id"], {"awful": 0, "nice": 1})
        result = json.loads(self.succeeds("eval", MODEL, "--adapter", self.out, "--data", self.data, "--json"))
        self.assertEqual((result["accuracy"], result["f1"], result["sequences"]), (1.0, 1.0, len(TEXTS)))
        inverted = self.write("inverted.jsonl", row("this is good work", "awful") + row("this is bad work", "nice"))
        result = json.loads(self.succeeds("eval", MODEL, "--adapter", self.out, "--data", inverted, "--json"))
        self.assertEqual((result["accuracy"], result["f1"]), (0.0, 0.0))
        self.assertIn("labels       \"awful\", \"nice\"\n", self.succeeds("inspect", self.out))
        self.refuses_what_it_is_not()

    def refuses_what_it_is_not(self):
        odd = self.write("odd.jsonl", row("good", "nice") + row("odd", "odd"))
        unknown = 'line 2: the label "odd" is none of these: awful, nice'
        self.fails(1, "eval", MODEL, "--adapter", self.out, "--data", odd, says=unknown)
        again = self.folder / "again"
        self.fails(1, "train", MODEL, "--objective", "classify", "--data", odd, "--out", again, "--init-adapter",
                   self.out, says=unknown)
        self.fails(1, "train", MODEL, "--objective", "classify", "--data", self.data, "--out", again, "--val", odd,
                   says=unknown)
        self.fails(1, "generate", MODEL, "--adapter", self.out, "--prompt", "x", says="does not continue")
        self.fails(1, "merge", MODEL, self.out, "--out", again, says="the adapter classifies")
        self.assertFalse(os.path.exists(again))
        self.succeeds("train", MODEL, "--objective", "classify", "--data", self.data, "--out", again,
                      "--init-adapter", self.out, "--steps", "1")

    def test_a_prefix_and_a_prompt_have_a_head_too(self):
        for method in ("prefix", "prompt"):
            out = self.folder / method
            plan = self.succeeds("train", MODEL, "--objective", "classify", "--data", self.data, "--out", out, "--lr",
                                 "0.03", "--steps", "60", "--method", method)
            self.assertRegex(unfolded(plan), rf"(?m)^{method} .*, a head of 2 labels$")
            settings = json.loads((out / "adapter_config.json").read_text(encoding="utf-8"))
            self.assertEqual(settings["modules_to_save"], ["classifier", "score"])
            self.assertEqual(settings["id2label"], {"0": "awful", "1": "nice"})
            result = json.loads(self.succeeds("eval", MODEL, "--adapter", out, "--data", self.data, "--json"))
            self.assertEqual(result["accuracy"], 1.0)
            self.assertIn('labels       "awful", "nice"\n', self.succeeds("inspect", out))
        self.fails(1, "generate", MODEL, "--adapter", out, "--prompt", "x", says="does not continue")

    def test_options_of_other_objectives_are_refused(self):
        command = ["train", MODEL, "--objective", "classify", "--data", self.data, "--out", self.out]
        for options in (["--beta", "0.1"], ["--columns", "a,b"], ["--learn-context"], ["--eos", "never"]):
            self.fails(2, *command, *options, says=options[0])
        self.fails(2, *command, "--method", "norms", says="--method lora, prefix or prompt")
        single = self.write("single.jsonl", row("good", "nice") * 3)
        self.fails(1, "train", MODEL, "--objective", "classify", "--data", single, "--out", self.out,
                   says="nothing to tell apart")
        self.assertFalse(self.out.exists())


if __name__ == "__main__":
    main()
