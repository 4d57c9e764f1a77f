"""Training and generation on devices that look like GPUs (support/pretend.c) against the CPU's own kernels."""

import json
import os
import pathlib
import re
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, ROOT, TRAIN, CommandTest, clora, main, preload, sample, takes_panels

PROMPTS = {"Once upon a time": "f32", "The little dog": "bf16", "A red house": "f16"}
TOLERANCE = 1e-5  # of losses: sums of other orders


def as_gpu(name, **limits):
    """The environment of a command that sees its devices as GPUs of this name, with other limits: group=64."""
    settings = {f"PRETEND_{key.upper()}": str(value) for key, value in limits.items()}
    return os.environ | settings | {"LD_PRELOAD": preload(os.environ["CLORA_PRETEND"]), "PRETEND": name}


class Gpu(CommandTest):
    expected = None  # what the CPU makes: the same for all

    def results(self, name, **options):
        """The losses of a short run, and texts that its adapter continues."""
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
        Gpu.expected = Gpu.expected or self.results("cpu")
        losses, texts = self.results("-".join([gpu, *limits]), env=environment)
        self.assertEqual(len(losses), 3)
        for expected, found in zip(self.expected[0], losses):
            self.assertLess(abs(expected - found), TOLERANCE * expected)
        self.assertEqual(texts, self.expected[1])


# The last: kernels that may have fewer work-items than the device allows get smaller groups.
GPUS = [("nvidia", {}), ("amd", {}), ("adreno", {}), ("mali", {"group": 64, "local": 16384}),
        ("adreno", {"kernel_group": 64})]


@unittest.skipUnless(takes_panels(), "no CPU to compare with")
class SameResults(Gpu):
    def test_as_gpus(self):
        for name, limits in sample(GPUS, 2):
            with self.subTest(name, **limits):
                self.check(name, **limits)


GENERATE = ["generate", MODEL, "--prompt", "a", "--max-tokens", "2", "--temperature", "0"]


@unittest.skipUnless(takes_panels(), "no CPU to compare with")
class KernelLimits(CommandTest):
    def test_it_is_noted_once_and_another_plan(self):
        def run(environment):
            status, out, err = clora(*GENERATE, "--verbose", env=environment)
            self.assertEqual(status, 0, err)
            return out, err, re.findall("plan of launches (.*)", err)

        text, err, plan = run(as_gpu("adreno"))
        self.assertNotIn("allows it", err)
        self.assertRegex(err, "note:   rmsnorm .* WG 128\n")
        limited, err, other = run(as_gpu("adreno", kernel_group="rmsnorm=64,matvec_tile=100"))
        self.assertEqual(limited, text)
        self.assertNotEqual(other, plan)
        for kernel, most in ("rmsnorm", 64), ("matvec_tile", 100):
            self.assertEqual(err.count(f"note: kernel {kernel}: its driver allows it groups of {most} work-items"), 1)
        self.assertEqual(err.count("allows it"), 2)
        self.assertNotRegex(err, "note:   rmsnorm .* WG 128\n")
        self.assertRegex(err, "note:   rmsnorm .* WG 64\n")
        self.assertRegex(err, "note:   matvec_tile .*: SLICES 2\n")


class Limits(CommandTest):
    def test_a_kernel_that_has_none_so_small_is_said(self):
        self.fails(1, *GENERATE, "--quiet", env=as_gpu("adreno", kernel_group="matvec_tile=31"),
                   says=["kernel matvec_tile wants groups of 32 work-items", "allows it 31", "CLORA_MAX_GROUP"])

    def test_what_is_set_by_hand_is_not_changed(self):
        environment = as_gpu("adreno", kernel_group=64) | {"CLORA_PARAM_RMSNORM_WG": "128"}
        self.fails(1, *GENERATE, env=environment, says=["kernel rmsnorm wants groups of 128", "allows it 64"])

    def test_the_limit_can_be_set(self):
        environment = as_gpu("adreno", kernel_group=128)
        self.succeeds(*GENERATE, env=environment | {"CLORA_MAX_GROUP": "128"})
        self.fails(1, *GENERATE, env=environment | {"CLORA_MAX_GROUP": "63"},
                   says="CLORA_MAX_GROUP is '63': take 64 work-items or more")


def devices_are(names, **limits):
    """The environment of a machine with these GPUs, in this order."""
    return as_gpu(",".join(names), **limits) | {"POCL_DEVICES": " ".join(["pthread"] * len(names))}


class Choice(CommandTest):
    def taken(self, names, **limits):
        listed = self.gives_json("devices", env=devices_are(names, **limits))
        self.assertEqual(len(listed), len(names))
        return [device["index"] for device in listed if device["default"]]

    def chosen(self, names, wanted):
        return self.gives_json("devices", "--device", wanted, env=devices_are(names))[0]["index"]

    def test_the_gpu_that_does_most_work_is_the_default(self):
        self.assertEqual(self.taken(["intel", "nvidia"]), [1])
        self.assertEqual(self.taken(["nvidia", "intel"]), [0])
        self.assertEqual(self.taken(["mali", "amd", "intel", "nvidia"]), [1])
        self.assertEqual(self.taken(["amd", "amd"]), [0])
        self.assertEqual(self.chosen(["intel", "nvidia"], "gpu"), 1)

    def test_of_equals_it_is_the_one_with_more_memory(self):
        self.assertEqual(self.taken(["old-nvidia", "nvidia"]), [1])
        self.assertEqual(self.taken(["nvidia", "old-nvidia"]), [0])

    def test_one_that_is_too_old_is_listed_and_not_taken(self):
        self.assertEqual(self.taken(["clover", "mali"]), [1])
        self.assertEqual(self.chosen(["clover", "mali"], "gpu"), 1)
        environment = devices_are(["clover", "mali"])
        self.assertIn("none (OpenCL 1.2 is needed", self.succeeds("devices", env=environment))
        for wanted in ("0", "RV770"):
            self.fails(1, "devices", "--device", wanted, env=environment,
                       says=["'AMD RV770' has OpenCL 1.1", "clora needs OpenCL 1.2"])

    def test_where_all_are_too_old_it_is_said(self):
        self.assertEqual(self.taken(["clover"]), [])
        self.fails(1, "generate", MODEL, "--prompt", "a", env=devices_are(["clover"]), says="clora needs OpenCL 1.2")


class SelfCheck(CommandTest):
    def test_wrong_kernels_for_gpus_are_replaced_with_one_note(self):
        shutil.copytree(ROOT / "kernels", self.folder / "kernels")
        tiles = self.folder / "kernels/matmul_tile.cl"
        tiles.write_text("#undef fma\n#define fma(a, b, c) (1.001f * (a) * (b) + (c))\n" + tiles.read_text())
        environment = as_gpu("nvidia") | {"CLORA_CACHE_DIR": str(self.folder), "CLORA_SELF_CHECK": "on"}
        generate = ["generate", MODEL, "--prompt", "A red house", "--max-tokens", "3", "--device", "gpu"]
        right = clora(*generate, env=environment)
        self.assertEqual(right[::2], (0, ""))
        status, out, err = clora(*generate, env=environment | {"CLORA_KERNEL_DIR": str(self.folder / "kernels")})
        self.assertEqual((status, out, err.count("\n")), (0, right[1], 1), err)
        self.assertRegex(err, "note: the panel kernels take the place of others.*: matmul f32 M 1 ")


if __name__ == "__main__":
    main()
