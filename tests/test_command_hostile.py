"""Models and adapters made to cost more than their files are large, or to reach what is not theirs."""

import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint, gguf
from support.command import CLORA, MODEL, CommandTest, clora, main

CPU_SECONDS, MEMORY_MIB = 30, 256  # far above what is needed, far below what these inputs took


def measured(*arguments):
    """Run with a limit on the processor's time: (exit status, standard output and error, peak MiB)."""

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))

    process = subprocess.Popen(
        [CLORA, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=limit
    )
    text = process.stdout.read().decode()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, text, usage.ru_maxrss // 1024


class HostileTest(CommandTest):
    def model(self, tensors=None, **config):
        copy = self.folder / "model"
        shutil.copytree(MODEL, copy, copy_function=shutil.copyfile)
        checkpoint.change_json(copy / "config.json", **config)
        if tensors:
            checkpoint.write(copy / "model.safetensors", tensors)
        return copy

    def adapter(self, **settings):
        path = self.folder / "adapter"
        path.mkdir(exist_ok=True)
        settings = {"peft_type": "LORA", "r": 1, "target_modules": "model.layers.0.self_attn.q_proj"} | settings
        (path / "adapter_config.json").write_text(json.dumps(settings))
        name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
        checkpoint.write(
            path / "adapter_model.safetensors",
            {f"{name}A.weight": ("F32", [1, 128], bytes(512)), f"{name}B.weight": ("F32", [128, 1], bytes(512))},
        )
        return path

    def within_limits(self, *arguments, status=0):
        found, text, mib = measured(*arguments)
        self.assertEqual(found, status, text[-1000:])
        self.assertLess(mib, MEMORY_MIB)
        return text


class Adapters(HostileTest):
    def test_patterns_cost_what_they_are_long(self):
        many = 100000
        patterns = {f"zz{i:06}": 8 for i in range(many)}
        names = [f"name_{i:06}" for i in range(many)]
        for settings in (
            {"rank_pattern": patterns},
            {"alpha_pattern": patterns},
            {"target_modules": [*names, "model.layers.0.self_attn.q_proj"], "exclude_modules": names},
            {"target_modules": ["q_proj"], "layers_to_transform": [0, *range(7, many)]},
        ):
            with self.subTest(list(settings)):
                adapter = self.adapter(**settings)
                self.within_limits("inspect", adapter)
                self.within_limits("merge", MODEL, adapter, "--out", self.folder / "out")
                shutil.rmtree(self.folder / "out")

    def test_expressions_are_not_all_kept(self):
        adapter = self.adapter(rank_pattern={f"(?:zz{i:06})": 8 for i in range(60000)})
        self.within_limits("merge", MODEL, adapter, "--out", self.folder / "out")

    def test_an_expression_that_takes_memory_without_end_is_given_up(self):
        groups = "()" * 7000
        for settings in (
            {"target_modules": groups + "(?:.|.)*(?:.|.)*[!?]"},
            {"rank_pattern": {groups + "(?:.|.)*(?:.|.)*[!?]": 2}},
            {"exclude_modules": groups + "(?:.|.)*(?:.|.)*[!?]"},
        ):
            adapter = self.adapter(**settings)
            text = self.within_limits("merge", MODEL, adapter, "--out", self.folder / "out", status=1)
            self.one_line(text, "adapter_config.json", "limit")


class Ggufs(HostileTest):
    KIND = {"general.architecture": "qwen2", "general.type": "adapter", "adapter.type": "lora",
            "adapter.lora.alpha": 2.0}
    PAIR = {"blk.0.attn_v.weight.lora_a": ("F32", [1, 4], bytes(16)),
            "blk.0.attn_v.weight.lora_b": ("F32", [4, 1], bytes(16))}

    def refused(self, content, *says):
        path = self.write("adapter.gguf", content)
        out = self.folder / "out"
        text = self.within_limits("convert", path, "--to", "peft", "--out", out, status=1)
        self.one_line(text, "adapter.gguf", *says)
        self.assertFalse(out.exists())

    def test_a_file_that_ends_early_is_refused_wherever_it_ends(self):
        whole = gguf.packed(self.KIND, self.PAIR)
        self.within_limits("convert", self.write("whole.gguf", whole), "--to", "peft", "--out", self.folder / "whole")
        for size in (0, 3, *range(4, len(whole) - 32, 29)):
            with self.subTest(size):
                self.refused(whole[:size])
        self.refused(whole + bytes(32), "bytes after the last tensor")

    def test_counts_and_shapes_beyond_the_file_cost_nothing(self):
        head = struct.pack("<4sI", b"GGUF", 3)
        key = gguf.string("x")
        for content, says in (
            (head + struct.pack("<QQ", 1 << 60, 0) + bytes(99), "truncated"),
            (head + struct.pack("<QQ", 0, 1 << 60) + bytes(99), "truncated"),
            (head + struct.pack("<QQQ", 0, 1, (1 << 64) - 1), "truncated"),
            (head + struct.pack("<QQ", 0, 1) + key + struct.pack("<IIQ", 9, 10, 1 << 61) + bytes(99), "truncated"),
            (head + struct.pack("<QQ", 0, 1) + key + struct.pack("<IIQ", 9, 9, 1) + bytes(99), "array of arrays"),
            (head + struct.pack("<QQ", 0, 1) + key + struct.pack("<I", 13) + bytes(99), "kind 13"),
            (gguf.packed({}, {"a": ("F32", [1 << 40, 1 << 40], b"")}), "overflows"),
            (gguf.packed({}, {"a": ("F32", [1 << 20, 1 << 20], b"")}), "truncated"),
            (gguf.packed({}, {"a": (99, [4], bytes(16))}), "type number 99, which clora does not know"),
            (gguf.packed({}, {"a": (12, [100], bytes(99))}), "no whole blocks"),
            (gguf.packed({}, {"a" * 64: ("F32", [1], bytes(4))}), "more than 63 bytes"),
            (gguf.packed({}, {"a\0b": ("F32", [1], bytes(4))}), "NUL"),
            (gguf.packed({"general.alignment": 24}, {}), "power of two"),
            (gguf.packed({"general.alignment": 0}, {}), "power of two"),
            (gguf.packed({"general.alignment": "32"}, {}), "not a number"),
            (gguf.packed({"a": 1, "b": 1}, {}).replace(b"b", b"a"), "there twice"),
            (gguf.packed({}, {"n": ("F32", [1], bytes(4)), "m": ("F32", [1], bytes(4))}).replace(b"m", b"n"),
             "there twice"),
            (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
            (b"GGML" + bytes(99), "does not begin with"),
        ):
            with self.subTest(says):
                self.refused(content, says)

    def test_what_is_no_adapter_of_linear_layers_is_named(self):
        a, b = self.PAIR
        nan = struct.pack("<4f", 0, float("nan"), 0, 0)
        for settings, tensors, says in (
            ({"general.type": "model"}, {}, "not a LoRA adapter"),
            ({"adapter.type": "control_vector"}, {}, "not a LoRA adapter"),
            ({"general.architecture": "llama"}, {}, "name the model (--model)"),
            ({"adapter.alora.invocation_tokens": 1}, {}, "activated LoRA"),
            ({"adapter.lora.alpha": float("inf")}, {}, "alpha"),
            ({}, {"blk.0.attn_norm.weight": ("F32", [4], bytes(16))}, "blk.0.attn_norm.weight is no factor"),
            ({}, {"token_embd.weight.lora_a": ("F32", [1, 4], bytes(16))}, "token_embd.weight.lora_a is no factor"),
            ({}, {"blk.1.attn_v.weight.lora_a": ("F32", [1, 4], bytes(16))}, "no lora_b to the tensor"),
            ({}, {"blk.1.attn_v.weight.lora_b": ("F32", [1, 4], bytes(16))}, "not in pairs"),
            ({}, {a: ("F32", [1, 4], nan)}, "not finite"),
            ({}, {a: ("F32", [2, 2], bytes(16))}, "ranks 2 and 1"),
            ({}, {a: ("F32", [4], bytes(16))}, "no factor of a linear layer"),
            ({}, {a: (8, [1, 32], bytes(34))}, "type Q8_0; F32, F16 and BF16 are supported"),
        ):
            with self.subTest(says):
                self.refused(gguf.packed(self.KIND | settings, self.PAIR | tensors), says)


class Mlx(HostileTest):
    def test_what_is_no_lora_or_does_not_fit_is_named(self):
        folder = self.folder / "mlx"
        lora = {"rank": 1, "scale": 2.0, "dropout": 0.0}
        name = "model.layers.0.self_attn.v_proj.lora_"
        pair = {f"{name}a": ("F32", [4, 1], bytes(16)), f"{name}b": ("F32", [1, 4], bytes(16))}
        for config, tensors, says in (
            ({"fine_tune_type": "dora"}, {}, '"fine_tune_type" is "dora"'),
            ({"lora_parameters": {"rank": 1, "alpha": 2.0}}, {}, 'no "scale"'),
            ({"lora_parameters": lora | {"rank": 1 << 20}}, {}, '"rank" is 1048576'),
            ({"lora_parameters": lora | {"rank": 2}}, {}, "with rank 2"),
            ({"lora_parameters": lora | {"scale": 1e39}}, {}, "out of range"),
            ({}, {"model.layers.0.self_attn.v_proj.m": ("F32", [4], bytes(16))}, "v_proj.m is no factor"),
            ({}, {"model.embed_tokens.lora_a": ("F32", [4, 1], bytes(16))}, "embed_tokens.lora_a is no factor"),
            ({}, {"model.layers.1.self_attn.v_proj.lora_a": ("F32", [4, 1], bytes(16))}, "no lora_b to the tensor"),
            ({}, {"model.layers.1.self_attn.v_proj.lora_b": ("F32", [1, 4], bytes(16))}, "not in pairs"),
            ({}, {f"{name}a": ("F32", [4, 1], struct.pack("<4f", 0, 0, 0, float("inf")))}, "not finite"),
            ({}, {f"{name}a": ("U32", [4, 1], bytes(16))}, "type U32"),
        ):
            with self.subTest(says):
                folder.mkdir(exist_ok=True)
                settings = {"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": lora} | config
                (folder / "adapter_config.json").write_text(json.dumps(settings))
                checkpoint.write(folder / "adapters.safetensors", pair | tensors)
                text = self.within_limits("convert", folder, "--to", "peft", "--out", self.folder / "out", status=1)
                self.one_line(text, "mlx/", says)
                self.assertFalse((self.folder / "out").exists())


class Ranks(HostileTest):
    def test_a_rank_that_all_modules_would_get_costs_what_the_files_are_large(self):
        adapter = self.adapter(r=1, target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 65536})
        q, v = (f"base_model.model.model.layers.0.self_attn.{kind}_proj.lora_" for kind in "qv")
        checkpoint.write(adapter / "adapter_model.safetensors", {
            f"{q}A.weight": ("F32", [1, 100000], bytes(400000)), f"{q}B.weight": ("F32", [100000, 1], bytes(400000)),
            f"{v}A.weight": ("F32", [65536, 1], bytes(262144)), f"{v}B.weight": ("F32", [1, 65536], bytes(262144))})
        out = self.folder / "out"
        for arguments in (["combine", adapter], ["combine", adapter, "--method", "cat"],
                          ["convert", adapter, "--to", "mlx"]):
            text = self.within_limits(*arguments, "--out", out, status=1)
            self.one_line(text, "rank 65536", "times as large")
            self.assertFalse(out.exists())


class Links(HostileTest):
    def setUp(self):
        super().setUp()
        self.secret = self.write("secret", "not the model's")
        self.out = self.folder / "out"

    def merged(self, model):
        self.succeeds("merge", model, self.adapter(), "--out", self.out)

    def refused(self, model, *says):
        self.fails(1, "merge", model, self.adapter(), "--out", self.out, says=says)
        self.assertFalse(self.out.exists())

    def test_links_out_of_the_model_are_not_copied(self):
        model = self.model()
        (model / "sub").mkdir()
        (self.folder / "model2").mkdir()
        shutil.copyfile(self.secret, self.folder / "model2/secret")
        (self.folder / "hop").symlink_to(self.secret)
        for name, target in (
            ("notes.txt", self.secret),
            ("notes.txt", "../secret"),
            ("notes.txt", "sub/../../secret"),
            ("notes.txt", "../model2/secret"),
            ("notes.txt", "/proc/self/status"),
            ("tokenizer_config.json", "../secret"),
        ):
            (model / name).unlink(missing_ok=True)
            (model / name).symlink_to(target)
            self.refused(model, f"{model}/{name} is a link to", "outside")
            (model / name).unlink()
        (model / "chain").symlink_to(self.folder / "hop")
        self.refused(model, f"{model}/chain is a link to {self.secret}")
        (model / "chain").unlink()
        (model / "notes.txt").symlink_to("nowhere")
        self.refused(model, f"{model}/notes.txt", "a link to nowhere")

    def test_links_below_the_model_are_copied_as_files(self):
        model = self.model()
        (model / "sub").mkdir()
        (model / "sub/notes").write_text("kept")
        (model / "notes.txt").symlink_to("sub/notes")
        (model / "more.txt").symlink_to("notes.txt")
        (model / "folder").symlink_to(self.folder)  # not copied, like every directory
        (self.folder / "alias").symlink_to(model)
        self.merged(self.folder / "alias")
        for name in ("notes.txt", "more.txt"):
            self.assertFalse((self.out / name).is_symlink())
            self.assertEqual((self.out / name).read_text(), "kept")
        self.assertFalse((self.out / "folder").exists())

    def test_links_of_a_hugging_face_cache_lead_to_its_blobs_only(self):
        model = self.model()
        root = self.folder / "hub/models--org--name"
        snapshot = root / "snapshots/abc"
        snapshot.mkdir(parents=True)
        (root / "blobs").mkdir()
        for path in model.iterdir():
            shutil.move(path, root / "blobs" / path.name)
            (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
        self.merged(snapshot)
        self.assertFalse((self.out / "tokenizer.json").is_symlink())
        shutil.rmtree(self.out)
        (root / "secret").write_text("beside the blobs")
        for target in ("../../secret", self.secret, "../../blobs/../secret"):
            (snapshot / "notes.txt").symlink_to(target)
            self.refused(snapshot, f"{snapshot}/notes.txt is a link to", "outside")
            (snapshot / "notes.txt").unlink()
        elsewhere = self.folder / "x/plain/abc"  # no snapshots/ above it: its ../../blobs is nobody's
        elsewhere.parent.mkdir(parents=True)
        shutil.copytree(snapshot, elsewhere)
        (self.folder / "x/blobs").mkdir()
        (self.folder / "x/blobs/b").write_text("other")
        (elsewhere / "notes.txt").symlink_to("../../blobs/b")
        self.refused(elsewhere, f"{elsewhere}/notes.txt is a link to", "outside")


class Sizes(HostileTest):
    def test_settings_beyond_the_tensors_are_refused_before_anything_is_allocated(self):
        for settings, says in (
            ({"vocab_size": 16777216}, "embed_tokens.weight is (2048, 128); config.json makes it (16777216, 128)"),
            ({"num_hidden_layers": 4096}, "model.layers.6.input_layernorm.weight is missing"),
            ({"intermediate_size": 8388608}, "(352, 128); config.json makes it (8388608, 128)"),
            ({"hidden_size": 16777216, "head_dim": 32}, "config.json makes it (2048, 16777216)"),
            ({"num_attention_heads": 65536}, "config.json makes it (2097152, 128)"),
        ):
            with self.subTest(settings):
                model = self.model(**settings)
                for arguments in (
                    ["inspect", model],
                    ["tune", model, "--dry-run"],
                    ["generate", model, "--prompt", "a"],
                    ["inspect", self.write("data.jsonl", '{"text": "a"}'), "--model", model],
                    ["inspect", model, "--dtype", "f32"],
                ):
                    if DEVICE:
                        self.one_line(self.within_limits(*arguments, status=1), says)
                shutil.rmtree(model)


DEVICE = clora("devices", "--quiet")[0] == 0


if __name__ == "__main__":
    main()
