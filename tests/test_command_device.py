"""What a device is worth: found, chosen and checked before it is trusted."""

import json
import os
import pathlib
import resource
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, ROOT, TRAIN, VALIDATION, CommandTest, clora, main, needs_device

GENERATE = ["generate", MODEL, "--prompt", "name: The Old Mill", "--max-tokens", "3"]
OFF_FMA = "#undef fma\n#define fma(a, b, c) (1.001f * (a) * (b) + (c))\n"


def portable():
    """Is there no platform but PoCL?"""
    status, out, _ = clora("devices", "--json")
    return status == 0 and {d["platform"] for d in json.loads(out)} == {"Portable Computing Language"}


class NoDevice(CommandTest):
    COMMANDS = [["devices"], ["devices", "--json"], ["devices", "--device", "0"], GENERATE, ["tune", "show"],
                ["tune", "--shape", "3,4"], ["bench", MODEL], ["train", MODEL, "--data", TRAIN, "--out", "nowhere"],
                ["eval", MODEL, "--data", VALIDATION]]

    def says(self, environment, *parts, limit=None):
        """Every command that needs a device fails with the same sentence."""
        sentences = set()
        for command in self.COMMANDS:
            with self.subTest(command=command):
                err = self.fails(1, *command, env=os.environ | environment, says=parts, preexec_fn=limit)
                sentences.add(err.split(": ", 1)[1])
        self.assertEqual(len(sentences), 1, sentences)

    @unittest.skipUnless(portable(), "not PoCL alone")
    def test_a_platform_without_devices_is_named(self):
        name = "though a platform is installed: 'Portable Computing Language' (CL_"
        self.says({"POCL_DEVICES": "nosuch"}, name, "POCL_DEVICES")
        self.says({"POCL_CACHE_DIR": "/proc/no/place"}, name, "POCL_CACHE_DIR")

    @unittest.skipUnless(portable(), "not PoCL alone")
    def test_a_platform_that_cannot_be_loaded_is_named(self):
        def little_memory():
            resource.setrlimit(resource.RLIMIT_AS, (100 << 20, 100 << 20))

        self.says({}, ".icd names a platform that cannot be loaded", "ulimit -v", limit=little_memory)
        self.write("some.icd", "/no/such/library.so\n")
        folder = str(self.folder)
        self.says({"OCL_ICD_VENDORS": folder, "OPENCL_VENDOR_PATH": folder}, f"{folder}/some.icd names a platform")

    def test_without_a_platform_the_advice_is_to_install_one(self):
        folder = str(self.folder)
        self.says({"OCL_ICD_VENDORS": folder, "OPENCL_VENDOR_PATH": folder},
                  f"no platform is found where OCL_ICD_VENDORS points, {folder}; install", "pocl-opencl-icd")


@needs_device
class Choice(CommandTest):
    def chosen(self, *words, **variables):
        return [d["index"] for d in self.gives_json("devices", *words, env=os.environ | variables)]

    def test_a_type_chooses(self):
        devices = json.loads(clora("devices", "--json")[1])
        for kind in ("gpu", "cpu", "accelerator", "GPU", "Cpu"):
            of_kind = [d for d in devices if d["type"] == kind.lower()]
            with self.subTest(kind):
                if of_kind:
                    self.assertIn(self.chosen("--device", kind), [[d["index"]] for d in of_kind])
                    self.assertEqual(clora(*GENERATE, env=os.environ | {"CLORA_DEVICE": kind})[0], 0)
                else:
                    says = [f"no OpenCL device is a {kind}; there are: 0 '{devices[0]['name']}' ({devices[0]['type']})"]
                    self.fails(1, "devices", "--device", kind, says=says)
                    self.fails(1, *GENERATE, env=os.environ | {"CLORA_DEVICE": kind}, says=says)


