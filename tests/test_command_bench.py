"""clora bench, and --profile on train and generate. Times are not judged, what is counted is."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MEMORY, MODEL, TRAIN, CommandTest, clora, main, needs_device, unfolded

SMALL = ["--batch-size", "2", "--max-length", "16", "--new-tokens", "3", "--rounds", "2"]


class BenchTest(CommandTest):
    def is_profile(self, profile, *kernels):
        """Entries with times in falling order, these kernels among them."""
        self.assertEqual({tuple(entry) for entry in profile}, {("kernel", "seconds", "launches")})
        seconds = [entry["seconds"] for entry in profile]
        self.assertEqual(seconds, sorted(seconds, reverse=True))
        launches = {entry["kernel"]: entry["launches"] for entry in profile}
        for kernel in kernels:
            self.assertGreater(launches[kernel], 0)
        return launches

    def is_table(self, text):
        self.assertRegex(text, r"(?m)^kernel +device time +share +launches$")
        self.assertRegex(text, r"(?m)^mat(mul|vec)_\w+ +[\d.]+ ms +[\d.]+ % +[\d,]+$")
        self.assertRegex(text, r"(?m)^all +[\d.]+ ms +100\.0 % +[\d,]+$")


@needs_device
class Bench(BenchTest):
    def test_everything_is_measured(self):
        result = self.gives_json("bench", MODEL, *SMALL, "--sequences", "1,3", "--rank", "4")
        self.assertEqual((result["batch_size"], result["max_length"], result["rank"]), (2, 16, 4))
        training, prefill, decode = result["training"], result["prefill"], result["decode"]
        for part, tokens in ((training, 32), (prefill, 16), (decode[0], 3), (decode[1], 9)):
            self.assertEqual(len(part["seconds"]), 2)
            self.assertLessEqual(part["seconds"][0], part["seconds"][1])
            self.assertAlmostEqual(part["tokens_per_second"] * part["seconds"][0], tokens, places=3)
        self.assertEqual([part["sequences"] for part in decode], [1, 3])
        self.assertGreater(prefill["adapter_tokens_per_second"], 0)
        self.is_profile(training["profile"], "rmsnorm", "cross_entropy", "adamw")

    def test_memory_stands_beside_the_plan(self):
        result = self.gives_json("bench", MODEL, *SMALL, "--only", "train")
        training, plan = result["training"], result["training"]["plan"]
        self.assertEqual(plan["total"], sum(plan[part] for part in MEMORY))
        planned = self.gives_json("inspect", MODEL, "--batch-size", "2", "--max-length", "16")["training"]
        self.assertEqual(plan["total"], planned["total"])
        self.assertLessEqual(training["peak_resident_bytes"], result["peak_resident_bytes"])

    def test_a_part_can_be_measured_alone(self):
        for part in ("prefill", "decode"):
            result = self.gives_json("bench", MODEL, *SMALL, "--only", part)
            self.assertEqual([p for p in ("training", "prefill", "decode") if result[p]], [part])

    def test_switches_are_timed_and_leave_the_weights_as_they_were(self):
        options = ["--rounds", "2", "--target-modules", "q_proj", "--dtype", "bf16"]
        result = self.gives_json("bench", MODEL, *options, "--only", "switch")
        self.assertIsNone(result["training"])
        ranks, drift = result["switch"]["ranks"], result["switch"]["drift"]
        self.assertEqual([one["rank"] for one in ranks], [4, 8, 16, 64])
        for one in ranks:
            for times in ("seconds", "copy_seconds", "upload_seconds"):
                self.assertEqual(len(one[times]), 2)
        self.assertAlmostEqual(ranks[1]["flops"], 2 * ranks[0]["flops"])
        self.assertEqual(drift["module"], "model.layers.0.self_attn.q_proj")
        self.assertEqual(drift["switched"], 0)
        self.assertGreater(drift["subtracted_bf16"], drift["subtracted_f16"])
        self.assertGreater(drift["subtracted_f16"], 0)
        self.assertLess(drift["subtracted_bf16"], drift["largest_weight"])
        out = self.succeeds("bench", MODEL, *options, "--only", "switch")
        self.assertRegex(out, r"(?m)^ +16 +[\d.]+ ms +[\d.]+ ms +[\d.]+ +[\d.]+ +[\d.]+ ms$")
        self.assertRegex(out, r"switching 0$")

    def test_one_step_of_the_breakdown_is_one_step(self):
        result = self.gives_json("bench", MODEL, *SMALL, "--only", "train", "--target-modules", "q_proj")
        launches = self.is_profile(result["training"]["profile"])
        self.assertEqual((launches["embedding"], launches["adamw"]), (1, 1))

    def test_people_get_lines_and_a_table(self):
        out = unfolded(self.succeeds("bench", MODEL, *SMALL, "--sequences", "1,2"))
        for line in (r"model +.* parameters in f32, loaded in .*", r"adapter +rank 8 on 42 modules .*",
                     r"training +2 x 16 tokens: [\d.,]+ tokens/s .*",
                     r"memory +[\d.]+ MiB resident at most; planned .*",
                     r"prefill +1 sequence of 16 tokens: .* tokens/s, with the adapter .*",
                     r"decode +2 sequences of 3 tokens: .* tokens/s, with the adapter .*"):
            self.assertRegex(out, rf"(?m)^{line}$")
        self.is_table(out)

    def test_what_cannot_be_measured_is_said(self):
        self.fails(1, "bench", MODEL, "--max-length", "257", says=["257 tokens", "256 positions"])
        self.fails(1, "bench", MODEL, "--new-tokens", "300", "--only", "decode", says="300 tokens")
        self.fails(1, "bench", self.folder, says="config.json")
        self.fails(1, "bench", MODEL, "--target-modules", "nothing", says="nothing")


class Mistakes(BenchTest):
    def test_wrong_lists_of_sequences(self):
        for wrong in ("", "0", "1,", ",1", "1,x", "-1", "1 2", "99999", "1,1,1,1,1,1,1,1,1"):
            with self.subTest(wrong):
                self.fails(2, "bench", MODEL, "--sequences", wrong, says="--sequences")


@needs_device
class Profile(BenchTest):
    def setUp(self):
        super().setUp()
        data = self.write("train.jsonl", "".join(TRAIN.read_text(encoding="utf-8").splitlines(keepends=True)[:8]))
        self.run_of_two = ["train", MODEL, "--data", data, "--steps", "2", "--out"]

    def test_training_prints_a_table_on_standard_error(self):
        status, out, err = clora(*self.run_of_two, self.folder / "a", "--profile", "--quiet")
        self.assertEqual((status, out), (0, ""))
        self.is_table(err)

    def test_training_has_it_in_the_json_object(self):
        profiled = self.gives_json(*self.run_of_two, self.folder / "a", "--profile")
        launches = self.is_profile(profiled.pop("profile"), "cross_entropy")
        self.assertEqual(launches["embedding"], 2)
        plain = self.gives_json(*self.run_of_two, self.folder / "b")
        self.assertEqual(list(plain), list(profiled))
        self.assertEqual(plain["loss"], profiled["loss"])

    def test_generation_prints_a_table_on_standard_error(self):
        words = ["generate", MODEL, "--prompt", "Once", "--max-tokens", "3"]
        status, out, err = clora(*words, "--profile")
        self.assertEqual((status, out), (0, self.succeeds(*words)))
        self.is_table(err)

    def test_a_single_prompt_has_it_in_the_json_line(self):
        out = self.succeeds("generate", MODEL, "--prompt", "Once", "--max-tokens", "3", "--profile", "--json")
        launches = self.is_profile(json.loads(out)["profile"])
        self.assertTrue(any(kernel.startswith(("matmul_", "matvec_")) for kernel in launches), launches)

    def test_several_prompts_share_a_table_on_standard_error(self):
        prompts = self.write("prompts.jsonl", '{"prompt": "Once"}\n{"prompt": "Once"}\n')
        status, out, err = clora("generate", MODEL, "--jsonl", prompts, "--max-tokens", "3", "--profile", "--json")
        self.assertEqual((status, out.count("\n")), (0, 2))
        self.is_table(err)


if __name__ == "__main__":
    main()
