"""The checks of suite style see what they are for: a fault is planted for each."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import check_circles
import check_layers
import check_rooms
import check_style

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True


def style(name, text):
    return [problem for _, problem in check_style.problems(pathlib.PurePosixPath(name), text)]


class Rooms(unittest.TestCase):
    def test_two_files_of_one_name(self):
        sources = {"src/model/rope.c": "", "src/ops/rope.c": "", "src/ref/rope.c": "", "src/ops/norm.c": ""}
        self.assertEqual(list(check_rooms.doubled_names(sources)), ["rope.c: src/model, src/ops"])

    def test_words_of_a_family_where_operations_are(self):
        sources = {"src/ops/ops.h": "/* Llama's */ int up_projection;", "src/model/decoder.c": "llama"}
        self.assertEqual(list(check_rooms.family_words(sources)), ["src/ops/ops.h: llama"])
        sources = {"kernels/tape.cl": "x = q_proj;"}
        self.assertEqual(list(check_rooms.family_words(sources)), ["kernels/tape.cl: q_proj"])

    def test_an_adapter_in_an_optimizer(self):
        sources = {"src/train/adamw.c": "clora_adapter *a;", "src/train/trainer.c": "clora_adapter *a;"}
        self.assertEqual(list(check_rooms.adapters_in_optimizers(sources)), ["src/train/adamw.c: adapter"])

    def test_a_command_that_is_no_launch(self):
        sources = {"src/model/decoder.c": "clEnqueueFillBuffer(q, b);", "src/ops/launch.c": "clEnqueueNDRangeKernel();",
                   "src/device/tensor.c": "clEnqueueFillBuffer(q, b);"}
        found = list(check_rooms.commands_beside_launches(sources))
        self.assertEqual(found, ["src/model/decoder.c: clEnqueueFillBuffer"])

    def test_a_default_that_differs_from_the_registry(self):
        registry = ('#define BLOCK {"BLOCK", rule_block, {512, 128}}\n'
                    '#define BOTH \\\n    {BLOCK, {"NV", NULL, {1, 2}}}\n'
                    'const kernel_row kernel_rows[] = {\n    {"add", "convert", {BLOCK}},\n'
                    '    {"scale", "convert scale", BOTH},\n};\n')
        sources = {"src/device/kernels.c": registry, "kernels/convert.cl": "#define BLOCK 512 // elements\n",
                   "kernels/scale.cl": "#define NV 1\n"}
        self.assertEqual(list(check_rooms.kernel_defaults(sources)), [])
        sources["kernels/scale.cl"] = "#define NV 2 // vectors\n"
        self.assertEqual(list(check_rooms.kernel_defaults(sources)),
                         ["kernels/scale.cl: NV is 2, in the registry's row of scale 1"])
        sources["kernels/convert.cl"] = "#define BLOCK 128\n"
        self.assertEqual(len(list(check_rooms.kernel_defaults(sources))), 1)
        sources["kernels/convert.cl"] = "#define BLOCK 1024\n"
        self.assertEqual(len(list(check_rooms.kernel_defaults(sources))), 3)

    def test_files_that_are_not_there(self):
        texts = {"docs/a.md": "see kernels/norm.cl", "src/ops/norm.c": '#include "ops/ops.h" // kernels/norms.cl'}
        files = {*texts, "kernels/norm.cl", "src/ops/ops.h"}
        found = list(check_rooms.files_that_are_not_there(texts, files.__contains__))
        self.assertEqual(found, ["src/ops/norm.c: names kernels/norms.cl"])


class Style(unittest.TestCase):
    def test_long_files(self):
        self.assertEqual(style("src/base/a.c", "int a;\n" * 500), [])
        self.assertIn("over 500", style("src/base/a.c", "int a;\n" * 501)[0])
        self.assertEqual(style("tests/test_a.c", "int a;\n" * 501), [])

    def test_long_functions(self):
        body = "static void work(int a,\n                 int b) {\n" + "    a = b;\n" * 57 + "}\n"
        self.assertEqual(style("a.c", body), [])
        longer = body.replace("}", "    a = b;\n}")
        self.assertEqual(style("a.c", longer), ["work has 61 lines; over 60 it does more than one thing"])

    def test_words_of_our_own(self):
        self.assertEqual(len(style("docs/a.md", "19 learnt\n")), 1)
        self.assertEqual(len(style("src/cli/a.c", 'puts("the end token");\n')), 1)
        self.assertEqual(style("src/cli/a.c", 'json_pack("{s:I}", "learnt", s.learnt); /* learnt */\n'), [])

    def test_public_calls_of_many_arguments(self):
        call = "CLORA_API clora_status clora_do(int a, int b, int c, int (*d)(int x, int y), int e, int f"
        self.assertEqual(style("include/clora/a.h", call + ");\n"), [])
        self.assertIn("clora_do has 7 arguments", style("include/clora/a.h", call + ",\n    int g);\n")[0])

    def test_public_structs_that_cannot_grow(self):
        struct = "typedef struct clora_do_options {\n    size_t size;\n    int a;\n} clora_do_options;\n"
        self.assertEqual(style("include/clora/a.h", struct), [])
        self.assertIn("begin with its size", style("include/clora/a.h", struct.replace("size_t size", "int b"))[0])
        self.assertIn("clora_do_options.s is a struct",
                      style("include/clora/a.h", struct.replace("int a", "clora_sample_options s"))[0])
        value = "CLORA_API clora_rewards clora_do(void);\n"
        self.assertIn("clora_rewards by value", style("include/clora/a.h", value)[0])

    def test_blanks_tabs_and_widths(self):
        for text in ("a \n", "\ta\n", "a\n\n", "a", "x" * 121 + "\n"):
            self.assertEqual(len(style("a.c", text)), 1, repr(text))


class Structure(unittest.TestCase):
    def test_a_layer_that_includes_a_higher_one(self):
        self.assertEqual(list(check_layers.problems("ops", '#include "base/rng.h"\n')), [])
        self.assertEqual(len(list(check_layers.problems("ops", '#include "model/model.h"\n'))), 1)

    def test_files_in_a_circle(self):
        texts = {"a": "void fa(void) {\n    fb();\n}\n", "b": "void fb(void) {\n    fa();\n}\n", "c": "int x = fa();\n"}
        self.assertEqual(check_circles.in_circles(check_circles.calls(texts)), ["a", "b"])


class Reference(unittest.TestCase):
    HEADER = """/**
 * @file a.h
 * @brief A header.
 */

