"""`clora plan`, and what `clora train --memory` makes of it."""

import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MEMORY, MODEL, TRAIN, CommandTest, clora, main, needs_device, needs_panels, unfolded

LARGE = ["--batch-size", "64", "--max-length", "256"]  # steps between choices that no noise of the process reaches


def within(plan, budget):
    return [choice for choice in plan["choices"] if choice["bytes"] + plan["compiler"] <= budget]


@needs_device
class Plan(CommandTest):
    def test_the_parts_are_all_of_it(self):
        plan = self.gives_json("plan", MODEL)
        self.assertEqual(plan["device"]["total"], sum(plan["device"][part] for part in MEMORY))
        self.assertEqual(plan["bytes"], plan["device"]["total"] + plan["process"])
        self.assertEqual(plan["choices"][0]["options"], "")
        self.assertEqual(plan["device"]["evaluation"], 0)
        self.assertGreater(self.gives_json("plan", MODEL, "--validate")["device"]["evaluation"], 0)

    def test_choices_go_from_the_cheapest_to_the_dearest_and_each_takes_less(self):
        choices = self.gives_json("plan", MODEL, "--rank", "64", "--recompute", "attention")["choices"]
        sizes = [choice["bytes"] for choice in choices]
        self.assertEqual(sizes, sorted(set(sizes), reverse=True))
        rounded = ["adamw8bit" in choice["options"] for choice in choices]
        self.assertEqual(rounded, sorted(rounded))  # other results come last
        exact = [choice["time"] for choice in choices if "adamw8bit" not in choice["options"]]
        self.assertEqual(exact, sorted(exact))
        self.assertEqual(exact[0], 1)
        self.assertTrue(all(choice["batch_size"] * choice["accumulate"] == 4 for choice in choices))
        self.assertFalse(any("--recompute none" in choice["options"] for choice in choices))
        self.assertIn("--batch-size 1 --accumulate 4 --recompute layer --optimizer adamw8bit", choices[-1]["options"])

    def test_a_whole_model_in_16_bits_may_do_without_a_copy_in_32(self):
        choices = self.gives_json("plan", MODEL, "--method", "full", "--dtype", "bf16", *LARGE)["choices"]
        self.assertIn("--optimizer adamw8bit --master none", choices[-1]["options"])
        self.assertFalse(any("--master" in choice["options"] for choice in
                             self.gives_json("plan", MODEL, "--method", "full", "--dtype", "f32")["choices"]))

    def test_gradients_of_a_whole_model_take_less_where_they_are_used_up_at_once(self):
        def gradients(*options):
            return self.gives_json("plan", MODEL, "--method", "full", "--recompute", *options)["device"]["gradients"]

        embedding = 4 * 2048 * 128
        self.assertLess(gradients("--clip", "0"), embedding + 4 * 352 * 128 + 16384)
        self.assertGreater(gradients(), gradients("--clip", "0"))
        self.assertEqual(gradients("--clip", "0", "--accumulate", "2"), gradients("--accumulate", "2"))

    def test_a_budget_lists_what_fits(self):
        plan = self.gives_json("plan", MODEL, *LARGE)
        budget = plan["choices"][1]["bytes"] + plan["compiler"] + (8 << 20)
        fits = self.gives_json("plan", MODEL, *LARGE, "--memory", budget)["choices"]
        self.assertEqual([choice["options"] for choice in fits],
                         [choice["options"] for choice in within(plan, budget)])
        out = unfolded(self.succeeds("plan", MODEL, *LARGE, "--memory", budget))
        self.assertIn(fits[0]["options"], out)
        self.assertRegex(out, r"(?m)^memory +[\d.]+ MiB: weights .*, adapter .*, gradients .*, optimizer .*, activa")
        self.fails(1, "plan", MODEL, "--memory", "1KiB",
                   says=["--memory 1.0 KiB: nothing fits; the least is", "with --batch-size 1"])

    def test_sizes_are_checked_to_their_last_character(self):
        for size in ("", "x", "2 GiB", "2GiBs", "-1", "1e3", "0", "0.1", "9000P", "2giga", "1.2.3"):
            with self.subTest(size):
                self.fails(2, "plan", MODEL, f"--memory={size}", says="--memory")
        for size in ("2GiB", "2g", "2147483648", "2147483648B", "2048M", "2.0GiB"):
            self.assertIn("within 2.0 GiB", self.succeeds("plan", MODEL, "--memory", size))

    def test_a_model_that_is_none_is_said(self):
        self.fails(1, "plan", self.folder, says="config.json")
        self.fails(1, "plan", MODEL, "--max-length", "257", says="256 positions")
        self.fails(2, "plan", MODEL, "--momentum", "0.9", says="--optimizer sgd")


@needs_panels
class Train(CommandTest):
    def setUp(self):
        super().setUp()
        lines = TRAIN.read_text(encoding="utf-8").splitlines(keepends=True)
        self.data = self.write("train.jsonl", "".join(lines[:12]))

    def train(self, name, *arguments):
        """Standard output and error, and the adapter's weights."""
        status, out, err = clora("train", MODEL, "--data", self.data, "--out", self.folder / name, "--steps", "1",
                                 "--pack", *arguments)
        self.assertEqual(status, 0, err)
        return unfolded(out), err, self.folder.joinpath(name, "adapter_model.safetensors").read_bytes()

    def test_the_first_choice_that_fits_is_taken_and_said(self):
        plan = self.gives_json("plan", MODEL, *LARGE)
        first, second = plan["choices"][:2]
        budget = (first["bytes"] + second["bytes"]) // 2 + plan["compiler"]
        out, err, fitted = self.train("fitted", *LARGE, "--memory", budget)
        self.one_line(err, "note: ", second["options"])
        _, err, given = self.train("given", *LARGE, *second["options"].split())
        self.assertEqual(err, "")
        self.assertEqual(fitted, given)
        self.assertRegex(out, rf"(?m)^training +1 step of {second['batch_size']} rows \(packed\), "
                              r"gradient accumulation 2")
        _, err, _ = self.train("whole", *LARGE, "--memory", "1024GiB")
        self.assertEqual(err, "")

    def test_the_plan_is_what_the_run_says(self):
        sizes = ["--batch-size", "2", "--max-length", "64", "--rank", "4"]
        plan = unfolded(self.succeeds("plan", MODEL, *sizes))
        planned = re.search(r"(?m)^memory .*?: (weights .*?), process", plan).group(1)
        self.assertIn(planned, self.train("run", *sizes)[0])

    def test_where_nothing_fits_nothing_is_written(self):
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.folder / "none", "--memory", "1MiB",
                   says="--memory 1.0 MiB: nothing fits; the least is")
        self.assertFalse(self.folder.joinpath("none").exists())


if __name__ == "__main__":
    main()
