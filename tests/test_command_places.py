"""What stands where a model or an adapter should be: each is named for what it is, with what to do about it."""

import json
import os
import pathlib
import shutil
import socket
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import MODEL, CommandTest, clora, main, needs_device

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a" * 16 + "\nsize 5484880\n"
WEIGHTS, INDEX, FACTORS = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"


class PlaceTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.made = 0

    def model(self, tensors=None, **config):
        """A copy of the bundled model."""
        self.made += 1
        copy = self.folder / f"model {self.made}"
        shutil.copytree(MODEL, copy, copy_function=shutil.copyfile)
        checkpoint.change_json(copy / "config.json", **config)
        if tensors:
            checkpoint.write(copy / WEIGHTS, tensors)
        return copy

    def adapter(self):
        self.made += 1
        path = self.folder / f"adapter {self.made}"
        path.mkdir()
        settings = {"peft_type": "LORA", "r": 1, "target_modules": "model.layers.0.self_attn.q_proj"}
        (path / "adapter_config.json").write_text(json.dumps(settings))
        name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
        checkpoint.write(
            path / FACTORS,
            {f"{name}A.weight": ("F32", [1, 128], bytes(512)), f"{name}B.weight": ("F32", [128, 1], bytes(512))},
        )
        return path

    def refuses(self, arguments, *says, status=1):
        err = self.fails(status, *arguments, says=says)
        self.assertFalse((self.folder / "out").exists())
        return err

    def refuses_model(self, model, *says):
        """By a command that needs no device, and by some that do."""
        for command in (
            ["merge", model, self.adapter(), "--out", self.folder / "out"],
            ["generate", model, "--prompt", "a"],
            ["inspect", model],
        ):
            if command[0] == "merge" or DEVICE:
                self.refuses(command, *says)

    def refuses_adapter(self, adapter, *says):
        self.refuses(["merge", MODEL, adapter, "--out", self.folder / "out"], *says)
        if DEVICE:
            self.refuses(["generate", MODEL, "--adapter", adapter, "--prompt", "a"], *says)


DEVICE = clora("devices", "--quiet")[0] == 0


class GitLFS(PlaceTest):
    def test_a_pointer_in_place_of_any_file_is_named(self):
        says = "Git LFS pointer", "git lfs pull"
        for name in ("config.json", WEIGHTS):
            model = self.model()
            (model / name).write_text(POINTER)
            self.refuses_model(model, f"{model}/{name}", *says)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            model = self.model()
            (model / name).write_text(POINTER)
            self.refuses(["tokenize", model, "a"], f"{model}/{name}", *says)
            self.refuses(["merge", model, self.adapter(), "--out", self.folder / "out"], f"{model}/{name}", *says)
        for name in ("adapter_config.json", FACTORS):
            adapter = self.adapter()
            (adapter / name).write_text(POINTER)
            self.refuses_adapter(adapter, f"{adapter}/{name}", *says)
            self.refuses(["inspect", adapter], f"{adapter}/{name}", *says)
        model = self.model()
        tensors = checkpoint.read(model / WEIGHTS)
        (model / WEIGHTS).unlink()
        checkpoint.write_shards(model, [tensors])
        shard = model / "model-00001-of-00001.safetensors"
        for path in (shard, model / INDEX):
            path.write_text(POINTER)
            self.refuses_model(model, str(path), *says)
        self.refuses(["inspect", self.write("data.jsonl", POINTER)], "data.jsonl", *says)

    @needs_device
    def test_so_is_one_in_place_of_generation_settings(self):
        model = self.model()
        (model / "generation_config.json").write_text(POINTER)
        self.refuses(["generate", model, "--prompt", "a"], "generation_config.json", "git lfs pull")


