"""clora combine and clora convert: what adapters add to the weights stays what it was, or becomes what PEFT makes."""

import json
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import FIXTURES, CommandTest, main

LORA, RSLORA, PATTERNS = (FIXTURES / f"tiny-llama-{kind}" for kind in ("lora", "rslora", "patterns"))
QWEN2 = FIXTURES / "tiny-qwen2-lora"
# those of tests/fixtures/make_combined.py
CASES = {
    "svd": ([LORA, RSLORA, PATTERNS], [0.7, -0.3, 0.5], ["--rank", "5"]),
    "cat": ([LORA, RSLORA, PATTERNS], [0.7, -0.3, 0.5], []),
    "sum": ([LORA, RSLORA], [0.7, -0.3], []),
    "ties": ([LORA, RSLORA], [0.7, 0.4], ["--density", "0.4"]),
    "ties-frequency": ([LORA, RSLORA, LORA], [0.7, -0.4, 0.2], ["--density", "0.7", "--majority-sign", "frequency"]),
}


def floats(tensor):
    """Rows of a matrix of a safetensors file."""
    dtype, (rows, cols), data = tensor
    count = rows * cols
    if dtype == "F32":
        flat = struct.unpack(f"<{count}f", data)
    elif dtype == "F16":
        flat = struct.unpack(f"<{count}e", data)
    else:
        flat = struct.unpack(f"<{count}f", b"".join(b"\0\0" + data[2 * i:2 * i + 2] for i in range(count)))
    return [list(flat[i * cols:(i + 1) * cols]) for i in range(rows)]


def product(b, a, scale=1.0):
    columns = list(zip(*a))
    return [[scale * sum(x * y for x, y in zip(row, column)) for column in columns] for row in b]


def settings(adapter):
    return json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))


def value_of(config, module, setting, pattern):
    """PEFT's rule for keys without special characters."""
    for key, value in config[pattern].items():
        if module == key or module.endswith("." + key):
            return value
    return config[setting]


def factors(adapter):
    """{module: (A, B, scale)} of a PEFT directory."""
    config, found = settings(adapter), {}
    tensors = checkpoint.read(adapter / "adapter_model.safetensors")
    for name in tensors:
        if name.endswith(".lora_A.weight"):
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            a, b = floats(tensors[name]), floats(tensors[name.replace("lora_A", "lora_B")])
            rank = value_of(config, module, "r", "rank_pattern")
            alpha = value_of(config, module, "lora_alpha", "alpha_pattern")
            assert rank == len(a)
            found[module] = a, b, alpha / (rank ** 0.5 if config["use_rslora"] else rank)
    return found


def deltas(adapter):
    return {module: product(b, a, scale) for module, (a, b, scale) in factors(adapter).items()}


class ExchangeTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"

    def assert_close(self, actual, expected, limit=1e-5):
        worst = max(abs(x - y) for a, b in zip(actual, expected, strict=True) for x, y in zip(a, b, strict=True))
        largest = max(abs(x) for row in expected for x in row)
        self.assertLessEqual(worst, limit * max(largest, 1), "the largest difference")

    def assert_same_deltas(self, actual, expected, limit=1e-6):
        self.assertEqual(actual.keys(), expected.keys())
        for module, delta in expected.items():
            self.assert_close(actual[module], delta, limit)

    def adapter(self, name, like=LORA, **changes):
        folder = self.folder / name
        shutil.copytree(like, folder)
        checkpoint.change_json(folder / "adapter_config.json", **changes)
        return folder

    def change_tensors(self, folder, change):
        path = folder / "adapter_model.safetensors"
        checkpoint.write(path, change(checkpoint.read(path)))
        return folder


