"""Weights held in blocks: a model gives what the same model gives whose files hold the values of the blocks in f32."""

import array
import json
import os
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import MODEL, TRAIN, VALIDATION, CommandTest, main, needs_device

BLOCK = 32


def f16(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def q8_0(values):
    """What is left of floats in blocks of 32 with 8 bits each and a scale in f16."""
    out = array.array("f")
    for at in range(0, len(values), BLOCK):
        block = values[at:at + BLOCK]
        scale = f32(max(map(abs, block)) / 127)
        inverse, kept = f32(1 / scale), f16(scale)
        out.extend(kept * int(abs(f32(v * inverse)) + 0.5) * (1 if v > 0 else -1) for v in block)
    return out


def in_blocks(tensors):
    """Every matrix whose rows are whole blocks."""
    for name, (dtype, shape, data) in tensors.items():
        if len(shape) == 2 and shape[1] % BLOCK == 0:
            data = q8_0(array.array("f", data)).tobytes()
        yield name, (dtype, shape, data)


def with_short_rows(tensors, ffn):
    """The model with fewer columns in its down projections."""
    for name, (dtype, shape, data) in tensors.items():
        if ".mlp.down_proj" in name:
            row = shape[1] * 4
            data, shape = b"".join(data[at:at + ffn * 4] for at in range(0, len(data), row)), [shape[0], ffn]
        elif ".mlp." in name:
            data, shape = data[:ffn * shape[1] * 4], [ffn, shape[1]]
        yield name, (dtype, shape, data)


@needs_device
class Blocks(CommandTest):
    ffn = 352
    storage = "q8_0"
    paths = ["panel", "tile", "clblast"]

    def setUp(self):
        super().setUp()
        files = checkpoint.read(MODEL / "model.safetensors")
        self.data = self.write("some.jsonl", "".join(VALIDATION.read_text(encoding="utf-8").splitlines(True)[:12]))
        self.tensors = dict(with_short_rows(files, self.ffn)) if self.ffn != 352 else files
        self.base = self.model("base", self.tensors)
        self.wide = self.model("wide", dict(in_blocks(self.tensors)))

    def model(self, name, tensors):
        copy = self.folder / name
        shutil.copytree(MODEL, copy, copy_function=shutil.copyfile)
        checkpoint.change_json(copy / "config.json", intermediate_size=self.ffn)
        checkpoint.write(copy / "model.safetensors", tensors)
        return copy

    def both(self, command, *arguments, **options):
        """Of the blocks and of their values."""
        return [self.gives_json(command, model, *arguments, "--dtype", dtype, "--quiet", **options)
                for model, dtype in ((self.base, "q8_0"), (self.wide, "file"))]

    def test_evaluation_is_that_of_the_values_on_every_path(self):
        rounded, exact = self.gives_json("eval", self.wide, "--data", self.data, "--quiet")["loss"], \
            self.gives_json("eval", self.base, "--data", self.data, "--quiet")["loss"]
        self.assertGreater(abs(rounded - exact), 1e-4)  # that it is in blocks shows
        for path in self.paths:
            with self.subTest(path=path):
                blocks, values = self.both("eval", "--data", self.data, env=os.environ | {"CLORA_GEMM": path})
                self.assertAlmostEqual(blocks["loss"], values["loss"], delta=2e-5)
                self.assertEqual(blocks["tokens"], values["tokens"])

    def test_new_tokens_are_those_of_the_values(self):
        for prompt in ("Once upon a time", "1, 2, 3, 4,"):
            blocks, values = self.both("generate", "--prompt", prompt, "--max-tokens", 12)
            self.assertEqual(blocks["ids"], values["ids"])

    def test_an_adapter_trains_as_on_the_values(self):
        losses = []
        for number, (model, dtype) in enumerate(((self.base, "q8_0"), (self.wide, "file"))):
            out, log = self.folder / f"adapter{number}", self.folder / f"log{number}"
            self.succeeds("train", model, "--data", TRAIN, "--out", out, "--steps", 6, "--lr", 0.01, "--log", log,
                          "--batch-size", 2, "--max-length", 48, "--dtype", dtype, "--quiet")
            lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
            losses.append([line["loss"] for line in lines if "loss" in line])
        self.assertGreaterEqual(len(losses[0]), 2)
        self.assertLess(losses[0][-1], losses[0][0])
        for blocks, values in zip(*losses, strict=True):
            self.assertAlmostEqual(blocks, values, delta=2e-4)

    def test_memory_is_what_was_planned(self):
        plan = self.gives_json("inspect", self.base, "--dtype", "q8_0")["training"]
        loaded = self.gives_json("inspect", self.base, "--dtype", "q8_0")["device_bytes"]
        matrices = sum(len(data) // (BLOCK * 4) * 34 if shape[1] % BLOCK == 0 else len(data)
                       for _, shape, data in self.tensors.values() if len(shape) == 2)
        self.assertEqual(plan["weights"], loaded)
        self.assertAlmostEqual(plan["weights"], matrices, delta=0.04 * matrices)  # norms and the panels' tables
        bench = self.gives_json("bench", self.base, "--dtype", "q8_0", "--only", "decode", "--new-tokens", 2,
                                "--rounds", 1, "--quiet")
        self.assertEqual(bench["dtype"], self.storage)


class Mixed(Blocks):
    """Where the rows of some matrices are not whole blocks, these keep their type."""

    ffn = 340
    storage = "mixed"
    paths = ["panel"]
    test_an_adapter_trains_as_on_the_values = None  # as above


if __name__ == "__main__":
    main()