class Quantized(PlaceTest):
    def test_the_settings_name_the_method(self):
        for settings in (
            {"quant_method": "bitsandbytes", "load_in_8bit": True},
            {"quant_method": "gptq", "bits": 4},
            {"quant_method": "awq"},
            {"quant_method": "fp8"},
            {"quant_method": "compressed-tensors"},
            {"load_in_4bit": True},
        ):
            self.refuses_model(
                self.model(quantization_config=settings),
                "config.json",
                "quantized",
                settings.get("quant_method", "quantization_config"),
                "F32, F16 or BF16",
            )

    def test_settings_that_are_off_are_no_quantization(self):
        model = self.model()
        text = json.loads((model / "config.json").read_text())
        for off in (None, {}):
            (model / "config.json").write_text(json.dumps(text | {"quantization_config": off}))
            out = self.folder / f"merged {off}"
            self.succeeds("merge", model, self.adapter(), "--out", out)

    def test_tensors_tell_it_without_settings(self):
        base = checkpoint.read(MODEL / WEIGHTS)
        name = "model.layers.3.mlp.up_proj"
        half = base[f"{name}.weight"][1][0] * 64
        without = {n: t for n, t in base.items() if n != f"{name}.weight"}
        packed = ("U8", [half, 1], bytes(half))
        for what, tensors in {
            "bitsandbytes, 4": {
                f"{name}.weight": packed,
                f"{name}.weight.absmax": ("U8", [4], bytes(4)),
                f"{name}.weight.quant_map": ("F32", [16], bytes(64)),
            },
            "8 bits": {f"{name}.weight": ("I8", [352, 128], bytes(352 * 128))},
            "bitsandbytes, 8": {
                f"{name}.weight": ("I8", [352, 128], bytes(352 * 128)),
                f"{name}.SCB": ("F32", [352], bytes(1408)),
            },
            "GPTQ": {
                f"{name}.qweight": ("I32", [16, 352], bytes(16 * 352 * 4)),
                f"{name}.g_idx": ("I32", [128], bytes(512)),
                f"{name}.qzeros": ("I32", [1, 44], bytes(176)),
                f"{name}.scales": ("F16", [1, 352], bytes(704)),
            },
            "AWQ": {
                f"{name}.qweight": ("I32", [128, 44], bytes(128 * 44 * 4)),
                f"{name}.qzeros": ("I32", [1, 44], bytes(176)),
            },
            "FP8": {f"{name}.weight": ("F8_E4M3", [352, 128], bytes(352 * 128))},
            "(FP8": {
                f"{name}.weight": ("F8_E5M2", [352, 128], bytes(352 * 128)),
                f"{name}.weight_scale_inv": ("F32", [3, 1], bytes(12)),
            },
            "compressed-tensors": {
                f"{name}.weight_packed": ("I32", [352, 16], bytes(352 * 64)),
                f"{name}.weight_scale": ("BF16", [352, 1], bytes(704)),
            },
            "MXFP4": {
                f"{name}.weight_blocks": ("U8", [352, 4, 16], bytes(352 * 64)),
                f"{name}.weight_scales": ("U8", [352, 4], bytes(352 * 4)),
            },
            "MLX": {
                f"{name}.weight": ("U32", [352, 16], bytes(352 * 64)),
                f"{name}.scales": ("F16", [352, 2], bytes(352 * 4)),
                f"{name}.biases": ("F16", [352, 2], bytes(352 * 4)),
            },
        }.items():
            with self.subTest(what):
                self.refuses_model(
                    self.model(without | tensors), "quantized", what, f"tensor {name}", "F32, F16 or BF16"
                )


