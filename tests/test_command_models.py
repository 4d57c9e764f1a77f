"""Model directories as other programs leave them."""

import array
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import MODEL, TRAIN, VALIDATION, CommandTest, clora, main, needs_device

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


class ModelTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.data = self.write("some.jsonl", "".join(VALIDATION.read_text(encoding="utf-8").splitlines(True)[:2]))

    def model(self, name, tensors=None, **config):
        """A copy of the bundled model with other tensors and other keys in config.json."""
        copy = self.folder / name
        shutil.copytree(MODEL, copy, copy_function=shutil.copyfile)
        checkpoint.change_json(copy / "config.json", **config)
        if tensors:
            checkpoint.write(copy / "model.safetensors", tensors)
        return copy

    def output(self, *arguments):
        """Of a command that succeeds: its JSON and standard error."""
        status, out, err = clora(*arguments, "--json")
        self.assertEqual(status, 0, err)
        return json.loads(out), err

    def loss(self, model, *arguments):
        result, err = self.output("eval", model, "--data", self.data, *arguments)
        return result["loss"], err

    def adapter(self, name, model, targets):
        """Trained for one step, so fast that it changes much."""
        status, _, err = clora("train", model, "--data", TRAIN, "--out", self.folder / name, "--steps", 1, "--lr", 0.05,
                               "--target-modules", targets, "--batch-size", 1, "--max-length", 32, "--quiet")
        self.assertEqual((status, err), (0, ""))
        return self.folder / name


@needs_device
class Head(ModelTest):
    def setUp(self):
        super().setUp()
        self.base = checkpoint.read(MODEL / "model.safetensors")
        dtype, shape, table = self.base[EMBEDDING]
        row = len(table) // shape[0]
        rolled = table[row:] + table[:row]
        self.both = self.base | {HEAD: (dtype, shape, rolled)}

    def test_a_head_that_differs_is_used_with_a_note(self):
        tied, untied = self.model("tied", self.both), self.model("untied", self.both, tie_word_embeddings=False)
        wanted, err = self.loss(untied)
        self.assertEqual(err, "")
        self.assertGreater(abs(wanted - self.loss(MODEL)[0]), 0.1)
        found, err = self.loss(tied)
        self.assertEqual(found, wanted)
        self.one_line(err, "note: ", f"{tied}: lm_head.weight")
        self.assertEqual(self.loss(tied, "--quiet"), (wanted, ""))
        for arguments in (["generate", "--prompt", "name:", "--max-tokens", 4], ["inspect"]):
            (one, err), (two, _) = (self.output(arguments[0], m, *arguments[1:]) for m in (tied, untied))
            self.one_line(err, "note: ", "lm_head.weight")
            for key in ("ids", "tied", "parameters", "device_bytes"):
                self.assertEqual(one.get(key), two.get(key))

    def test_training_and_merging_use_the_head_that_differs(self):
        tied, untied = self.model("tied", self.both), self.model("untied", self.both, tie_word_embeddings=False)
        for targets in ("q_proj", "lm_head"):
            with self.subTest(targets):
                one, two = self.adapter(f"a {targets}", tied, targets), self.adapter(f"b {targets}", untied, targets)
                name = "adapter_model.safetensors"
                self.assertEqual((one / name).read_bytes(), (two / name).read_bytes())
                merged = self.folder / f"merged {targets}"
                status, _, err = clora("merge", tied, one, "--out", merged)
                self.assertEqual(status, 0, err)
                self.one_line(err, "note: ", "lm_head.weight")
                self.assertIs(json.loads((merged / "config.json").read_text())["tie_word_embeddings"], False)
                self.assertEqual(set(checkpoint.read(merged / "model.safetensors")), set(self.both))
                wanted, found = self.loss(untied, "--adapter", one)[0], self.loss(merged)[0]
                self.assertGreater(abs(wanted - self.loss(untied)[0]), 1e-3)
                self.assertLess(abs(found - wanted), 1e-5)

    def test_a_head_that_is_a_copy_is_taken_quietly(self):
        dtype, shape, table = self.base[EMBEDDING]
        halves = [int(x * 256) / 256 for x in array.array("f", table)]
        wide, narrow = array.array("f", halves).tobytes(), b"".join(checkpoint.half(x) for x in halves)
        same = self.model("same", self.base | {HEAD: (dtype, shape, table)})
        mixed = self.model("mixed", self.base | {EMBEDDING: ("F32", shape, wide), HEAD: ("F16", shape, narrow)})
        plain = self.model("plain", self.base | {EMBEDDING: ("F32", shape, wide)})
        self.assertEqual(self.loss(same), (self.loss(MODEL)[0], ""))
        self.assertEqual(self.loss(mixed), (self.loss(plain)[0], ""))
        self.assertTrue(self.output("inspect", same)[0]["tied"])

    def test_a_tied_table_may_have_either_name(self):
        named = {HEAD if name == EMBEDDING else name: tensor for name, tensor in self.base.items()}
        model = self.model("other name", named)
        self.assertEqual(self.loss(model), (self.loss(MODEL)[0], ""))
        adapter = self.adapter("a", model, "lm_head")
        status, _, err = clora("merge", model, adapter, "--out", self.folder / "merged")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(set(checkpoint.read(self.folder / "merged/model.safetensors")), set(self.both))
        self.assertLess(abs(self.loss(self.folder / "merged")[0] - self.loss(model, "--adapter", adapter)[0]), 1e-5)
        untied = self.model("untied", named, tie_word_embeddings=False)
        self.fails(1, "eval", untied, "--data", self.data, says=f"{EMBEDDING} is missing")

    def test_an_index_may_list_a_tied_head_that_no_file_holds(self):
        def sharded(name, **config):
            model = self.model(name, **config)
            (model / "model.safetensors").unlink()
            names = sorted(self.base)
            parts = [{n: self.base[n] for n in part} for part in (names[:20], names[20:])]
            checkpoint.write_shards(model, parts, listed=[HEAD])
            return model

        model = sharded("tied")
        self.assertEqual(self.loss(model), (self.loss(MODEL)[0], ""))
        status, _, err = clora("merge", model, self.adapter("a", model, "q_proj"), "--out", self.folder / "merged")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(self.loss(self.folder / "merged")[1], "")
        untied = sharded("untied", tie_word_embeddings=False)
        self.fails(1, "eval", untied, "--data", self.data, says=f"{HEAD} is missing")


