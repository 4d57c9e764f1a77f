"""What a device is worth: found, chosen and checked before it is trusted."""

import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, ROOT, CommandTest, clora, main, needs_device

GENERATE = ["generate", MODEL, "--prompt", "name: The Old Mill", "--max-tokens", "3"]
OFF_FMA = "#undef fma\n#define fma(a, b, c) (1.001f * (a) * (b) + (c))\n"


@needs_device
class SelfCheck(CommandTest):
    def setUp(self):
        super().setUp()
        self.environment = os.environ | {"CLORA_CACHE_DIR": str(self.folder / "cache"), "CLORA_SELF_CHECK": "on"}
        for name in ("CLORA_GEMM", "CLORA_TUNE"):
            self.environment.pop(name, None)

    def plant(self, file):
        """From now on the kernels of one file compute slightly wrongly."""
        shutil.copytree(ROOT / "kernels", self.folder / "kernels")
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

    def test_wrong_gradients_leave_no_adapter(self):
        self.plant("adamw.cl")
        data = self.write("data.jsonl", '{"prompt": "a", "completion": " b"}\n')
        out = self.folder / "adapter"
        self.fails(1, "train", MODEL, "--data", data, "--out", out, "--quiet", env=self.environment, says="adamw f32")
        self.assertFalse(out.exists())

    def test_a_setting_that_is_none_is_refused(self):
        self.fails(1, *GENERATE, env=self.environment | {"CLORA_SELF_CHECK": "maybe"},
                   says="CLORA_SELF_CHECK is 'maybe': take on, off or force")


if __name__ == "__main__":
    main()
