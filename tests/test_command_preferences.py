"""clora train on preferences: what the plan, the log and the summary say, and what is refused."""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, TRAIN, CommandTest, clora, main, needs_device, unfolded

REWARDS = ["rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "kl"]


class PreferenceTest(CommandTest):
    def setUp(self):
        super().setUp()
        with open(TRAIN, encoding="utf-8") as file:
            rows = [json.loads(next(file)) for _ in range(5)]
        targets = [row["target"] for row in rows]
        self.pairs = self.rows("pairs.jsonl", [
            {"prompt": row["context"], "chosen": right, "rejected": wrong}
            for row, right, wrong in zip(rows, targets, targets[1:] + targets[:1])])
        self.single = self.rows("single.jsonl", [
            {"prompt": row["context"], "completion": targets[i if i % 2 else i - 1], "label": bool(i % 2)}
            for i, row in enumerate(rows)])
        self.out = self.folder / "adapter"
        self.log = self.folder / "log.jsonl"

    def rows(self, name, rows):
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def arguments(self, data, objective, *more):
        return ["train", MODEL, "--data", data, "--out", self.out, "--objective", objective, *more]

    def logged(self):
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


@needs_device
class Train(PreferenceTest):
    def test_pairs_are_learnt_and_the_log_has_their_rewards(self):
        out = self.succeeds(*self.arguments(self.pairs, "dpo", "--steps", "6", "--lr", "2e-3", "--val", self.pairs,
                                            "--log", self.log, "--batch-size", "5"))
        self.assertRegex(out, r"(?m)^objective +dpo, beta 0\.1, reference the model without the adapter$")
        self.assertRegex(out, r"(?m)^training +6 steps of 5 pairs, ")
        self.assertRegex(out, r"(?m)^validation loss 0\.6931 \(accuracy 0\.0000\) before training$")
        self.assertRegex(out, r"(?m)^validation loss 0\.\d+ \(accuracy 1\.0000\) after step 6$")
        steps = [line for line in self.logged() if "loss" in line]
        self.assertEqual([list(line)[-len(REWARDS):] for line in steps], [REWARDS] * 6)
        self.assertAlmostEqual(steps[0]["loss"], 0.693147, places=5)
        self.assertGreater(steps[-1]["rewards/margins"], 0)
        self.assertIsNone(steps[-1]["kl"])

    def test_single_answers_are_learnt(self):
        result = self.gives_json(*self.arguments(self.single, "kto", "--steps", "2", "--log", self.log))
        steps = self.logged()
        self.assertEqual(steps[0]["loss"], 0.5)
        self.assertEqual([result[key] for key in REWARDS], [steps[-1][key] for key in REWARDS])
        self.assertEqual((steps[0]["lr"], steps[0]["kl"], steps[0]["rewards/accuracies"]), (1e-6, 0.0, None))

    def test_a_run_fits_into_the_memory_that_it_is_given(self):
        sizes = ["--steps", "1", "--batch-size", "4", "--seed", "3"]
        whole = self.gives_json(*self.arguments(self.pairs, "dpo", *sizes))["peak_device_bytes"]
        self.out = self.folder / "fitted"
        # the activations are a part of it; the process is another, which the plan says
        status, _, err = clora(*self.arguments(self.pairs, "dpo", *sizes, "--memory", "1MiB"))
        least = re.search(r"nothing fits; the least is ([\d.]+) MiB, with --batch-size 1", err)
        self.assertTrue(status == 1 and least, err)
        budget = f"{float(least.group(1)) + 1:.1f}MiB"
        status, out, err = clora(*self.arguments(self.pairs, "dpo", *sizes, "--json", "--memory", budget))
        self.assertEqual(status, 0, err)
        note = err.splitlines(keepends=True)[0]
        self.one_line(note, "note: --batch-size ", " --accumulate ", "the run as asked for would take")
        self.assertLess(json.loads(out)["peak_device_bytes"], whole)

    def test_a_continued_adapter_is_its_own_reference(self):
        self.succeeds(*self.arguments(self.pairs, "orpo", "--steps", "2", "--lr", "2e-3", "--quiet"))
        first, self.out = self.out, self.folder / "again"
        out = self.succeeds(*self.arguments(self.pairs, "ipo", "--steps", "1", "--init-adapter", first, "--log",
                                            self.log))
        self.assertRegex(unfolded(out), rf"(?m)^objective +ipo, beta 0\.1, reference {first}$")
        self.assertEqual(self.logged()[0]["rewards/margins"], 0.0)


@needs_device
class Eval(PreferenceTest):
    def evaluate(self, *more):
        return self.gives_json("eval", MODEL, "--data", self.pairs, *more)

    def test_an_adapter_is_measured_as_its_training_was(self):
        trained = self.gives_json(*self.arguments(self.pairs, "dpo", "--steps", "3", "--lr", "2e-3", "--beta", "0.2",
                                                  "--val", self.pairs))
        asked = ["--objective", "dpo", "--beta", "0.2"]
        result = self.evaluate("--adapter", self.out, *asked)
        self.assertEqual(result["loss"], trained["val_loss"])
        self.assertAlmostEqual(result["rewards/margins"], result["rewards/chosen"] - result["rewards/rejected"], 5)
        self.assertEqual((result["rewards/accuracies"], result["sequences"], result["kl"]), (1.0, 10, None))
        self.assertAlmostEqual(self.evaluate(*asked)["loss"], 0.693147, 5)  # without an adapter nothing differs
        same = self.evaluate("--adapter", self.out, "--reference", self.out, *asked)
        self.assertEqual((same["rewards/chosen"], same["rewards/accuracies"]), (0.0, 0.0))
        out = self.succeeds("eval", MODEL, "--adapter", self.out, "--data", self.pairs, *asked)
        self.assertRegex(out, r"(?m)^accuracy    the chosen answer has the larger reward in 100\.0 % of the pairs$")

    def test_single_answers_are_measured(self):
        result = self.gives_json("eval", MODEL, "--data", self.single, "--objective", "kto")
        self.assertEqual((result["loss"], result["kl"], result["rewards/accuracies"]), (0.5, 0.0, None))


class Refused(PreferenceTest):
    def test_evaluations_that_do_not_fit(self):
        for options, says in ((["--objective", "dpo", "--pack"], "--pack is for --objective next"),
                              (["--beta", "1"], "--beta is of an objective on preferences"),
                              (["--reference", "x"], "--reference is of an objective on preferences")):
            self.fails(2, "eval", MODEL, "--data", self.pairs, *options, says=says)

    def test_options_that_do_not_fit(self):
        for objective, option, says in (("dpo", ["--pack"], "--pack is for --objective next"),
                                        ("kto", ["--learn-context"], "--learn-context is for --objective next"),
                                        ("ipo", ["--label-smoothing", "0.1"], "ipo has no --label-smoothing"),
                                        ("next", ["--beta", "0.5"], "--beta is of an objective on preferences")):
            self.fails(2, *self.arguments(self.pairs, objective, *option), says=says)

    @needs_device
    def test_data_that_do_not_fit_leave_nothing_behind(self):
        half = self.rows("half.jsonl", [{"prompt": "a", "chosen": "b"}])
        for data, objective, says in ((half, "dpo", 'half.jsonl: line 1: has no "rejected"'),
                                      (self.single, "orpo", 'single.jsonl: line 1: has no "chosen"'),
                                      (self.pairs, "kto", 'pairs.jsonl: line 1: has no "completion"')):
            self.fails(1, *self.arguments(data, objective), says=says)
            self.assertFalse(self.out.exists())
        self.fails(1, *self.arguments(self.single, "kto", "--batch-size", "1"), says="batches of 2")


if __name__ == "__main__":
    main()
