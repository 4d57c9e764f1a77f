"""Single cases from the command line of the programs that run them: TEST_OPS is one."""

import os
import pathlib
import random
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import ROOT, CommandTest, main, needs_device

PROGRAM = os.environ["TEST_OPS"]


def run(*arguments, **options):
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=240, check=False, **options)
    return done.returncode, done.stdout, done.stderr


class Cases(CommandTest):
    def test_wrong_usage_says_what_is_wrong(self):
        for wrong, says in ((["--case", "nothing"], "'nothing'"), (["--path", "fast", "--case", "add"], "'fast'"),
                            (["--case", "add", "--shape", "Q=1"], "'Q'"), (["--case", "add", "--shape", "M"], "shape"),
                            (["--case", "add", "--shape", "1,2,3,4,5"], "'5'"), (["add"], "'add'"),
                            (["--case", "add", "--choose", "path_term"], "'path_term'")):
            with self.subTest(wrong):
                status, _, err = run(*wrong)
                self.assertEqual(status, 1)
                self.assertIn(says, err)

    def test_the_list_has_cases_with_their_shapes(self):
        _, out, _ = run("--list", "--case", "matmul")
        lines = out.splitlines()
        self.assertGreater(len(lines), 5)
        self.assertTrue(all(line.startswith("--case matmul --shape '") for line in lines), out)
        _, more, _ = run("--list", "--case", "matmu")  # the name of none: all that hold it
        self.assertIn("--case matmul_dx ", more)


@needs_device
class Runs(CommandTest):
    def test_a_line_of_the_list_is_a_command_line(self):
        line = random.choice([line for line in run("--list", "--case", "rmsnorm")[1].splitlines()])
        status, out, err = run(*shlex.split(line), "--seed", "3")
        self.assertEqual((status, err), (0, ""))
        self.assertRegex(out, r"\Aright rmsnorm f32 .* seed 3\n\Z")

    def test_a_wrong_result_comes_with_the_command_that_repeats_it(self):
        kernels = self.folder / "kernels"
        shutil.copytree(ROOT / "kernels", kernels)
        path = kernels / "activation.cl"
        source = path.read_text()
        self.assertIn(" * LOAD(u + i), y + i);", source)
        path.write_text(source.replace(" * LOAD(u + i), y + i);", " * LOAD(u + i), y + i); y[i] += 1.0f;"))
        spoilt = os.environ | {"CLORA_KERNEL_DIR": str(kernels), "POCL_CACHE_DIR": str(self.folder / "pocl")}
        status, out, err = run("--case", "swiglu", "--shape", "3,0,65", "--seed", "9", "--family", "gpu", env=spoilt)
        self.assertEqual(status, 1)
        self.assertRegex(out, r"\AWRONG swiglu f32 M 3 K 65 seed 9: .* expected ")
        self.assertEqual(err, f"repeat with: {PROGRAM} --case swiglu --shape 'f32 M 3 K 65 seed 9' --family gpu\n")
        repeat = shlex.split(err.removeprefix("repeat with: "))[1:]
        self.assertEqual(run(*repeat, env=spoilt), (1, out, err))
        self.assertEqual(run(*repeat)[0], 0)


if __name__ == "__main__":
    main()
