"""Models and adapters made to cost more than their files are large, or to reach what is not theirs."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import CLORA, MODEL, CommandTest, main

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


if __name__ == "__main__":
    main()