@needs_device
class SelfCheck(CommandTest):
    def setUp(self):
        super().setUp()
        self.environment = os.environ | {"CLORA_CACHE_DIR": str(self.folder / "cache"), "CLORA_SELF_CHECK": "on"}
        for name in ("CLORA_GEMM", "CLORA_TUNE"):
            self.environment.pop(name, None)

    def plant(self, file):
        """From now on the kernels of one file compute slightly wrongly."""
        shutil.copytree(ROOT / "kernels", self.folder / "kernels", dirs_exist_ok=True)
        path = self.folder / "kernels" / file
        path.write_text(OFF_FMA + path.read_text())
        self.environment["CLORA_KERNEL_DIR"] = str(self.folder / "kernels")

    def run_with(self, *command, **variables):
        return clora(*command, env=self.environment | variables)

    def test_a_right_device_is_asked_once_and_nothing_is_said(self):
        status, out, err = self.run_with(*GENERATE)
        self.assertEqual((status, err), (0, ""))
        record, = self.folder.glob("cache/tune/v1/*/self_check.json")
        before = record.stat().st_mtime_ns
        self.assertEqual(self.run_with(*GENERATE), (0, out, ""))
        self.assertEqual(record.stat().st_mtime_ns, before)
        self.assertEqual(self.run_with(*GENERATE, CLORA_SELF_CHECK="force"), (0, out, ""))
        self.assertGreater(record.stat().st_mtime_ns, before)

    def test_a_cache_that_cannot_be_written_changes_nothing(self):
        place = self.write("place", "in the way")
        self.assertEqual(self.run_with(*GENERATE, CLORA_CACHE_DIR=str(place))[::2], (0, ""))
        nowhere = {name: value for name, value in self.environment.items()
                   if name not in ("HOME", "CLORA_CACHE_DIR", "XDG_CACHE_HOME")}
        self.assertEqual(clora(*GENERATE, env=nowhere)[::2], (0, ""))

    def test_a_wrong_family_is_replaced_with_one_note(self):
        if "panel" not in clora("devices")[1]:
            self.skipTest("the fault is planted in a kernel for CPUs")
        self.plant("matmul_panel.cl")
        _, right, _ = self.run_with(*GENERATE, CLORA_GEMM="tile", CLORA_SELF_CHECK="off")
        status, out, err = self.run_with(*GENERATE)
        self.assertEqual((status, out, err.count("\n")), (0, right, 1), err)
        self.assertIn("note: the tile kernels take the place of others", err)
        self.assertIn("matmul f32 M 61", err)
        self.fails(1, *GENERATE, env=self.environment | {"CLORA_GEMM": "panel"}, says="matmul f32 M 61")

    def test_what_is_wrong_in_every_family_ends_the_command(self):
        self.plant("norm.cl")
        self.fails(1, *GENERATE, env=self.environment, says=["fails its self-check", "rmsnorm f32 M 3", "expected"])
        self.fails(1, *GENERATE, env=self.environment, says="rmsnorm f32 M 3")  # again: only what passed is kept
        self.assertEqual(self.run_with(*GENERATE, CLORA_SELF_CHECK="off")[0], 0)

    def train_fails(self, says, **variables):
        """A training that is refused leaves no adapter."""
        data = self.write("data.jsonl", '{"prompt": "a", "completion": " b"}\n')
        out = self.folder / "adapter"
        self.fails(1, "train", MODEL, "--data", data, "--out", out, "--quiet", env=self.environment | variables,
                   says=says)
        self.assertFalse(out.exists())

    def test_wrong_updates_are_refused(self):
        self.plant("adamw.cl")
        self.train_fails("adamw f32 M 3")

    def test_wrong_terms_are_refused(self):
        for family in ("panel", "tile"):
            self.plant(f"lowrank_{family}.cl")
            self.train_fails("lowrank_down f32 M 67", CLORA_GEMM=family)

    def test_a_setting_that_is_none_is_refused(self):
        self.fails(1, *GENERATE, env=self.environment | {"CLORA_SELF_CHECK": "maybe"},
                   says="CLORA_SELF_CHECK is 'maybe': take on, off or force")


if __name__ == "__main__":
    main()
