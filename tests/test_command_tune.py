"""clora tune: what it leaves on disk, and that nothing a kernel does can harm it."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import CLORA, MODEL, ROOT, CommandTest, clora, main, needs_device, needs_panels, unfolded
from support.processes import start, wait_for

SHAPE = ["tune", "--shape", "40,24", "--rank", "2", "--for", "generate", "--max-length", "4"]
FEW = ["tune", "--shape", "128,24", "--rank", "0", "--for", "generate", "--max-length", "1"]  # one kernel, for one row
KERNEL = "matvec_panel"  # what the faults are planted in
SPOILT = "VW == 4 && AHEAD == 1"  # the configurations that have them: nobody's default for vectors of 8 and more
MOST_STREAMS = {1: [1], 2: [2, 3], 4: [4, 6]}  # which of them have so many STREAMS, at this shape on one core

# What stands behind the last statement of the kernel's body, what is said of it, and whether it is poison.
WRONG_RESULT = ("y[begin * NR] += 1.0f;", "expected", False)
NAN = ("y[begin * NR] = NAN;", "expected", False)
WRITE_PAST_THE_END = ("y[(size_t)M * y_stride + 5] = 7.0f;", "was written", False)
CRASH = ("*(volatile __global int *)8 = 1;", "it crashed", True)
HANG = ("for (volatile int i = 1; i;) i |= 1;", "did not end", True)


class Tune(CommandTest):
    def setUp(self):
        super().setUp()
        self.cache = self.folder / "cache"
        self.environment = os.environ | {"CLORA_CACHE_DIR": str(self.cache)}
        self.environment.pop("CLORA_TUNE", None)
        self.environment["POCL_EXTRA_BUILD_FLAGS"] = "-cl-opt-disable"  # compiling is most of the time

    def tune(self, *more, command=SHAPE, **options):
        return clora(*command, "--budget", "600s", "--json", *more, env=self.environment, **options)

    def tuned(self, *more, **options):
        status, out, err = self.tune(*more, **options)
        self.assertEqual(status, 0, err)
        return json.loads(out), err

    def entries(self):
        return sorted(self.cache.glob("tune/v1/*/entries/*.json"))

    def read_entries(self):
        return [json.loads(path.read_text()) for path in self.entries()]

    def events(self, kind):
        lines = [json.loads(line) for path in self.cache.glob("tune/v1/*/journal.jsonl") for line in
                 path.read_text().splitlines()]
        return [line for line in lines if line["event"] == kind]

    def plant(self, text, where="    matvec_finish(&sums, &p, begin, STREAMS, GATED);\n", kernel=KERNEL, spoilt=SPOILT):
        """A copy of the kernels in which some configurations of one have this after their last statement."""
        folder = self.folder / "kernels"
        shutil.copytree(ROOT / "kernels", folder)
        path = folder / f"{kernel}.cl"
        source = path.read_text()
        self.assertIn(where, source)
        path.write_text(source.replace(where, where + f"#if {spoilt}\n{text}\n#endif\n"))
        self.environment["CLORA_KERNEL_DIR"] = str(folder)


@needs_device
class Entries(Tune):
    def test_the_second_run_has_nothing_to_measure(self):
        first, _ = self.tuned()
        self.assertGreater(first["shapes"], 0)
        self.assertEqual(first["done"], first["shapes"])
        self.assertGreater(first["measured"], 0)
        self.assertGreaterEqual(len(self.entries()), first["shapes"])  # more where a choice left shapes out
        second, _ = self.tuned()
        self.assertEqual((second["measured"], second["found_before"]), (0, first["shapes"]))
        status, out, _ = clora(*SHAPE, env=self.environment)
        self.assertEqual(status, 0)
        self.assertIn("nothing to measure", out)

    @needs_panels
    def test_shapes_that_a_choice_brings_are_measured_in_the_same_run(self):
        # the low-rank term in the product's own sums is slow: it becomes a product of its own, of other shapes
        del self.environment["POCL_EXTRA_BUILD_FLAGS"]  # which would make that slow, too
        self.plant("for (volatile int i = 0; K > 0 && rank > 0 && i < 100000; i++);", kernel="matmul_panel", spoilt="1",
                   where="                    MULTIPLY(c, MR, u + u_col, row, factor, rank);\n")
        command = ["tune", "--shape", "40,96", "--rank", "2", "--for", "train", "--max-length", "16"]
        self.tuned(command=command)
        chosen = {entry["kernel"]: entry["parameters"] for entry in self.read_entries()}
        self.assertEqual(chosen["path_term"], {"PATH": 2})
        second, _ = self.tuned(command=command)
        self.assertEqual((second["measured"], second["found_before"]), (0, second["shapes"]))

    def test_entries_are_taken_by_later_commands_which_say_so(self):
        self.tuned(command=["tune", MODEL, "--for", "generate", "--max-length", "8", "--rank", "0"])
        status, out, err = clora("generate", MODEL, "--prompt", "a b c", "--max-tokens", "4", "--verbose",
                                 env=self.environment)
        self.assertEqual(status, 0, err)
        self.assertIn("(exact entry)", err)
        plain = clora("generate", MODEL, "--prompt", "a b c", "--max-tokens", "4",
                      env=self.environment | {"CLORA_TUNE": "off"})
        self.assertEqual(out, plain[1])

    def test_verbose_commands_end_with_their_plan_of_launches(self):
        def plan(*more, **changed):
            status, _, err = clora("generate", MODEL, "--prompt", "a b c", "--max-tokens", "4", *more,
                                   env=self.environment | changed)
            self.assertEqual(status, 0, err)
            return re.findall(r"note: plan of launches ([0-9a-f]{32})\n", err), err

        first, err = plan("--verbose")
        self.assertEqual(len(first), 1)
        self.assertIn("note:   products ", err)
        self.assertEqual(plan("--verbose")[0], first)
        # the look-up as a launch of its own, where a step would be one
        other, err = plan("--verbose", CLORA_PARAM_EMBEDDING_WG="32", CLORA_PARAM_PATH_TAPE_PATH="1")
        self.assertNotEqual(other, first)
        self.assertIn(": WG 32\n", err)
        self.assertEqual(plan()[0], [])

    def test_entries_are_kept_whatever_memory_the_system_has_left(self):
        self.tuned(command=FEW)
        shown = json.loads(clora("tune", "show", "--json", env=self.environment)[1])
        self.assertTrue(shown)
        for limit in ("1", "2"):
            other = self.environment | {"POCL_MEMORY_LIMIT": limit}
            self.assertEqual(json.loads(clora("tune", "show", "--json", env=other)[1]), shown)
            status, out, _ = clora(*FEW, env=other)
            self.assertEqual(status, 0)
            self.assertIn("nothing to measure", out)

    def test_entries_of_another_driver_are_used_with_one_note(self):
        self.tuned(command=FEW)
        path = self.entries()[0]
        entry = json.loads(path.read_text())
        entry["key"] |= {"N": 256, "K": 128}  # near the model's shapes
        path.write_text(json.dumps(entry))
        described = path.parents[1] / "environment.json"
        environment = json.loads(described.read_text())
        described.write_text(json.dumps(environment | {"driver": "0.9 older"}))
        path.parents[1].rename(path.parents[2] / "older")
        generate = ["generate", MODEL, "--prompt", "a b c", "--max-tokens", "2"]
        status, out, err = clora(*generate, env=self.environment)
        self.assertEqual((status, err.count("note: ")), (0, 1), err)
        self.assertIn(f"tuned with driver 0.9 older, here {environment['driver']}; 'clora tune'", err)
        self.assertEqual(clora(*generate, "--quiet", env=self.environment)[2], "")
        self.assertIn("0 entries", clora("tune", "show", env=self.environment)[1])
        off = clora(*generate, env=self.environment | {"CLORA_TUNE": "off"})
        self.assertEqual(off, (0, out, ""))

    def test_a_dry_run_lists_and_measures_nothing(self):
        status, out, _ = clora("tune", MODEL, "--dry-run", env=self.environment)
        self.assertEqual(status, 0)
        self.assertRegex(out, r"(?m)^matmul_panel f32 M 256 N 256 K 128 R 24: 6 launches|^matmul_tile ")
        self.assertRegex(unfolded(out).splitlines()[-1],
                         r"^\d+ of \d+ shapes to measure: some .* in the budget, .* with --full")
        self.assertFalse(self.cache.exists())

    def test_a_method_has_launches_of_its_own(self):
        model = os.path.join(os.environ["CLORA_TEST_FIXTURES"], "tiny-qwen2")
        for method, kernels in (("adapter", ["activate_backward"]), ("prefix", ["past_join", "past_split"]),
                                ("prompt", ["past_embed_backward"]), ("norms", ["rmsnorm_dg"]),
                                ("bias", ["matmul_dbias"]), ("full", ["embedding_dw", "rmsnorm_dg", "matmul_dbias"])):
            status, out, err = clora("tune", model, "--dry-run", "--method", method, "--rank", "4",
                                     env=self.environment)
            self.assertEqual((status, err), (0, ""), method)
            for kernel in kernels:
                self.assertRegex(out, rf"(?m)^{kernel} ", method)
            self.assertEqual(bool(re.search(r"(?m)^matmul_\w+_dw ", out)), method == "full")

    def test_show_verify_export_import_and_prune(self):
        self.tuned()
        entries = len(self.entries())
        self.assertGreater(entries, 0)
        status, out, _ = clora("tune", "show", env=self.environment)
        self.assertEqual(status, 0)
        self.assertIn(f"{entries} entries in {self.cache}", unfolded(out))
        self.assertIn("of the measured roofline", unfolded(out))
        status, out, err = clora("tune", "verify", "--json", env=self.environment)
        self.assertEqual(status, 0, err)
        self.assertEqual([line["right"] for line in json.loads(out)], [True] * entries)
        path = self.folder / "t4.json"
        self.assertEqual(clora("tune", "export", path, env=self.environment)[0], 0)
        t4 = json.loads(path.read_text())
        self.assertEqual(t4["schema_version"], "1.0.0")
        for result in t4["results"]:
            self.assertIn("configuration", result)
            self.assertEqual(result["measurements"][0]["name"], "time")
        self.assertEqual(clora("tune", "export", self.folder / "table.json", "--table", env=self.environment)[0], 0)
        table = json.loads(path.with_name("table.json").read_text())
        self.assertEqual(len(table["entries"]), entries)
        other = self.environment | {"CLORA_CACHE_DIR": str(self.folder / "other")}
        status, out, err = clora("tune", "import", path, "--json", env=other)
        self.assertEqual((status, json.loads(out)["entries"]), (0, entries), err)
        self.entries()[0].write_text("{")
        status, out, _ = clora("tune", "prune", "--others", "--json", env=self.environment)
        self.assertEqual((status, json.loads(out)), (0, {"environments": 0, "files": 1}))

    def test_mistakes_are_one_line(self):
        for words, text in [
            ([], "a model or --shape is missing"),
            ([MODEL, "--shape", "3,4"], "one of them"),
            (["--shape", "3"], "two numbers"),
            (["--shape", "3,4,5"], "two numbers"),
            (["--shape", "0,4"], "two numbers"),
            (["--shape", "3,4", "--rank", "x"], "--rank takes"),
            (["--shape", "3,4", "--rank", "1,,2"], "--rank takes"),
            (["--shape", "3,4", "--for", "fun"], "--for takes"),
            (["--shape", "3,4", "--budget", "soon"], "--budget takes"),
            (["--shape", "3,4", "--budget", "-1"], "--budget takes"),
        ]:
            with self.subTest(words):
                status, out, err = clora("tune", *words, env=self.environment)
                self.assertEqual((status, out), (2, ""))
                self.assertIn(text, err)
                self.assertEqual(err.count("\n"), 1)
        status, _, err = clora("tune", self.folder / "nothing", env=self.environment)
        self.assertEqual((status, err.count("\n")), (1, 1))
        status, _, err = clora("tune", "import", self.folder / "nothing", env=self.environment)
        self.assertEqual((status, err.count("\n")), (1, 1))


@needs_panels
class Faults(Tune):
    """A fault in some configurations of one kernel: they are not chosen, and all else goes on."""

    def setUp(self):
        super().setUp()
        self.environment["POCL_MAX_PTHREAD_COUNT"] = "1"

    def run_faults(self, faults):
        """Tune with these faults, each in the configurations of so many streams; what is printed."""
        self.plant("\n".join(f"#if STREAMS == {streams}\n{text}\n#endif" for streams, (text, *_) in faults.items()))
        result, err = self.tuned("--full", "--limit", "10", command=FEW)
        self.assertEqual(result["done"], result["shapes"], err)
        for streams, (_, word, poison) in faults.items():
            for most in MOST_STREAMS[streams]:
                self.assert_found({"VW": 4, "MOST_STREAMS": most, "AHEAD": 1}, word, poison)
            self.assertIn(word, err)
        self.assertEqual(self.workers(), [])

    def assert_found(self, spoilt, word, poison):
        """This configuration was tried, was found to be wrong for this reason, and was not chosen."""
        tried = [e for e in self.events("poison" if poison else "result") if e["parameters"] == spoilt]
        self.assertEqual([e["kernel"] for e in tried], [KERNEL], spoilt)
        self.assertIn(word, tried[0]["why"], spoilt)
        chosen = [entry for entry in self.read_entries() if entry["kernel"] == KERNEL]
        self.assertTrue(chosen)
        for entry in chosen:
            self.assertNotEqual(entry["parameters"], spoilt)

    def test_what_computes_wrongly_is_not_chosen(self):
        self.run_faults({1: WRONG_RESULT, 2: NAN, 4: WRITE_PAST_THE_END})
        self.assertEqual(self.events("poison"), [])

    def test_what_crashes_or_hangs_is_poison_and_is_not_tried_again(self):
        self.run_faults({1: HANG, 2: CRASH})
        poisoned = self.events("poison")
        self.assertEqual(len(poisoned), 3)
        for path in self.entries():
            path.unlink()
        self.tuned("--full", command=FEW)
        self.assertEqual(self.events("poison"), poisoned)

    def test_a_hang_in_the_compiler(self):
        fifo = self.folder / "never-written.h"
        os.mkfifo(fifo)
        self.run_faults({1: (f'#include "{fifo}"', "compile", True)})

    def test_three_failures_in_a_row_end_it(self):
        self.plant(CRASH[0], spoilt="1")
        status, out, err = self.tune("--full", command=FEW)
        self.assertEqual((status, json.loads(out)["done"]), (1, 0))
        self.assertIn("three configurations in a row", err.splitlines()[-1])
        self.assertEqual(len(self.events("poison")), 3)

    def workers(self):
        """Processes of ours that are still there."""
        listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if f"{CLORA} tune --worker" in line and
                pathlib.Path(f"/proc/{line.split()[0]}/environ").exists() and
                str(self.cache).encode() in pathlib.Path(f"/proc/{line.split()[0]}/environ").read_bytes()]


@needs_device
class Disk(Tune):
    def test_a_read_only_cache_is_one_clear_error(self):
        self.cache.write_text("a file, so that no directory can be made; a mode does not stop the superuser")
        status, _, err = self.tune()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\Aclora tune: cannot write .*\n\Z")

    def test_a_parent_killed_at_any_point_leaves_a_cache_that_can_be_read(self):
        seed = int(os.environ.get("CLORA_TEST_SEED") or random.randrange(10**6))
        print(f"CLORA_TEST_SEED={seed}")
        random.seed(seed)
        kept, command = set(), [CLORA, *SHAPE, "--budget", "600s", "--quiet"]
        for _ in range(100 if os.environ.get("CLORA_TEST_LONG") else 25):
            process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0.0, 0.12))
            process.send_signal(signal.SIGKILL)
            process.wait()
            found = {path.name: json.loads(path.read_text()) for path in self.entries()}
            self.assertLessEqual(kept, set(found))
            kept = set(found)
        self.assertEqual(len(self.events("poison")), 0)
        result, err = self.tuned()
        self.assertEqual(result["done"], result["shapes"])
        self.assertLess(err.count("ignored"), 2)

    def test_ctrl_c_keeps_what_was_found(self):
        with start(CLORA, "tune", MODEL, "--json", env=self.environment) as process:
            wait_for(process, lambda _: self.entries())
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, err)
        result = json.loads(out)
        self.assertEqual(result["done"], len(self.entries()))
        self.assertLess(result["done"], result["shapes"])
        self.assertEqual(self.events("poison"), [])

    def test_eight_processes_tune_the_same_shape_at_once(self):
        processes = [subprocess.Popen([CLORA, *SHAPE, "--budget", "2s", "--json"], env=self.environment,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
        for process in processes:
            _, err = process.communicate(timeout=240)
            self.assertEqual(process.returncode, 0, err)
        result, err = self.tuned()
        self.assertEqual(result["done"], result["shapes"])
        self.assertNotIn("ignored", err)


if __name__ == "__main__":
    main()