@needs_device
class Qwen2(ModelTest):
    def biased(self, value, names=("q_proj", "k_proj", "v_proj")):
        """The bundled model's tensors with biases of one value at some projections of attention."""
        tensors = checkpoint.read(MODEL / "model.safetensors")
        places = {name.removesuffix("weight") + "bias": tensor[1][0] for name, tensor in tensors.items()
                  if name.split(".")[-2] in names}
        return tensors | {name: ("F16", [rows], checkpoint.half(value) * rows) for name, rows in places.items()}

    def text(self, model):
        result, _ = self.output("generate", model, "--prompt", "name:", "--max-tokens", 12)
        return result["ids"]

    def test_it_is_llama_with_biases_on_q_k_and_v(self):
        zero = self.model("zero", self.biased(0.0), model_type="qwen2")
        some = self.model("some", self.biased(0.25), model_type="qwen2")
        self.assertEqual(self.loss(zero), self.loss(MODEL))
        self.assertEqual(self.text(zero), self.text(MODEL))
        self.assertGreater(abs(self.loss(some)[0] - self.loss(MODEL)[0]), 1e-3)
        self.assertEqual(self.output("inspect", some)[0]["model_type"], "qwen2")

    def test_an_adapter_is_trained_and_merged(self):
        model = self.model("some", self.biased(0.25), model_type="qwen2")
        adapter, merged = self.adapter("adapter", model, "all-linear"), self.folder / "merged"
        self.succeeds("merge", model, adapter, "--out", merged)
        wanted, found = self.loss(model, "--adapter", adapter)[0], self.loss(merged)[0]
        self.assertGreater(abs(wanted - self.loss(model)[0]), 1e-3)
        self.assertLess(abs(found - wanted), 1e-3 * wanted)
        before, after = (checkpoint.read(m / "model.safetensors") for m in (model, merged))
        for name in (n for n in before if n.endswith(".bias")):
            self.assertEqual(after[name], before[name])

    def test_a_window_changes_what_the_last_layers_see(self):
        whole, most = ({"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 6,
                        "max_window_layers": first} for first in (99, 1))
        whole, most = (self.model(str(i), self.biased(0.25), **keys) for i, keys in enumerate((whole, most)))
        self.assertEqual(self.loss(whole), self.loss(self.model("some", self.biased(0.25), model_type="qwen2")))
        self.assertGreater(abs(self.loss(most)[0] - self.loss(whole)[0]), 1e-4)
        self.assertLess(abs(self.loss(most)[0] - self.loss(whole)[0]), 1)

    def test_other_biases_are_refused_by_name(self):
        other = self.model("other", self.biased(0.25, ("q_proj", "k_proj", "v_proj", "o_proj")), model_type="qwen2")
        self.fails(1, "eval", other, "--data", self.data, says=["o_proj.bias", "is a bias"])


@needs_device
class AdapterNames(ModelTest):
    def test_every_command_loads_names_from_memory_and_training_saves_the_standard_ones(self):
        standard = self.adapter("standard", MODEL, "q_proj")
        other = self.folder / "other"
        shutil.copytree(standard, other)
        tensors = checkpoint.read(standard / "adapter_model.safetensors")
        changed = {name.replace("base_model.model.", "_orig_mod.").replace(".weight", ".default.weight"): tensor
                   for name, tensor in tensors.items()}
        checkpoint.write(other / "adapter_model.safetensors", changed)
        loss, note = self.loss(MODEL, "--adapter", other)
        self.assertEqual((loss, ""), self.loss(MODEL, "--adapter", standard))
        self.one_line(note, "note:", "_orig_mod.", "lora_A.default.weight is read as base_model.model.")
        self.assertEqual(self.output("inspect", other), self.output("inspect", standard))
        for adapter in (standard, other):
            out = self.folder / f"from {adapter.name}"
            status, _, err = clora("train", MODEL, "--data", self.data, "--init-adapter", adapter, "--steps", 1,
                                   "--batch-size", 1, "--max-length", 32, "--out", out, "--quiet")
            self.assertEqual((status, err), (0, ""))
            self.succeeds("merge", MODEL, adapter, "--out", self.folder / f"merged {adapter.name}")
        for folder, name in (("from", "adapter_model.safetensors"), ("merged", "model.safetensors")):
            self.assertEqual(*((self.folder / f"{folder} {a}" / name).read_bytes() for a in ("standard", "other")))
        checkpoint.write(other / "adapter_model.safetensors", tensors | changed)
        name = sorted(tensors)[0]
        self.fails(1, "merge", MODEL, other, "--out", self.folder / "no", says=[name, "default", "the same factor"])
        self.assertFalse((self.folder / "no").exists())


if __name__ == "__main__":
    main()