class Caches(PlaceTest):
    def cache(self, inside, revisions, main=None):
        root = self.folder / "hub" / f"models--org--{inside.name.replace(' ', '-')}"
        (root / "blobs").mkdir(parents=True)
        (root / "refs").mkdir()
        if main:
            (root / "refs/main").write_text(main)
        for revision in revisions:
            shutil.copytree(inside, root / "snapshots" / revision)
        return root

    def test_the_root_names_the_snapshot_to_take(self):
        for main, wanted in (("bbb2", "bbb2"), ("ccc3", "aaa1"), (None, "aaa1"), ("../../..", "aaa1")):
            root = self.cache(self.model(), ["aaa1", "bbb2"], main)
            self.refuses_model(root, f"take {root}/snapshots/{wanted}")
            self.refuses(["tokenize", root, "a"], f"take {root}/snapshots/{wanted}")
        self.refuses_model(root / "snapshots", f"take {root}/snapshots/aaa1")
        self.refuses_model(root.parent, f"such as {self.folder}/hub/models--org--model-1/snapshots/bbb2")

    def test_so_does_an_adapters(self):
        root = self.cache(self.adapter(), ["abc"], "abc")
        self.refuses_adapter(root, f"take {root}/snapshots/abc")
        self.refuses_adapter(root / "snapshots", f"take {root}/snapshots/abc")
        self.refuses(["inspect", root], f"take {root}/snapshots/abc")

    def test_a_root_without_snapshots_is_a_download_that_failed(self):
        root = self.cache(self.model(), [])
        (root / "snapshots").mkdir()
        self.refuses_model(root, "no snapshot is there", "download")

    def test_snapshots_of_links_load_and_links_that_lead_nowhere_are_named(self):
        model = self.model()
        root = self.cache(self.adapter(), [])
        snapshot = root / "snapshots/abc"
        snapshot.mkdir(parents=True)
        for path in model.iterdir():
            shutil.move(path, root / "blobs" / path.name)
            (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
        self.succeeds("tokenize", snapshot, "a")
        self.succeeds("merge", snapshot, self.adapter(), "--out", self.folder / "merged")
        for name in (WEIGHTS, "config.json"):
            blob = root / "blobs" / name
            blob.rename(root / "blobs/gone")
            self.refuses_model(snapshot, f"{snapshot}/{name}", f"a link to ../../blobs/{name}", "not there")
            (root / "blobs/gone").rename(blob)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (root / "blobs" / name).rename(root / "blobs/gone")
            self.refuses(["tokenize", snapshot, "a"], f"{snapshot}/{name}", "a link to", "not there")
            (root / "blobs/gone").rename(root / "blobs" / name)

    def test_links_of_other_files_that_lead_nowhere_are_named(self):
        model = self.model()
        tensors = checkpoint.read(model / WEIGHTS)
        (model / WEIGHTS).unlink()
        checkpoint.write_shards(model, [tensors])
        shard = model / "model-00001-of-00001.safetensors"
        shard.unlink()
        self.refuses_model(model, f"{INDEX} names the file {shard.name}, which is missing")
        shard.symlink_to("nowhere")
        self.refuses_model(model, str(shard), "a link to nowhere")
        for name in (FACTORS, "adapter_config.json"):
            adapter = self.adapter()
            (adapter / name).unlink()
            (adapter / name).symlink_to("nowhere")
            self.refuses_adapter(adapter, f"{adapter}/{name}", "a link to nowhere")
        link = self.folder / "link"
        link.symlink_to("nowhere")
        self.refuses_model(link, f"{link}", "a link to nowhere")


class OtherThings(PlaceTest):
    def test_a_name_of_the_hub_says_how_to_download(self):
        says = "no such directory", "huggingface-cli download org/Some-Model_1.5"
        adapter = self.adapter()
        for arguments in (
            ["merge", "org/Some-Model_1.5", adapter, "--out", "out"],
            ["tokenize", "org/Some-Model_1.5", "a"],
            ["inspect", "org/Some-Model_1.5"],
            ["merge", MODEL, "org/Some-Model_1.5", "--out", "out"],
        ):
            self.one_line(clora(*arguments, cwd=self.folder)[2], *says)
        (self.folder / "org").mkdir()
        for name in ("org/model", "./org2/model", "../org2/model", "a/b/c", "/tmp/none", "plain", "a b/c"):
            err = clora("tokenize", name, "a", cwd=self.folder)[2]
            self.one_line(err, "no such directory")
            self.assertNotIn("huggingface-cli", err)

    def test_files_in_place_of_directories(self):
        model, adapter = self.model(), self.adapter()
        for name, says in (
            ("m.gguf", "GGUF"),
            ("m.safetensors", "name its directory"),
            ("m.bin", "Python pickle"),
            ("m.pt", "Python pickle"),
            ("m.txt2", "is a file"),
        ):
            path = self.write(name, b"GGUF")
            for arguments in (
                ["merge", path, adapter, "--out", self.folder / "out"],
                ["merge", model, path, "--out", self.folder / "out"],
                ["tokenize", path, "a"],
            ):
                self.refuses(arguments, str(path), says)
            if name != "m.txt2":
                self.refuses(["inspect", path], str(path), says)

    def test_weights_of_other_formats(self):
        for names, says in (
            (["pytorch_model.bin"], "pytorch_model.bin, a Python pickle"),
            (["model.gguf"], "model.gguf"),
            (["consolidated.00.pth"], "consolidated.00.pth, a Python pickle"),
            (["tf_model.h5"], "tf_model.h5"),
            (["model-00001-of-00002.safetensors"], "model.safetensors.index.json"),
            ([], "holds neither model.safetensors nor"),
        ):
            model = self.model()
            (model / WEIGHTS).unlink()
            for name in names:
                (model / name).write_bytes(b"x")
            self.refuses_model(model, str(model), says)
        for name, says in (
            ("adapter_model.bin", "adapter_model.bin is a Python pickle"),
            ("lora.pt", "lora.pt is a Python"),
            ("adapters.safetensors", "adapters.safetensors, but no adapter_model.safetensors"),
            ("README.md", "adapter_model.safetensors"),
        ):
            adapter = self.adapter()
            (adapter / FACTORS).rename(adapter / name)
            self.refuses_adapter(adapter, str(adapter), says)
            self.refuses(["inspect", adapter], str(adapter), says)

    def test_other_contents_under_a_safetensors_name(self):
        for begin, kind in (
            (b"GGUF\3\0\0\0", "GGUF"),
            (b"PK\3\4" + bytes(40), "PyTorch"),
            (b"\x80\x02}q\x00", "PyTorch"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
        ):
            model, adapter = self.model(), self.adapter()
            (model / WEIGHTS).write_bytes(begin + bytes(100))
            (adapter / FACTORS).write_bytes(begin + bytes(100))
            self.refuses_model(model, f"{model}/{WEIGHTS}: not a safetensors file", kind)
            self.refuses_adapter(adapter, f"{adapter}/{FACTORS}: not a safetensors file", kind)

    def test_a_model_for_an_adapter_and_the_reverse(self):
        adapter = self.adapter()
        self.refuses(["merge", adapter, adapter, "--out", self.folder / "out"], f"{adapter} is an adapter")
        self.refuses_adapter(MODEL, f"{MODEL} is a model")
        outer = self.folder / "run"
        shutil.copytree(adapter, outer / "checkpoint-20")
        self.refuses_adapter(outer, "adapter_config.json", f"take {outer}/checkpoint-20")
        empty = self.folder / "empty"
        empty.mkdir()
        self.refuses_adapter(empty, f"{empty} holds no adapter_config.json")
        self.refuses(["inspect", empty], f"{empty} holds no config.json")
        for path in (MODEL / "config.json", MODEL / "tokenizer_config.json", MODEL / "tokenizer.json",
                     adapter / "adapter_config.json"):
            self.refuses(["inspect", path], f"{path} is one file of several: name its directory")
        self.refuses(["tokenize", empty, "a"], f"{empty}/tokenizer.json is not there")

    def test_a_broken_tokenizer_is_merged_with_a_note(self):
        model, out = self.model(), self.folder / "out"
        (model / "tokenizer.json").write_text("{")
        status, _, err = clora("merge", model, self.adapter(), "--out", out)
        self.assertEqual(status, 0)
        self.assertRegex(err, f"\\Aclora merge: note: [^\n]* broken: {model}/tokenizer.json[^\n]*\n\\Z")
        self.assertEqual((out / "tokenizer.json").read_text(), "{")


def listen(path):
    """A socket; a path of that kind is short."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as made:
        made.bind(f"{folder}/s")
        os.link(f"{folder}/s", path)


class Pipes(PlaceTest):
    def test_what_is_no_regular_file_is_refused_at_once(self):
        for make, says in (
            (os.mkfifo, "not a regular file"),
            (os.mkdir, "directory"),
            (lambda path: os.symlink("/dev/zero", path), "not a regular file"),
            (listen, "not a regular file"),
        ):
            for name in ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"):
                model = self.model()
                (model / name).unlink()
                make(model / name)
                arguments = (
                    ["tokenize", model, "a"]
                    if name.startswith("tok")
                    else ["merge", model, self.adapter(), "--out", self.folder / "out"]
                )
                self.refuses(arguments, f"{model}/{name}", says)
            for name in ("adapter_config.json", FACTORS):
                adapter = self.adapter()
                (adapter / name).unlink()
                make(adapter / name)
                self.refuses_adapter(adapter, f"{adapter}/{name}", says)
            model = self.model()
            (model / WEIGHTS).unlink()
            make(model / INDEX)
            self.refuses_model(model, f"{model}/{INDEX}", says)


if __name__ == "__main__":
    main()
