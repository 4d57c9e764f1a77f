"""Training and generation on devices that look like GPUs (support/pretend.c) against the CPU's own kernels."""

import json
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, TRAIN, CommandTest, clora, main, takes_panels

PROMPTS = {"Once upon a time": "f32", "The little dog": "bf16", "A red house": "f16"}
TOLERANCE = 1e-5  # of losses: sums of other orders


def as_gpu(name, **limits):
    """The environment of a command that sees its devices as GPUs of this name, with other limits: group=64."""
    settings = {f"PRETEND_{key.upper()}": str(value) for key, value in limits.items()}
    return os.environ | settings | {"LD_PRELOAD": os.environ["CLORA_PRETEND"], "PRETEND": name}


class Gpu(CommandTest):
    expected = None  # what the CPU makes: the same for all

    def results(self, **options):
        """The losses of a short run, and texts that its adapter continues."""
        name = "gpu" if options else "cpu"
        log = self.folder / f"{name}.jsonl"
        self.succeeds("train", MODEL, "--data", TRAIN, "--out", self.folder / name, "--log", log, "--rank", "4",
                      "--steps", "3", "--batch-size", "2", "--max-length", "16", "--dropout", "0.1", "--no-shuffle",
                      **options)
        losses = [json.loads(line)["loss"] for line in log.read_text(encoding="utf-8").splitlines()]
        texts = [self.succeeds("generate", MODEL, "--adapter", self.folder / name, "--prompt", prompt, "--max-tokens",
                               "8", "--temperature", "0", "--dtype", dtype, **options)
                 for prompt, dtype in PROMPTS.items()]
        return losses, texts

    def check(self, gpu, **limits):
        environment = as_gpu(gpu, **limits)
        devices = json.loads(self.succeeds("devices", "--json", env=environment))
        self.assertEqual({(device["type"], device["gemm"]) for device in devices}, {("gpu", "tile")})
        Gpu.expected = Gpu.expected or self.results()
        losses, texts = self.results(env=environment)
        self.assertEqual(len(losses), 3)
        for expected, found in zip(self.expected[0], losses):
            self.assertLess(abs(expected - found), TOLERANCE * expected)
        self.assertEqual(texts, self.expected[1])


@unittest.skipUnless(takes_panels(), "no CPU to compare with")
class SameResults(Gpu):
    def test_as_nvidia(self):
        self.check("nvidia")

    def test_as_amd(self):
        self.check("amd")

    def test_as_adreno(self):
        self.check("adreno")

    def test_with_small_groups_and_little_local_memory(self):
        self.check("mali", group=64, local=16384)


class Limits(Gpu):
    def test_a_kernel_that_may_have_fewer_work_items_is_said_with_the_remedy(self):
        environment = as_gpu("adreno", kernel_group=128)
        command = ["generate", MODEL, "--prompt", "a", "--max-tokens", "2", "--temperature", "0"]
        self.fails(1, *command, env=environment, says=["groups of 256 work-items", "allows it 128", "CLORA_MAX_GROUP"])
        self.succeeds(*command, env=environment | {"CLORA_MAX_GROUP": "128"})
        self.fails(1, *command, env=environment | {"CLORA_MAX_GROUP": "63"},
                   says="CLORA_MAX_GROUP is '63': take 64 work-items or more")


if __name__ == "__main__":
    main()
