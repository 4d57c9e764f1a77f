"""The programs clora-bench and clora-tables: their options and what they print. Times are not judged."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, main, needs_device

BENCH, TABLES = os.environ["CLORA_BENCH"], os.environ["CLORA_TABLES"]


def call(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


def bench(*arguments):
    return call(BENCH, *arguments)


class Bench(unittest.TestCase):
    def gives_json(self, *arguments):
        status, out, err = bench(*arguments, "--rounds", "2", "--json")
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def test_list_names_every_operation(self):
        names = bench("--list")[1].split()
        for name in ("matmul", "matmul_dx", "attention", "rmsnorm", "adamw"):
            self.assertIn(name, names)

    def test_wrong_usage_is_one_line_and_status_2(self):
        for wrong in (["--rows", "0"], ["--rows", "8,x"], ["--dtype", "f64"], ["--steps", "4"], ["--shape", "Q=1"],
                      ["--shape", "M=1x"], ["--only", "all"], ["--rounds", "two"]):
            with self.subTest(wrong):
                status, out, err = bench(*wrong)
                self.assertEqual((status, out), (2, ""))
                self.assertRegex(err, r"\Aclora-bench: .*\n\Z")

    @needs_device
    def test_an_unknown_operation_fails(self):
        status, out, err = bench("nothing")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Aclora-bench: no operation is called 'nothing'.*\n\Z")

    @needs_device
    def test_measures_the_device_and_operations_at_a_shape(self):
        result = self.gives_json("matmul", "lowrank_*", "--shape", "M=5,N=33,K=17,R=3", "--dtype", "f32,bf16")
        self.assertTrue(all(value > 0 for value in result["roofline"].values()))
        found = [(r["operation"], r["dtype"], r["M"], r["R"]) for r in result["results"]]
        self.assertEqual(found[:2], [("matmul", "f32", 5, 3), ("matmul", "bf16", 5, 3)])
        self.assertTrue(all(name.startswith("lowrank_") for name, *_ in found[2:]))
        for r in result["results"]:
            self.assertGreater(r["seconds"], 0)
            self.assertGreaterEqual(r["median_seconds"], r["seconds"])
            self.assertGreater(r["gflops"], 0)

    @needs_device
    def test_every_operation_runs_at_the_shapes_of_a_model(self):
        result = self.gives_json("--model", MODEL, "--rows", "32,2", "--ranks", "2", "--only", "operations")
        self.assertEqual({r["operation"] for r in result["results"]}, set(bench("--list")[1].split()))

    @needs_device
    def test_adds_up_the_products_of_a_step(self):
        result = self.gives_json("--model", MODEL, "--only", "products", "--steps", "2x16")
        (limit,) = result["products_only"]
        self.assertEqual((limit["batch_size"], limit["length"], result["results"]), (2, 16, []))
        self.assertAlmostEqual(limit["tokens_per_second"], 32 / limit["seconds"], delta=0.1)

    @needs_device
    def test_tables_for_people(self):
        status, out, _ = bench("rope", "--rows", "2", "--rounds", "1")
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)^roofline  [\d.]+ GFLOP/s .* GB/s copied, [\d.]+ GB/s read$")
        self.assertRegex(out, r"(?m)^rope f32 M 2 H 9 D 64 ( +[\d.]+){4} +\d+%$")


class Tables(unittest.TestCase):
    def test_wrong_usage_is_one_line_and_status_2(self):
        for wrong in ([], [MODEL, MODEL], [MODEL, "--ranks", "0"], [MODEL, "--rounds", "0"], [MODEL, "--dtype", "f64"]):
            with self.subTest(wrong):
                status, out, err = call(TABLES, *wrong)
                self.assertEqual((status, out), (2, ""))
                self.assertRegex(err, r"\Aclora-tables: .*\n\Z")

    @needs_device
    def test_a_table_without_entries_is_refused(self):
        with tempfile.TemporaryDirectory() as empty:
            status, out, err = call(TABLES, MODEL, "--tables", f"off,{empty}")
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Aclora-tables: table .* has no entry for this device .*\n\Z")

    @needs_device
    def test_every_table_is_measured_in_every_use(self):
        sizes = ["--ranks", "2", "--batch-size", "1", "--max-length", "8", "--new-tokens", "2", "--rounds", "2"]
        status, out, err = call(TABLES, MODEL, "--tables", "off,off", *sizes, "--json")
        self.assertEqual((status, err), (0, ""))
        rows = json.loads(out)
        self.assertEqual(
            [(row["use"], row["table"]) for row in rows],
            [(use, "off") for use in ("training step", "prompt", "new tokens") for _ in range(2)],
        )
        self.assertTrue(all(row["median_seconds"] >= row["best_seconds"] > 0 for row in rows))
        self.assertEqual([row["speed"] for row in rows[::2]], [1.0, 1.0, 1.0])


if __name__ == "__main__":
    main()
