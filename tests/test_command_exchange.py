"""clora combine and clora convert: what adapters add to the weights stays what it was, or becomes what PEFT makes."""

import json
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint, gguf
from support.command import FIXTURES, CommandTest, main

LORA, RSLORA, PATTERNS = (FIXTURES / f"tiny-llama-{kind}" for kind in ("lora", "rslora", "patterns"))
QWEN2, PHI3 = FIXTURES / "tiny-qwen2-lora", FIXTURES / "tiny-phi3-lora"
LLAMA_BASE, QWEN2_BASE = FIXTURES / "tiny-llama", FIXTURES / "tiny-qwen2"
PHI3_BASE = FIXTURES / "tiny-phi3"
GGUF_PARTS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
              "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
              "ffn_down": "mlp.down_proj"}
FUSED_PARTS = GGUF_PARTS | {"attn_qkv": "self_attn.qkv_proj", "ffn_up": "mlp.gate_up_proj"}
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


class Refused(ExchangeTest):
    def test_what_is_more_than_two_factors_is_named(self):
        for name, key in (("tiny-qwen2-dora", "use_dora"), ("tiny-qwen2-lora-bias", "lora_bias"),
                          ("tiny-llama-saved", "modules_to_save")):
            for command in (["combine"], ["convert", "--to", "mlx"], ["convert", "--to", "gguf"]):
                with self.subTest(key, command=command):
                    self.fails(1, *command, FIXTURES / name, "--out", self.out, says=f'"{key}" is set: only plain LoRA')
                    self.assertFalse(self.out.exists())


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
                self.assertIsNone(settings(self.out)["layers_to_transform"])
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
        small = self.change_tensors(self.adapter("small"), lambda tensors: {
            name: t for name, t in tensors.items() if ".layers.0." in name})
        for arguments, says in (
            ([LORA, small], ["different bases", "they have 6 and 3 modules"]),
            ([LORA, PATTERNS, "--method", "sum"], ["ranks 4 and 2", "q_proj", "combine with svd or cat"]),
            ([LORA, other], ["different bases", "self_attn.v_proj is (16, 32) in one and (8, 32) in the other"]),
            ([LORA, FIXTURES / "tiny-llama-dora"], ["tiny-llama-dora"]),
            ([LORA, FIXTURES / "tiny-llama-prefix"], ["PREFIX_TUNING"]),
            ([LORA, FIXTURES / "tiny-llama-pfeiffer"], ["bottleneck"]),
            ([LORA, FIXTURES / "tiny-llama-classify"], ["modules_to_save"]),
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


def mlx_deltas(folder):
    """What mlx-lm adds: scale (a b) of a (in, rank) and b (rank, out), transposed; by its loader's rules."""
    config = settings(folder)
    lora = config["lora_parameters"]
    assert config["fine_tune_type"] == "lora" and config["num_layers"] == -1  # all layers
    tensors, found = checkpoint.read(folder / "adapters.safetensors"), {}
    for name, (_, shape, _) in tensors.items():
        module, factor = name.rsplit(".", 1)
        assert any(module.endswith("." + key) or module == key for key in lora["keys"]), name
        assert shape[1 if factor == "lora_a" else 0] == lora["rank"], name
        if factor == "lora_a":
            a, b = floats(tensors[name]), floats(tensors[module + ".lora_b"])
            found[module] = [list(column) for column in zip(*product(a, b, lora["scale"]))]
    return found


def halves(rows, heads):
    """Rows of a file whose RoPE turns neighbours, as those of one that turns halves of a head."""
    d = len(rows) // heads
    return [rows[h * d + 2 * i + p] for h in range(heads) for p in range(2) for i in range(d // 2)]


def gguf_deltas(path, heads=None, parts=None):
    """What llama.cpp adds: alpha / rank times b a, or b a where alpha is 0. heads: of q and k, where rows moved."""
    parts = parts or GGUF_PARTS
    values, tensors = gguf.read(path)
    assert (values["general.type"], values["adapter.type"]) == ("adapter", "lora")
    found = {}
    for name in tensors:
        if name.endswith(".weight.lora_a"):
            _, layer, part = name.removesuffix(".weight.lora_a").split(".")
            a, b = floats(tensors[name]), floats(tensors[name[:-1] + "b"])
            if heads and part in ("attn_q", "attn_k"):
                b = halves(b, heads[part == "attn_k"])
            alpha = values["adapter.lora.alpha"]
            found[f"model.layers.{layer}.{parts[part]}"] = product(b, a, alpha / len(a) if alpha else 1)
    return found


class Convert(ExchangeTest):
    def convert(self, adapter, to, out, *arguments):
        return self.gives_json("convert", adapter, "--to", to, "--out", out, *arguments)

    def test_mlx_adds_the_same(self):
        for adapter, folded in ((LORA, False), (RSLORA, False), (PATTERNS, True), (QWEN2, False)):
            with self.subTest(adapter.name):
                out = self.folder / f"{adapter.name}-mlx"
                result = self.convert(adapter, "mlx", out)
                self.assertEqual((result["from"], result["to"], result["folded"]), ("peft", "mlx", folded))
                self.assert_same_deltas(mlx_deltas(out), deltas(adapter))

    def test_gguf_adds_the_same_with_rows_in_its_order(self):
        for adapter, base, heads, alpha, architecture in (
                (LORA, LLAMA_BASE, (4, 2), 8, "llama"), (RSLORA, LLAMA_BASE, (4, 2), 16, "llama"),
                (PATTERNS, LLAMA_BASE, (4, 2), 0, "llama"), (QWEN2, QWEN2_BASE, None, 6, "qwen2"),
                (PHI3, PHI3_BASE, None, 6, "phi3")):
            with self.subTest(adapter.name):
                out = self.folder / f"{adapter.name}.gguf"
                result = self.convert(adapter, "gguf", out, "--model", base)
                self.assertEqual((result["to"], result["folded"], result["modules"]),
                                 ("gguf", alpha == 0, len(deltas(adapter))))
                values, _ = gguf.read(out)
                self.assertEqual((values["general.architecture"], values["adapter.lora.alpha"]),
                                 (architecture, alpha))
                parts = FUSED_PARTS if adapter == PHI3 else GGUF_PARTS
                self.assert_same_deltas(gguf_deltas(out, heads, parts), deltas(adapter))

    def test_ranks_of_their_own_need_no_folding_where_alpha_is_one(self):
        adapter = self.adapter("ranks", PATTERNS, alpha_pattern={})
        self.assertFalse(self.convert(adapter, "gguf", self.out, "--model", LLAMA_BASE)["folded"])
        back = self.folder / "back"
        self.convert(self.out, "peft", back, "--model", LLAMA_BASE)
        self.assertEqual((back / "adapter_model.safetensors").read_bytes(),
                         (adapter / "adapter_model.safetensors").read_bytes())
        self.assert_same_deltas(deltas(back), deltas(adapter))

    def test_there_and_back_is_the_same(self):
        for adapter, base in ((LORA, LLAMA_BASE), (RSLORA, LLAMA_BASE), (PATTERNS, LLAMA_BASE), (QWEN2, QWEN2_BASE),
                              (PHI3, PHI3_BASE)):
            for way in ("mlx", "gguf", "peft"):
                with self.subTest((adapter.name, way)):
                    there, back = (self.folder / f"{adapter.name}-{way}-{end}" for end in ("there", "back"))
                    folded = self.convert(adapter, way, there, "--model", base)["folded"]
                    result = self.convert(there, "peft", back, "--model", base)
                    self.assertEqual((result["from"], result["folded"]), (way, False))
                    self.assert_same_deltas(deltas(back), deltas(adapter))
                    self.assertEqual(folded, adapter == PATTERNS and way != "peft" or adapter == PHI3 and way == "mlx")
                    if not folded:
                        self.assertEqual((back / "adapter_model.safetensors").read_bytes(),
                                         (adapter / "adapter_model.safetensors").read_bytes())
                    self.assertEqual(set(settings(back)["target_modules"]), set(settings(adapter)["target_modules"]))
                    self.assertIsNone(settings(back)["layers_to_transform"])

    def test_without_the_model_layers_are_listed(self):
        self.convert(QWEN2, "gguf", self.out, "--model", QWEN2_BASE)
        for arguments, layers in ((["--model", QWEN2_BASE], None), ([], [0, 1, 2])):
            back = self.folder / f"back{len(arguments)}"
            self.convert(self.out, "peft", back, *arguments)
            self.assertEqual(settings(back)["layers_to_transform"], layers)
            self.assert_same_deltas(deltas(back), deltas(QWEN2))

    def test_the_mlx_settings_come_back(self):
        adapter = self.adapter("named", base_model_name_or_path="org/base", lora_dropout=0.25, r=4, lora_alpha=10)
        self.convert(adapter, "mlx", self.out)
        config = settings(self.out)
        self.assertEqual((config["model"], config["lora_parameters"]["scale"], config["lora_parameters"]["dropout"]),
                         ("org/base", 2.5, 0.25))
        self.convert(self.out, "peft", self.folder / "back")
        wanted = {"base_model_name_or_path": "org/base", "lora_dropout": 0.25, "r": 4, "lora_alpha": 10}
        for key, value in wanted.items():
            self.assertEqual(settings(self.folder / "back")[key], value)

    def test_types_of_the_factors(self):
        for dtype, limit in (("f16", 2e-3), ("bf16", 2e-2)):
            for to, out in (("gguf", self.folder / f"{dtype}.gguf"), ("mlx", self.folder / f"{dtype}-mlx")):
                self.convert(LORA, to, out, "--model", LLAMA_BASE, "--adapter-dtype", dtype)
                back = self.folder / f"{out.name}-back"
                self.convert(out, "peft", back, "--model", LLAMA_BASE)
                self.assert_same_deltas(deltas(back), deltas(LORA), limit)
                found = gguf.read(out)[1] if to == "gguf" else checkpoint.read(out / "adapters.safetensors")
                self.assertEqual({kind for kind, _, _ in found.values()}, {dtype.upper()})

    def test_what_the_formats_have_no_place_for_is_named(self):
        head = self.change_tensors(self.adapter("head", QWEN2, target_modules=["lm_head"]), lambda tensors: {
            "base_model.model.lm_head.lora_A.weight": ("F32", [3, 48], bytes(4 * 3 * 48)),
            "base_model.model.lm_head.lora_B.weight": ("F32", [97, 3], bytes(4 * 3 * 97))})
        odd = self.adapter("odd", target_modules=["odd_proj"])
        self.change_tensors(odd, lambda tensors: {name.replace("down_proj", "odd_proj"): t for name, t in
                                                  tensors.items() if "down_proj" in name})
        for arguments, says in (
            ([head, "--to", "gguf", "--model", QWEN2_BASE], ["lm_head", "ties to its embedding"]),
            ([odd, "--to", "gguf", "--model", LLAMA_BASE], ["no name", "mlp.odd_proj"]),
            ([LORA, "--to", "gguf"], ["name the model (--model)"]),
            ([QWEN2, "--to", "gguf", "--model", LLAMA_BASE / "absent"], ["absent"]),
            ([FIXTURES / "tiny-llama-prompt", "--to", "mlx"], ["PROMPT_TUNING"]),
            ([FIXTURES / "tiny-llama-classify", "--to", "gguf", "--model", LLAMA_BASE], ["modules_to_save"]),
            ([self.folder / "absent", "--to", "mlx"], ["absent"]),
        ):
            with self.subTest(says):
                self.fails(1, "convert", *arguments, "--out", self.out, says=says)
                self.assertFalse(self.out.exists())

    def test_nothing_is_overwritten(self):
        self.out.write_text("mine")
        self.fails(1, "convert", LORA, "--to", "gguf", "--model", LLAMA_BASE, "--out", self.out,
                   says="is there already")
        self.assertEqual(self.out.read_text(), "mine")
        for to in ("peft", "mlx"):
            self.fails(1, "convert", LORA, "--to", to, "--out", self.adapter(to), says="holds an adapter already")
            self.fails(1, "convert", LORA, "--to", to, "--out", LLAMA_BASE, says="model")


if __name__ == "__main__":
    main()