class Combine(ExchangeTest):
    def combine(self, *arguments):
        result = self.gives_json("combine", *arguments, "--out", self.out)
        self.assertEqual(result["out"], str(self.out))
        return result

    def test_the_factors_are_pefts(self):
        reference = checkpoint.read(FIXTURES / "reference/combined.safetensors")
        for case, (adapters, weights, options) in CASES.items():
            with self.subTest(case):
                words = [f"{adapter}:{weight}" for adapter, weight in zip(adapters, weights)]
                result = self.combine(*words, "--method", case.split("-")[0], *options)
                made = factors(self.out)
                self.assertEqual(result["modules"], len(made))
                self.assertEqual(len(made), 6)
                for module, (a, b, scale) in made.items():
                    wanted_a, wanted_b = (floats(reference[f"{case}/{module}.lora_{f}"]) for f in "AB")
                    self.assertEqual(scale, 1)
                    self.assert_close(product(b, a), product(wanted_b, wanted_a))
                    if case != "svd":  # whose factors' signs are anyone's
                        self.assert_close(a, wanted_a)
                        self.assert_close(b, wanted_b)
                shutil.rmtree(self.out)

    def test_all_ranks_lose_nothing(self):
        self.assertLess(self.combine(LORA, f"{PATTERNS}:-2", "--rank", "10")["lost"], 1e-12)
        whole = deltas(self.out)
        shutil.rmtree(self.out)
        self.assertEqual(self.combine(LORA, f"{PATTERNS}:-2", "--method", "cat")["rank"], 10)
        self.assert_same_deltas(whole, deltas(self.out))

    def test_one_adapter_gets_another_rank(self):
        result = self.combine(PATTERNS, "--rank", "3")
        self.assertTrue(0.05 < result["lost"] < 0.9, result)
        self.assertEqual((settings(self.out)["r"], settings(self.out)["rank_pattern"]), (3, {}))
        shutil.rmtree(self.out)
        self.combine(f"{PATTERNS}:0.5")
        half = {module: [[x / 2 for x in row] for row in delta] for module, delta in deltas(PATTERNS).items()}
        self.assert_same_deltas(deltas(self.out), half)

    def test_linearly_dependent_factors_are_no_trouble(self):
        result = self.combine(LORA, LORA, f"{LORA}:-1", "--rank", "40")
        self.assertEqual((result["rank"], result["lost"]), (40, 0))
        self.assert_same_deltas(deltas(self.out), deltas(LORA))

    def test_modules_of_one_alone_are_taken_and_named(self):
        one = self.change_tensors(
            self.adapter("one", target_modules=["q_proj"], layers_to_transform=[1]),
            lambda tensors: {name: t for name, t in tensors.items() if "1.self_attn.q_proj" in name})
        for other, targets, layers in ((one, ["q_proj"], [1]), (LORA, ["down_proj", "q_proj", "v_proj"], [0, 1])):
            self.combine(one, f"{other}:0.25", "--method", "cat")
            self.assertEqual((settings(self.out)["target_modules"], settings(self.out)["layers_to_transform"]),
                             (targets, layers))
            expected, more = deltas(one), deltas(other)
            for module, delta in more.items():
                before = expected.get(module, [[0] * len(delta[0])] * len(delta))
                expected[module] = [[x + 0.25 * y for x, y in zip(*rows)] for rows in zip(before, delta)]
            self.assert_same_deltas(deltas(self.out), expected)
            shutil.rmtree(self.out)

    def test_dare_keeps_a_share_at_random_and_its_mean(self):
        kept = total = 0
        bytes_of = {}
        for seed in (1, 2, 1):
            self.combine(f"{LORA}:2", "--method", "dare", "--density", "0.25", "--seed", seed)
            made = (self.out / "adapter_model.safetensors").read_bytes()
            self.assertEqual(bytes_of.setdefault(seed, made), made)
            shutil.rmtree(self.out)
            self.combine(f"{LORA}:2", "--method", "dare", "--density", "0.25", "--seed", seed)
            root = 2  # of weight times scale
            for module, (a, b, _) in factors(self.out).items():
                before = factors(LORA)[module]
                for now, was in ((a, before[0]), (b, before[1])):
                    for x, y in ((x, y) for rows in zip(now, was) for x, y in zip(*rows)):
                        total += 1
                        kept += x != 0
                        self.assertTrue(x == 0 or abs(x - 4 * root * y) < 1e-5, (x, y))
            shutil.rmtree(self.out)
        self.assertNotEqual(bytes_of[1], bytes_of[2])
        self.assertLess(abs(kept / total - 0.25), 0.03)

    def test_dare_ties_is_ties_of_what_dare_keeps(self):
        self.combine(LORA, RSLORA, "--method", "dare_ties", "--density", "1")
        whole = factors(self.out)
        shutil.rmtree(self.out)
        self.combine(LORA, RSLORA, "--method", "ties", "--density", "1")
        self.assertEqual(whole, factors(self.out))

    def test_types_of_the_factors(self):
        for dtype, limit in (("f32", 1e-6), ("f16", 2e-3), ("bf16", 2e-2)):
            self.combine(LORA, "--adapter-dtype", dtype)
            kinds = {kind for kind, _, _ in checkpoint.read(self.out / "adapter_model.safetensors").values()}
            self.assertEqual(kinds, {dtype.upper()})
            self.assert_same_deltas(deltas(self.out), deltas(LORA), limit)
            shutil.rmtree(self.out)
        self.fails(1, "combine", f"{LORA}:1e6", "--method", "cat", "--adapter-dtype", "f16", "--out", self.out,
                   says=["down_proj.lora_A.weight", "too large for f16: write bf16 or f32"])
        self.assertFalse(self.out.exists())

    def test_what_cannot_be_combined_is_named(self):
        other = self.change_tensors(self.adapter("other"), lambda tensors: {
            name: (t[0], [t[1][0] // 2, t[1][1]], t[2][:len(t[2]) // 2]) if "v_proj.lora_B" in name else t
            for name, t in tensors.items()})
        for arguments, says in (
            ([LORA, PATTERNS, "--method", "sum"], ["ranks 4 and 2", "q_proj", "combine with svd or cat"]),
            ([LORA, other], ["different bases", "self_attn.v_proj is (16, 32) in one and (8, 32) in the other"]),
            ([LORA, FIXTURES / "tiny-llama-dora"], ["tiny-llama-dora"]),
            ([LORA, FIXTURES / "tiny-llama-prefix"], ["PREFIX_TUNING"]),
            ([LORA, FIXTURES / "tiny-llama-pfeiffer"], ["bottleneck"]),
            ([LORA, FIXTURES / "tiny-llama-classify"], ["score.weight"]),
            ([LORA, self.adapter("biased", bias="all")], ['"bias" is "all"']),
            ([LORA, self.folder / "absent"], ["absent"]),
        ):
            with self.subTest(says):
                self.fails(1, "combine", *arguments, "--out", self.out, says=says)
                self.assertFalse(self.out.exists())
        self.fails(1, "combine", LORA, "--out", other, says="holds an adapter already")

    def test_options_that_have_no_effect_are_refused(self):
        for arguments, says in (
            ([LORA, "--method", "cat", "--rank", "4"], "--rank has no effect with --method cat"),
            ([LORA, "--density", "0.5"], "--density has no effect with --method svd"),
            ([LORA, "--method", "dare", "--majority-sign", "total"], "--majority-sign has no effect"),
            ([LORA, "--method", "ties", "--seed", "1"], "--seed has no effect"),
            ([f"{LORA}:inf"], "finite"),
            ([":0.5"], "is not ADAPTER:WEIGHT"),
        ):
            self.fails(2, "combine", *arguments, "--out", self.out, says=says)

    def test_a_colon_may_be_part_of_a_name(self):
        self.combine(f"{self.adapter('a:b')}", "--method", "cat")
        self.assert_same_deltas(deltas(self.out), deltas(LORA))


if __name__ == "__main__":
    main()
