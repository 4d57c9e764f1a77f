"""clora train and eval on the bundled model: plan, log, JSON, files, continued adapters, interruption, failures."""

import json
import math
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import (CLORA, FIXTURES, MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device,
                             needs_full_device, unfolded)
from support.processes import cpu_seconds, mind_signals, needs_proc, wait_for

STEP_KEYS = ["step", "loss", "lr", "grad_norm", "tokens", "tokens_per_second"]
FILES = ["adapter_config.json", "adapter_model.safetensors"]


def small_files():
    """RLIMIT_FSIZE with SIGXFSZ ignored: a file beyond 2 MiB fails as on a full disk, compiled kernels fit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))


def lines(path):
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


class TrainTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.write("train.jsonl", "".join(lines(TRAIN)[:12]))
        self.val = self.write("val.jsonl", "".join(lines(VALIDATION)[:4]))
        self.out = self.folder / "adapter"

    def train(self, *arguments, out=None, data=None, **options):
        """Standard output of a short run that must end well."""
        files = ["--data", data or self.data, "--out", out or self.out]
        return unfolded(self.succeeds("train", MODEL, *files, *arguments, **options))

    def saved(self, out=None):
        return [(out or self.out).joinpath(name).read_bytes() for name in FILES]


@needs_device
class Train(TrainTest):
    def test_adapters_of_parts_of_the_model_are_saved_as_plain_lora(self):
        options = ["--steps", "1", "--max-length", "16", "--rank", "3", "--alpha", "6"]
        self.train(*options, "--init", "pissa", "--target-modules", "q_proj,up_proj", "--layers-to-transform", "0-1,3",
                   "--exclude-modules", "layers.3.mlp.up_proj", "--modules-to-save", "norm", "--adapter-dtype", "bf16")
        config = json.loads((self.out / "adapter_config.json").read_text())
        self.assertEqual([config[key] for key in ("r", "lora_alpha", "layers_to_transform", "exclude_modules",
                                                  "modules_to_save")],
                         [6, 12, [0, 1, 3], ["layers.3.mlp.up_proj"], ["norm"]])
        header = (self.out / "adapter_model.safetensors").read_bytes()
        tensors = json.loads(header[8:8 + int.from_bytes(header[:8], "little")])
        self.assertEqual(sum(".lora_A." in name for name in tensors), 5)
        self.assertEqual(sum("norm.weight" in name for name in tensors), 13)
        self.assertEqual({value["dtype"] for name, value in tensors.items() if name != "__metadata__"}, {"BF16"})
        self.succeeds("eval", MODEL, "--adapter", self.out, "--data", self.val, "--max-length", "16")

    def test_the_plan_is_printed_before_the_first_step(self):
        out = self.train("--steps", "2", "--val", self.val)
        plan, run = out.split("\n\n", 1)
        for line in (r"device +\d+ .*", r"model +.*llama.*parameters in f32",
                     r"adapter +rank 8, alpha 16 on 42 modules .*",
                     r"trainable +112,128 of 1,481,856 parameters \(7\.57 %\)",
                     r"data +.*12 sequences, [\d,]+ tokens.* target tokens", r"validation +.*4 sequences.*",
                     r"training +2 steps of 4 sequences, learning rate 0\.0002 constant.*",
                     r"memory +[\d.]+ MiB of .*: weights .*, adapter .*, activations .*"):
            self.assertRegex(plan, rf"(?m)^{line}$")
        self.assertRegex(run, r"\Avalidation loss [\d.]+ \(perplexity [\d.]+\) before training\nstep 1/2  loss ")
        self.assertRegex(run, r"(?m)^validation loss [\d.]+ \(perplexity [\d.]+\) after step 2$")
        self.assertTrue(out.endswith(f"Saved the adapter to {self.out}\n"))

    def test_the_plan_counts_what_was_cut(self):
        out = self.train("--steps", "1", "--max-length", "24")
        self.assertRegex(out, r"(?m)^data .* too long: [\d]+ contexts? cut on the left, [\d]+ targets? on the right$")

    def test_quiet_prints_nothing(self):
        status, out, err = clora("train", MODEL, "--data", self.data, "--out", self.out, "--steps", "1", "--quiet")
        self.assertEqual((status, out, err), (0, "", ""))
        self.assertTrue(all(self.saved()))

    def test_log_has_a_line_for_every_step_and_validation(self):
        log = self.folder / "log.jsonl"
        result = json.loads(self.train("--steps", "4", "--val", self.val, "--eval-every", "2", "--log", log, "--json"))
        logged = [json.loads(line) for line in lines(log)]
        steps = [line for line in logged if "loss" in line]
        validations = [line for line in logged if "val_loss" in line]
        self.assertEqual([list(line) for line in steps], [STEP_KEYS] * 4)
        self.assertEqual([line["step"] for line in steps], [1, 2, 3, 4])
        self.assertEqual([(line["step"], list(line)) for line in validations],
                         [(i, ["step", "val_loss"]) for i in (0, 2, 4)])
        self.assertEqual(steps[0]["lr"], 0.0002)
        self.assertIn('"lr":0.0002,', log.read_text(encoding="utf-8"))
        for key in ("step", "loss", "lr", "grad_norm"):
            self.assertEqual(result[key], steps[-1][key])
        self.assertEqual(result["tokens"], sum(line["tokens"] for line in steps))
        self.assertEqual(result["val_loss"], validations[-1]["val_loss"])
        self.assertEqual(result["val_loss_before"], validations[0]["val_loss"])
        self.assertLess(result["val_loss"], result["val_loss_before"])

    def test_json_is_one_object_and_the_plan_goes_to_standard_error(self):
        status, out, err = clora("train", MODEL, "--data", self.data, "--out", self.out, "--steps", "1", "--json")
        self.assertEqual(status, 0)
        result = json.loads(out)
        self.assertEqual(out.count("\n"), 1)
        for key, kind in {"step": int, "loss": float, "lr": float, "grad_norm": float, "tokens": int, "steps": int,
                          "tokens_per_second": float, "seconds": float, "peak_device_bytes": int,
                          "trainable_parameters": int, "val_loss": type(None)}.items():
            self.assertIs(type(result[key]), kind, key)
        self.assertEqual((result["steps"], result["trainable_parameters"]), (1, 112128))
        self.assertIn("trainable   112,128", err)

    def test_paths_that_are_not_utf8_are_paths(self):
        model, out = (os.path.join(os.fsencode(self.folder), name) for name in (b"model\xff", b"out\xff"))
        os.symlink(os.fsencode(MODEL), model)
        done = subprocess.run([CLORA, "train", model, "--data", self.data, "--out", out, "--steps", "1", "--quiet",
                               "--json"], stdout=subprocess.PIPE, check=True)
        self.assertEqual(json.loads(done.stdout)["out"], str(self.folder / "out?"))
        with open(os.path.join(out, FILES[0].encode()), encoding="utf-8") as settings:
            self.assertIsNone(json.load(settings)["base_model_name_or_path"])
        merged = os.path.join(os.fsencode(self.folder), b"merged\xff")
        done = subprocess.run([CLORA, "merge", model, out, "--out", merged, "--json"], stdout=subprocess.PIPE,
                              check=True)
        self.assertEqual(json.loads(done.stdout)["out"], str(self.folder / "merged?"))

    def test_the_log_may_lie_in_the_output_directory(self):
        self.train("--steps", "1", "--log", self.out / "other.jsonl")
        self.assertEqual(sorted(os.listdir(self.out)), [*FILES, "other.jsonl", "run.json"])

    def test_steps_follow_from_epochs_batches_and_accumulation(self):
        for arguments, steps in ((["--epochs", "2"], 6), (["--epochs", "1.5", "--batch-size", "5"], 5),
                                 (["--accumulate", "2"], 2), (["--batch-size", "12"], 1)):
            with self.subTest(arguments):
                out = self.folder / "-".join(arguments).strip("-")
                self.assertEqual(json.loads(self.train(*arguments, "--json", "--quiet", out=out))["steps"], steps)

    def test_same_seed_gives_the_same_bytes_and_another_seed_others(self):
        outs = [self.folder / name for name in "abc"]
        for out, seed in zip(outs, (7, 7, 8)):
            self.train("--steps", "3", "--seed", seed, "--dropout", "0.1", "--quiet", out=out)
        self.assertEqual(self.saved(outs[0]), self.saved(outs[1]))
        self.assertNotEqual(self.saved(outs[0]), self.saved(outs[2]))

    def test_options_reach_the_saved_settings(self):
        self.train("--steps", "1", "--rank", "3", "--alpha", "6", "--rslora", "--dropout", "0.25", "--target-modules",
                   "v_proj,q_proj", "--rank-pattern", "layers.0.self_attn.q_proj=2", "--alpha-pattern", "v_proj=12",
                   "--init", "kaiming")
        settings = json.loads(self.out.joinpath(FILES[0]).read_text(encoding="utf-8"))
        expected = {"r": 3, "lora_alpha": 6, "use_rslora": True, "lora_dropout": 0.25,
                    "target_modules": ["q_proj", "v_proj"], "rank_pattern": {"layers.0.self_attn.q_proj": 2},
                    "alpha_pattern": {"v_proj": 12}, "init_lora_weights": True, "base_model_name_or_path": str(MODEL)}
        self.assertEqual({key: settings[key] for key in expected}, expected)

    def test_dora_and_a_bias_of_the_second_factor_are_trained_and_used(self):
        base = self.gives_json("eval", MODEL, "--data", self.data)["loss"]
        for option, key, part in (("--dora", "use_dora", ".lora_magnitude_vector"),
                                  ("--lora-bias", "lora_bias", ".lora_B.bias")):
            with self.subTest(option):
                out = self.folder / key
                self.train("--steps", "12", "--lr", "1e-3", "--dropout", "0.1", option, "--quiet", out=out)
                self.assertIs(json.loads(out.joinpath(FILES[0]).read_text(encoding="utf-8"))[key], True)
                self.assertIn(part.encode(), out.joinpath(FILES[1]).read_bytes())
                adapted = self.gives_json("eval", MODEL, "--data", self.data, "--adapter", out)["loss"]
                self.assertLess(adapted, base - 0.3)
                self.train("--steps", "1", option, "--init-adapter", out, "--quiet", out=self.folder / f"{key}-more")
        merged = self.folder / "merged"
        self.succeeds("merge", MODEL, self.folder / "use_dora", "--out", merged)
        self.assertAlmostEqual(self.gives_json("eval", merged, "--data", self.data)["loss"],
                               self.gives_json("eval", MODEL, "--data", self.data, "--adapter",
                                               self.folder / "use_dora")["loss"], delta=1e-4)
        self.fails(1, "merge", MODEL, self.folder / "lora_bias", "--out", self.folder / "never", says="lora_bias")
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.folder / "both", "--dora", "--lora-bias",
                   says="choose one")

    def test_the_second_factor_may_learn_at_a_rate_of_its_own(self):
        plan = {}
        for ratio in ("none", "1", "16"):
            given = () if ratio == "none" else ("--lora-plus-ratio", ratio)
            plan[ratio] = self.train("--steps", "3", "--weight-decay", "0.1", *given, out=self.folder / ratio)
        self.assertEqual(self.saved(self.folder / "none"), self.saved(self.folder / "1"))
        self.assertNotEqual(self.saved(self.folder / "1")[1], self.saved(self.folder / "16")[1])
        self.assertIn("learning rate 0.0002 constant", plan["1"])
        self.assertIn("learning rate 0.0002 (second factor 0.0032) constant", plan["16"])
        for ratio in ("0", "-1", "nan", "inf", "1e10", "x", ""):
            self.fails(2, "train", MODEL, "--data", self.data, "--out", self.out, "--lora-plus-ratio", ratio,
                       says="--lora-plus-ratio")

    def test_a_method_is_chosen_by_its_name(self):
        self.assertIn("adapter     rank 8", self.train("--method", "lora", "--steps", "1"))
        for method, says in (("lore", ["lore", "these are: lora"]), ("lora,", "no such method"), ("", "no such method"),
                             ("lora,lora", "lora is given twice")):
            self.fails(2, "train", MODEL, "--data", self.data, "--out", self.folder, "--method", method, says=says)

    def test_optimizers_differ_and_what_is_recomputed_does_not(self):
        runs = {"adamw": (), "again": ("--recompute", "attention"), "adamw8bit": ("--optimizer", "adamw8bit"),
                "sgd": ("--recompute", "--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.1")}
        plans = {name: self.train(*options, "--steps", "2", "--rank", "64", "--batch-size", "2", "--max-length", "32",
                                  out=self.folder / name) for name, options in runs.items()}
        saved = {name: self.saved(self.folder / name) for name in runs}
        self.assertEqual(saved["adamw"], saved["again"])
        self.assertEqual(len({weights for _, weights in saved.values()}), 3)
        self.assertIn("(gradient checkpointing of attention)", plans["again"])
        self.assertIn("sequences, AdamW of 8 bits, learning rate", plans["adamw8bit"])
        self.assertIn("sequences, SGD (momentum 0.9), learning rate", plans["sgd"])
        self.assertIn("(gradient checkpointing of layers)", plans["sgd"])

    def test_bottlenecks_are_trained_saved_and_used(self):
        out = self.train("--method", "adapter", "--bottleneck", "6", "--bottleneck-style", "houlsby", "--steps", "8",
                         "--lr", "0.01", "--val", self.val, "--json")
        result = json.loads(out)
        self.assertEqual(result["trainable_parameters"], 12 * (2 * 6 * 128 + 6 + 128))
        self.assertEqual(sorted(os.listdir(self.out)),
                         ["adapter.safetensors", "adapter_config.json", "log.jsonl", "run.json"])
        settings = json.loads((self.out / "adapter_config.json").read_text(encoding="utf-8"))
        self.assertEqual((settings["model_type"], settings["hidden_size"], settings["name"]), ("llama", 128, "clora"))
        self.assertEqual((settings["config"]["mh_adapter"], settings["config"]["non_linearity"]), (True, "swish"))
        self.assertEqual(int(128 // settings["config"]["reduction_factor"]), 6)
        evaluated = self.gives_json("eval", MODEL, "--adapter", self.out, "--data", self.val)
        self.assertAlmostEqual(evaluated["loss"], result["val_loss"], places=4)
        base = self.gives_json("eval", MODEL, "--data", self.val)
        self.assertLess(evaluated["loss"], base["loss"] - 0.1)
        self.gives_json("generate", MODEL, "--adapter", self.out, "--prompt", "once upon", "--max-tokens", "4")
        again = self.train("--init-adapter", self.out, "--steps", "1", out=self.folder / "again")
        self.assertRegex(again, r"(?m)^bottleneck +6 columns with swish, continued, after attention and MLP \(12")
        self.fails(2, "train", MODEL, "--data", self.data, "--out", self.folder / "x", "--bottleneck", "4",
                   says="--bottleneck is an option of --method adapter")

    def test_prefixes_and_prompts_are_trained_saved_and_used(self):
        for method, positions in (("prefix", 3), ("prompt", 2)):
            with self.subTest(method):
                out = self.folder / method
                result = json.loads(self.train("--method", method, f"--{method}-tokens", str(positions), "--steps", "8",
                                               "--lr", "0.01", "--val", self.val, "--json", out=out))
                shown = self.gives_json("inspect", out)
                self.assertEqual((shown["method"], shown["positions"], shown["tensors"]), (method, positions, 1))
                self.assertEqual(shown["parameters"], result["trainable_parameters"])
                evaluated = self.gives_json("eval", MODEL, "--adapter", out, "--data", self.val)
                self.assertAlmostEqual(evaluated["loss"], result["val_loss"], places=4)
                self.assertLess(evaluated["loss"], self.gives_json("eval", MODEL, "--data", self.val)["loss"])
                self.gives_json("generate", MODEL, "--adapter", out, "--prompt", "once upon", "--max-tokens", "4")
                self.fails(1, "merge", MODEL, out, "--out", self.folder / "merged", says="it cannot be merged")
                self.assertFalse((self.folder / "merged").exists())
                again = self.train("--init-adapter", out, "--steps", "1", out=self.folder / f"{method} again")
                self.assertRegex(again, rf"(?m)^{method} +{positions} positions, continued, before every sequence")
        self.fails(2, "train", MODEL, "--data", self.data, "--out", self.folder / "x", "--prompt-tokens", "4",
                   says="--prompt-tokens is an option of --method prompt")
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.folder / "x", "--method", "prefix",
                   "--prefix-tokens", "60000", says="60000 positions before every sequence")

    def test_a_prefix_stays_without_what_made_it(self):
        made = json.loads(self.train("--method", "prefix", "--prefix-tokens", "2", "--prefix-projection", "8",
                                     "--steps", "3", "--val", self.val, "--json"))
        shown = self.gives_json("inspect", self.out)
        self.assertEqual((shown["method"], shown["positions"], shown["tensors"]), ("prefix", 2, 1))
        self.assertNotEqual(shown["parameters"], made["trainable_parameters"])
        evaluated = self.gives_json("eval", MODEL, "--adapter", self.out, "--data", self.val)
        self.assertAlmostEqual(evaluated["loss"], made["val_loss"], places=4)
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.folder / "x", "--init-adapter", self.out,
                   says="it cannot be trained further")
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.folder / "x", "--method", "prefix",
                   "--prefix-projection", "8", "--prefix-text", "a", says="begins at random")

    def test_low_rank_terms_and_bottlenecks_are_trained_at_once(self):
        self.train("--method", "lora,adapter", "--rank", "2", "--bottleneck", "4", "--steps", "4", "--lr", "0.01")
        parts = [argument for name in ("lora", "adapter") for argument in ("--adapter", self.out / name)]
        losses = [self.gives_json("eval", MODEL, *arguments, "--data", self.data)["loss"]
                  for arguments in ([], parts[:2], parts[2:], parts)]
        self.assertEqual(sorted(losses, reverse=True)[0], losses[0])
        self.assertEqual(min(losses), losses[3])

    def test_packing_and_schedules_run(self):
        result = json.loads(self.train("--pack", "--max-length", "256", "--batch-size", "2", "--schedule", "cosine",
                                       "--warmup", "2", "--steps", "4", "--learn-context", "--eos", "never",
                                       "--clip", "0", "--weight-decay", "0.1", "--no-shuffle", "--json"))
        self.assertLess(result["lr"], 0.0002)
        self.assertGreater(result["grad_norm"], 0)

    def test_the_model_is_never_written_to(self):
        before = {path.name: path.read_bytes() for path in MODEL.iterdir()}
        self.train("--steps", "2", "--quiet")
        self.assertEqual(before, {path.name: path.read_bytes() for path in MODEL.iterdir()})


@needs_device
class Continue(TrainTest):
    def setUp(self):
        super().setUp()
        self.first = self.folder / "first"
        self.train("--steps", "2", "--rank", "4", "--alpha", "8", "--target-modules", "q_proj,v_proj", "--dropout",
                   "0.5", "--quiet", out=self.first)

    def goes_on(self, *arguments):
        return self.train("--steps", "1", "--init-adapter", self.first, *arguments)

    def refuses(self, *arguments, says):
        self.fails(2, "train", MODEL, "--data", self.data, "--out", self.out, "--init-adapter", self.first, *arguments,
                   says=says)
        self.assertFalse(self.out.exists())

    def test_an_adapter_goes_on_with_its_own_settings(self):
        out = self.goes_on()
        self.assertIn("rank 4, alpha 8, continued, on 12 modules (q_proj,v_proj), dropout 0.5", out)
        settings = json.loads(self.out.joinpath(FILES[0]).read_text(encoding="utf-8"))
        self.assertEqual([settings[key] for key in ("r", "lora_alpha", "target_modules")], [4, 8, ["q_proj", "v_proj"]])

    def test_the_same_settings_may_be_given_and_dropout_applies(self):
        self.goes_on("--rank", "4", "--alpha", "8", "--target-modules", "v_proj,q_proj", "--dropout", "0")
        settings = json.loads(self.out.joinpath(FILES[0]).read_text(encoding="utf-8"))
        self.assertEqual(settings["lora_dropout"], 0)

    def test_lists_of_any_length_are_compared_as_sets(self):
        settings = json.loads(self.first.joinpath(FILES[0]).read_text(encoding="utf-8"))
        for extra in (0, 400):
            names = ["q_proj", "v_proj", *(f"nowhere{i:03}" for i in range(extra))]
            settings["target_modules"] = names
            self.first.joinpath(FILES[0]).write_text(json.dumps(settings), encoding="utf-8")
            with self.subTest(extra):
                for wrong in (names[:-1], names[:-1] + ["o_proj"], names + ["o_proj"]):
                    self.refuses("--target-modules", ",".join(wrong), says="leave --target-modules out")
                self.goes_on("--target-modules", ",".join([*reversed(names), *names]))
            shutil.rmtree(self.out)

    def test_other_settings_are_refused(self):
        self.refuses("--rank", "8", says=["--rank 8", "rank 4"])
        self.refuses("--dora", says="no magnitudes")
        self.refuses("--lora-bias", says="no bias")
        self.refuses("--alpha", "16", says=["--alpha 16", "alpha 8"])
        self.refuses("--rslora", says="not rank-stabilised")
        self.refuses("--target-modules", "q_proj", says=["--target-modules q_proj", "q_proj,v_proj"])
        self.refuses("--target-modules", "all-linear", says="--target-modules all-linear")
        self.refuses("--init", "kaiming", says="--init is for a new adapter")
        self.refuses("--method", "lora", says="--method is for a new adapter")


@needs_device
class Interrupt(TrainTest):
    def start(self, *arguments):
        return subprocess.Popen([CLORA, "train", MODEL, "--data", self.data, "--out", self.out, "--steps", "1000000",
                                 *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=mind_signals)

    def wait_for_steps(self, process):
        for line in process.stdout:
            if line.startswith("step "):
                return
        self.fail(f"no step: {process.stderr.read()}")

    def test_a_signal_ends_the_run_and_saves_the_adapter(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number.name), self.start() as process:
                self.wait_for_steps(process)
                process.send_signal(number)
                out, err = process.communicate(timeout=120)
                self.assertEqual(process.returncode, 128 + number, err)
                self.assertIn("interrupted; saving after this step", err)
                self.assertRegex(err, r"interrupted after \d+ of 1000000 steps; the adapter so far is saved in .*\n\Z")
                self.assertRegex(out, r"(?m)^\d+ steps? in ")
                self.assertTrue(all(self.saved()))
                self.assertEqual(clora("eval", MODEL, "--adapter", self.out, "--data", self.val)[0], 0)
            shutil.rmtree(self.out)

    @needs_proc
    def test_a_second_signal_ends_it_at_once(self):
        with self.start("--batch-size", "12", "--accumulate", "1000") as process:
            process.stdout.readline()  # of the plan, which is shown just before the first step
            begun = cpu_seconds(process)
            wait_for(process, lambda process: cpu_seconds(process) > begun + 0.2)
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.stderr.readline(), "\n")
            self.assertIn("once more: end at once", process.stderr.readline())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)
            self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertLessEqual(set(os.listdir(self.out)), {"log.jsonl"})


@needs_device
class Failures(TrainTest):
    def refuses(self, *arguments, says, data=None, out=None, status=1, **options):
        err = self.fails(status, "train", MODEL, "--data", data or self.data, "--out", out or self.out, "--steps", "2",
                         "--quiet", *arguments, says=says, **options)
        self.assertFalse(self.out.exists(), err)

    def test_an_output_that_cannot_be_written_is_refused_before_the_work(self):
        full = self.folder / "full"
        full.mkdir()
        full.joinpath("file").touch()
        self.refuses(out=full, says=[str(full), "not empty"])
        self.assertEqual(os.listdir(full), ["file"])
        self.refuses(out=self.data, says=str(self.data))
        self.refuses(out=self.data / "below", says=str(self.data))
        self.refuses(out=self.folder / "not" / "there", says="there")

    def test_an_empty_output_directory_is_used(self):
        self.out.mkdir()
        self.train("--steps", "1", "--quiet")
        self.assertTrue(all(self.saved()))

    def test_a_log_that_cannot_be_written_is_refused_before_the_work(self):
        self.refuses("--log", self.folder / "not" / "there", says=["cannot write the log", "No such file or directory"])
        self.refuses("--log", self.folder, says="cannot write the log")
        self.refuses("--log", self.data, status=2, says="would write over the data")
        self.assertEqual(sorted(os.listdir(self.folder)), ["train.jsonl", "val.jsonl"])

    def test_an_old_log_survives_a_run_that_does_not_begin(self):
        log = self.write("log.jsonl", "old\n")
        self.refuses("--log", log, data=self.folder / "none.jsonl", says="none.jsonl")
        self.assertEqual(log.read_text(encoding="utf-8"), "old\n")

    @needs_full_device
    def test_a_log_that_fills_the_disk_is_said_and_the_adapter_saved(self):
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.out, "--steps", "2", "--quiet", "--log",
                   "/dev/full", says=["log /dev/full is incomplete: No space left on device", "the adapter is saved"])
        self.assertTrue(all(self.saved()))

    def test_a_full_disk_leaves_no_half_written_adapter(self):
        self.fails(1, "train", MODEL, "--data", self.data, "--out", self.out, "--steps", "1", "--quiet",
                   "--rank", "64", preexec_fn=small_files, says=["the adapter is not saved", "File too large"])
        self.assertNotIn(FILES[1], os.listdir(self.out))
        self.assertFalse([name for name in os.listdir(self.out) if name not in [*FILES, "log.jsonl"]])

    def test_a_loss_that_is_not_finite_keeps_the_last_good_adapter(self):
        err = self.fails(1, "train", MODEL, "--data", self.data, "--out", self.out, "--steps", "50", "--quiet", "--lr",
                         "1e9", says=["step ", "not finite", f"the adapter as it was before is saved in {self.out}"])
        self.assertRegex(err, r"step \d+: ")
        self.assertEqual(clora("eval", MODEL, "--adapter", self.out, "--data", self.val)[0], 0)

    def test_data_that_is_wrong_is_refused_with_its_line(self):
        good = '{"context": "a", "target": "b"}\n'
        for name, text, says in (
                ("empty.jsonl", "", ["empty.jsonl", "holds no sequences"]),
                ("target.jsonl", good + '{"context": "a"}\n', ["target.jsonl", "line 2", "target"]),
                ("broken.jsonl", good + '{"context": "a", "target": \n', ["line 2", "not JSON"]),
                ("utf8.jsonl", good.encode() + b'{"context": "\xff", "target": "b"}\n', ["line 2", "not UTF-8"]),
                ("table.csv", "x,y\n1,2\n", ["table.csv", "context"]),
                ("what.dat", good, ["what.dat", ".jsonl"])):
            with self.subTest(name):
                self.refuses(data=self.write(name, text), says=says)
        self.refuses(data=self.folder / "none.jsonl", says=["none.jsonl", "No such file"])
        self.refuses("--val", self.folder / "none.jsonl", says=["none.jsonl", "No such file"])
        self.refuses("--columns", "a,b", says="columns")

    def test_a_model_that_is_not_there_or_too_short_is_said(self):
        self.fails(1, "train", self.folder, "--data", self.data, "--out", self.out, says="config.json")
        self.fails(1, "train", self.folder / "none", "--data", self.data, "--out", self.out, says="none")
        self.refuses("--max-length", "257", says=["--max-length 257", "256 positions"])

    def test_targets_that_match_nothing_list_what_there_is(self):
        self.refuses("--target-modules", "c_attn", says=["c_attn", "q_proj"])
        self.refuses("--target-modules", "(", says="(")
        self.refuses("--rank-pattern", "q_proj", says="q_proj")
        self.refuses("--init-adapter", self.folder, says="adapter_config.json")


@needs_device
class Eval(TrainTest):
    def test_json_has_loss_perplexity_accuracy_and_counts(self):
        result = self.gives_json("eval", MODEL, "--data", self.val)
        for key, kind in {"loss": float, "perplexity": float, "accuracy": float, "tokens": int, "sequences": int,
                          "seconds": float}.items():
            self.assertIs(type(result[key]), kind, key)
        self.assertEqual(result["sequences"], 4)
        self.assertAlmostEqual(math.log(result["perplexity"]), result["loss"], delta=1e-6)
        out = self.succeeds("eval", MODEL, "--data", self.val)
        self.assertIn(f"loss        {result['loss']:.4f} per target token", out)
        self.assertIn(f"4 sequences, {result['tokens']:,} target tokens", out)

    def test_batches_and_packing_do_not_change_the_loss(self):
        losses = [self.gives_json("eval", MODEL, "--data", self.val, *arguments)["loss"]
                  for arguments in ([], ["--batch-size", "1"], ["--pack", "--max-length", "256"])]
        for loss in losses[1:]:
            self.assertAlmostEqual(loss, losses[0], delta=2e-5)

    def test_options_of_the_data_change_what_is_measured(self):
        base = self.gives_json("eval", MODEL, "--data", self.val)
        without_eos = self.gives_json("eval", MODEL, "--data", self.val, "--eos", "never")
        self.assertEqual(without_eos["tokens"], base["tokens"] - 4)
        with_context = self.gives_json("eval", MODEL, "--data", self.val, "--learn-context")
        self.assertGreater(with_context["tokens"], base["tokens"])
        rows = [json.loads(line) for line in lines(self.val)]
        table = "in,out\n" + "".join('"{context}","{target}"\n'.format(**row) for row in rows)
        csv = self.gives_json("eval", MODEL, "--data", self.write("val.csv", table), "--columns", "in,out")
        self.assertAlmostEqual(csv["loss"], base["loss"], delta=1e-6)

    def test_training_lowers_the_loss_that_eval_measures(self):
        self.train("--steps", "12", "--lr", "1e-3", "--quiet")
        base = self.gives_json("eval", MODEL, "--data", self.data)["loss"]
        adapted = self.gives_json("eval", MODEL, "--data", self.data, "--adapter", self.out)["loss"]
        self.assertLess(adapted, base - 0.3)

    def test_an_adapter_that_is_not_there_or_of_another_model_is_said(self):
        self.fails(1, "eval", MODEL, "--data", self.val, "--adapter", self.folder, says="adapter_config.json")
        self.fails(1, "eval", MODEL, "--data", self.val, "--adapter", FIXTURES / "tiny-llama-lora", says="lora_")


if __name__ == "__main__":
    main()