/**
 * Do it.
 *
 * @param[in] x  a number
 *
 * @return x
 */
int do_it(int x);
"""

    def refuses(self, header):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "a.h").write_text(header)
            values = {"HEADERS": f"{folder}/a.h", "OUTPUT": folder, "STRIP": folder, "MAINPAGE": "", "VERSION": "0"}
            text = (ROOT / "docs/Doxyfile.in").read_text(encoding="utf-8")
            text = re.sub("@([A-Z]+)@", lambda found: values[found.group(1)], text)
            run = subprocess.run([shutil.which("doxygen"), "-"], input=text, capture_output=True, text=True)
            return run.returncode != 0

    def test_what_is_not_described_in_a_public_header(self):
        if not shutil.which("doxygen"):
            self.skipTest("needs doxygen")
        self.assertFalse(self.refuses(self.HEADER))
        self.assertTrue(self.refuses(self.HEADER.replace(" * @return x\n", "")))
        self.assertTrue(self.refuses(self.HEADER.replace(" * @param[in] x  a number\n", "")))
        self.assertTrue(self.refuses(self.HEADER + "int undescribed(void);\n"))
        self.assertTrue(self.refuses(self.HEADER + "/** A. */\ntypedef struct a {\n    int undescribed;\n} a;\n"))


if __name__ == "__main__":
    unittest.main()
