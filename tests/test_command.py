"""The command line itself: help, options and their mistakes, exit statuses, where output goes."""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import (CLORA, COMMANDS, MODEL, ROOT, CommandTest, clora, help_options, main, needs_device,
                             needs_full_device)

# What each command needs besides the option that is tried, so that nothing else can be wrong.
NEEDED = {
    "devices": [],
    "tune": ["m"],
    "plan": ["m"],
    "train": ["m", "--data", "d.jsonl", "--out", "o"],
    "eval": ["m", "--data", "d.jsonl"],
    "generate": ["m", "--prompt", "p"],
    "chat": ["m"],
    "merge": ["m", "a", "--out", "o"],
    "combine": ["a", "--out", "o"],
    "convert": ["a", "--to", "peft", "--out", "o"],
    "inspect": ["p"],
    "tokenize": ["m", "t"],
    "bench": ["m"],
    "compare": ["m", "--data", "d.jsonl", "--val", "v.jsonl", "--steps", "1"],
    "plot": ["l"],
}
NOT_INTEGERS = ["", "x", "1x", "1.5", "1e3", " 1", "0x10", "--1", "nan"]
NOT_NUMBERS = ["", "x", "1x", "1,5", "nan", "inf", "-inf", "0x1p3", " 1", "1e999", "1e", "."]
LEAST_IS_ZERO = {"--no-repeat-ngram", "--prefix-projection", "--warmup", "--top-k", "--seed",
                 "--skip-nonfinite"}
WORDS = {"--dtype": "f64", "--eos": "sometimes", "--init": "zero", "--schedule": "steps", "--only": "some",
         "--optimizer": "adam"}


class Help(CommandTest):
    def test_help_lists_every_command(self):
        out = self.succeeds("--help")
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^  {command} +\w")
        self.assertLessEqual(max(map(len, out.splitlines())), 80)
        self.assertEqual(out, self.succeeds("help"))

    def test_version_is_one_line(self):
        self.assertRegex(self.succeeds("--version"), r"\Aclora \d+\.\d+\.\d+\n\Z")

    def test_every_command_has_help_with_usage_common_options_and_an_example(self):
        for command in COMMANDS:
            with self.subTest(command):
                out = self.succeeds(command, "--help")
                self.assertTrue(out.startswith(f"Usage: clora {command} "))
                self.assertRegex(out, rf"(?m)^Example\n  clora {command} .*\n(      --.*\n)*\Z")
                for option in ("--device", "--json", "--quiet", "--help"):
                    self.assertIn(option, help_options(command))
                self.assertEqual(out, self.succeeds("help", command))
                self.assertEqual(out, self.succeeds(command, "-h"))
                self.assertLessEqual(max(map(len, out.splitlines())), 80)

    def test_help_shows_the_defaults_whatever_else_is_given(self):
        plain = self.succeeds("train", "--help")
        self.assertIn("rank of the two factors (default: 8)", plain)
        self.assertEqual(plain, self.succeeds("train", "--rank", "99", "--lr=1", "--help"))

    def test_manual_pages_know_every_command_and_option_and_no_other(self):
        options = {option for command in COMMANDS for option in help_options(command)}
        options |= {"--version", "--man", "--words", "--opt"}
        overview = (ROOT / "man/clora.1").read_text(encoding="utf-8")
        notes = {path.stem: path.read_text(encoding="utf-8") for path in sorted((ROOT / "man/notes").iterdir())}
        self.assertRegex(overview, rf'\A\.TH CLORA 1 "\d{{4}}-\d\d-\d\d" "{self.succeeds("--version").strip()}" ')
        self.assertEqual(re.findall(r"(?m)^\.BR clora\\-(\w+) \(1\)\n[A-Z]", overview), COMMANDS)
        self.assertLess(set(notes), set(COMMANDS))
        for name, page in {"clora.1": overview, **notes}.items():
            named = set(re.findall(r"--[a-z][a-z-]*", page.replace("\\-", "-")))
            self.assertLessEqual(named, options, name)
        for command in COMMANDS:
            page = self.succeeds("help", "--man", command)
            named = re.findall(r"(?m)^\.TP\n\\fB(\S+?)\\fR", page.replace("\\-", "-"))
            self.assertEqual(named, list(help_options(command)))
        self.assertTrue(self.succeeds("help", "--man", "tune", "show").startswith(".TH CLORA\\-TUNE\\-SHOW 1 "))

    def test_completion_offers_commands_options_and_values(self):
        def complete(*words):
            script = (
                f'. "{ROOT}/completions/clora.bash"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _clora; '
                'printf "%s\\n" "${COMPREPLY[@]}"'
            )
            environment = os.environ | {"PATH": f"{pathlib.Path(CLORA).parent}:{os.environ['PATH']}"}
            done = subprocess.run(["bash", "-c", script, "bash", *words], stdout=subprocess.PIPE, check=True,
                                  env=environment)
            return done.stdout.decode().split()

        self.assertEqual(complete("clora", "tr"), ["train"])
        self.assertEqual(complete("clora", ""), COMMANDS + ["help", "--help", "--version"])
        self.assertEqual(complete("clora", "train", "--sched"), ["--schedule"])
        self.assertEqual(complete("clora", "train", "--schedule", "co"), ["constant", "cosine"])
        self.assertEqual(complete("clora", "train", "--schedule", "=", "l"), ["linear"])
        self.assertEqual(complete("clora", "combine", "--method", "t"), ["ties"])
        self.assertEqual(complete("clora", "train", "--method", "pre"), ["prefix"])
        self.assertEqual(complete("clora", "tune", "s"), ["show"])
        self.assertEqual(complete("clora", "tune", "prune", "--o"), ["--others"])
        self.assertEqual(complete("clora", "help", "tune", "ver"), ["verify"])


class Mistakes(CommandTest):
    def wrong(self, *arguments, says):
        err = self.fails(2, *arguments, says=says)
        self.assertRegex(err, r" \(try 'clora( \w+)? --help'\)\n\Z")

    def test_a_missing_command_is_wrong_usage(self):
        self.wrong(says="a command is missing")

    def test_unknown_commands_suggest_the_nearest(self):
        self.wrong("trian", says=["unknown command 'trian'", "did you mean 'train'?"])
        self.wrong("tokenise", says="did you mean 'tokenize'?")
        self.wrong("gen", says="did you mean 'generate'?")
        self.wrong("xyzzy", says="unknown command 'xyzzy' (try")
        self.wrong("help", "trian", says="did you mean 'train'?")
        self.wrong("--device", "0", "devices", says="unknown option '--device'; options of a command follow its name")

    def test_unknown_options_suggest_the_nearest(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.wrong(command, *NEEDED[command], "--devise=0", says=["unknown option '--devise'", "'--device'?"])
                self.wrong(command, *NEEDED[command], "--xyzzy", says="unknown option '--xyzzy' (try")
                self.wrong(command, *NEEDED[command], "-x", says="unknown option '-x'")
        self.wrong("train", "m", "--warmup-ratio", "0.1", says=["unknown option '--warmup-ratio'", "'--warmup'?"])

    def test_names_of_other_tools_are_taken_or_lead_to_ours(self):
        rows = re.findall(r'{"([a-z0-9-]+)", "([a-z-]+)", (true|false)}',
                          (ROOT / "src/cli/options/aliases.c").read_text(encoding="utf-8"))
        page = (ROOT / "docs/coming-from.md").read_text(encoding="utf-8")
        known = {command: help_options(command) for command in COMMANDS}
        self.assertGreater(len(rows), 50)
        for name, ours, same in rows:
            commands = [c for c in COMMANDS if f"--{ours}" in known[c]]
            with self.subTest(name):
                self.assertTrue(commands, f"no command has --{ours}")
                self.assertNotIn(f"--{name}", known[commands[0]])
                self.assertIn(name, page.replace("_", "-"))
                value = known[commands[0]][f"--{ours}"]
                if same == "false":
                    self.wrong(commands[0], *NEEDED[commands[0]], f"--{name}", says=f"did you mean '--{ours}'?")
                elif value and not value.startswith("["):
                    self.wrong(commands[0], *NEEDED[commands[0]], f"--{name}", says=f"--{name} needs a value")
                else:
                    self.wrong(commands[0], *NEEDED[commands[0]], f"--{name}=!", says=["--", "!" if value else name])

    def test_underscores_are_dashes_in_names_and_stay_in_values(self):
        self.wrong("train", *NEEDED["train"], "--per_device_train_batch_size=0", says="--batch-size 0")
        self.wrong("train", *NEEDED["train"], "--init_adapter=--a_b", "--rank_pattern=q=1",
                   says="--init-adapter continues")
        self.wrong("devices", "--", "--a_b", says="unexpected argument '--a_b'")

    def test_names_of_options_are_written_out(self):
        self.wrong("generate", "m", "--temper", "1", says=["unknown option '--temper'", "'--temperature'?"])
        self.wrong("train", "m", "--pac", says="did you mean '--pack'?")

    def test_every_option_with_a_value_needs_one(self):
        for command in COMMANDS:
            for option, value in help_options(command).items():
                with self.subTest(f"{command} {option}"):
                    if value and value.startswith("["):
                        self.wrong(command, *NEEDED[command], f"{option}=1", says=f"{option} '1': must be ")
                    elif value:
                        self.wrong(command, *NEEDED[command], option, says=f"{option} needs a value")
                    else:
                        self.wrong(command, *NEEDED[command], f"{option}=1", says=f"{option} takes no value")

    def test_a_path_is_not_empty(self):
        for command in COMMANDS:
            for option, value in help_options(command).items():
                if value in ("FILE", "DIR", "MODEL"):
                    with self.subTest(f"{command} {option}"):
                        self.wrong(command, *NEEDED[command], option, "", says=f"{option} needs a value")
        self.wrong("eval", "", "--data", "d", says="MODEL is empty")
        self.wrong("merge", "m", "", "--out", "o", says="ADAPTER is empty")
        self.assertEqual(self.succeeds("tokenize", MODEL, ""), "[]\n")

    def test_an_option_is_no_value(self):
        self.wrong("train", "m", "--out", "--rank", "4", says=["--out needs a value", "'--out=--rank'"])

    def test_every_number_is_checked_to_its_last_character(self):
        """Each option with one of the texts, which go round; all options of a kind are read in one place."""
        texts = {"N": itertools.cycle(NOT_INTEGERS), "X": itertools.cycle(NOT_NUMBERS)}
        for command in COMMANDS:
            for option, value in help_options(command).items():
                if value in texts:
                    with self.subTest(f"{command} {option}"):
                        self.wrong(command, *NEEDED[command], f"{option}={next(texts[value])}", says=f"{option} ")

    def test_every_number_has_a_range(self):
        for command in COMMANDS:
            for option, value in help_options(command).items():
                if value not in ("N", "X"):
                    continue
                with self.subTest(f"{command} {option}"):
                    self.wrong(command, *NEEDED[command], f"{option}=-1", says=f"{option} ")
                    self.wrong(command, *NEEDED[command], f"{option}={'9' * 60}", says="must be")
                    if value == "N" and option not in LEAST_IS_ZERO:
                        self.wrong(command, *NEEDED[command], f"{option}=0", says="must be at least")
        self.wrong("generate", *NEEDED["generate"], "--max-tokens", "2147483648", says="at most 2147483647")
        for option in ("--lr", "--alpha", "--epochs"):
            self.wrong("train", *NEEDED["train"], option, "0", says="must be above 0")
        self.wrong("train", *NEEDED["train"], "--dropout", "1", says="must be at least 0 and below 1")
        self.wrong("train", *NEEDED["train"], "--dropout", "0.9999999999", says="must be at least 0 and below 1")
        self.wrong("train", *NEEDED["train"], "--lr", "1e-60", says="beyond what single precision holds")
        self.wrong("generate", *NEEDED["generate"], "--top-p", "0", says="must be above 0 and at most 1")

    def test_every_choice_names_what_there_is(self):
        tried = set()
        for command in COMMANDS:
            for option in set(WORDS) & set(help_options(command)):
                with self.subTest(f"{command} {option}"):
                    tried.add(option)
                    self.wrong(command, *NEEDED[command], option, WORDS[option],
                               says=[f"{option} '{WORDS[option]}': must be ", " or "])
        self.assertEqual(tried, set(WORDS))
        self.wrong("train", *NEEDED["train"], "--schedule", "cosin", says="did you mean 'cosine'?")

    def test_arguments_must_be_there_and_no_more(self):
        self.wrong("devices", "x", says="unexpected argument 'x'")
        self.wrong("merge", "m", "a", "b", "--out", "o", says="unexpected argument 'b'")
        for command in ("train", "eval", "generate", "merge", "tokenize"):
            self.wrong(command, says="MODEL is missing")
        self.wrong("inspect", says="PATH is missing")
        self.wrong("merge", "m", "--out", "o", says="ADAPTER is missing")
        self.wrong("merge", "m", "a", "--adapter", "b", "--out", "o", says="ADAPTER or --adapter, not both")
        self.wrong("generate", "m", "a", "--requests", "f",
                   says="unexpected argument 'a': requests name their adapters")
        for command in ("generate", "eval", "chat"):
            self.wrong(command, "m", "a", "b", *NEEDED[command][1:], says="unexpected argument 'b'")
        self.wrong("merge", "m", "a", says="--out DIR is missing")
        self.wrong("train", "m", "--out", "o", says="--data FILE is missing")
        self.wrong("train", "m", "--data", "d", says="--out DIR is missing")
        self.wrong("eval", "m", says="--data FILE is missing")

    def test_options_that_contradict_each_other_are_refused(self):
        self.wrong("train", *NEEDED["train"], "--steps", "1", "--epochs", "1", says="--steps and --epochs")
        self.wrong("train", *NEEDED["train"], "--eval-every", "1", says="--eval-every needs --val")
        for command in ("train", "compare"):
            self.wrong(command, *NEEDED[command], "--momentum", "0.9", says="--momentum is for --optimizer sgd")
        for option in ("--init=kaiming", "--rank-pattern=q_proj=4", "--alpha-pattern=q_proj=4"):
            self.wrong("train", *NEEDED["train"], "--init-adapter", "a", option, says="--init-adapter continues one")
        self.wrong("generate", *NEEDED["generate"], "--jsonl", "f", says="--prompt and --jsonl")
        self.wrong("generate", *NEEDED["generate"], "--stop", "", says="--stop ''")
        self.wrong("tokenize", "m", "t", "--jsonl", "f", says="--jsonl goes with neither TEXT")
        self.wrong("tokenize", "m", "t", "--tokens", "--json", says="--tokens goes with neither")


class Options(CommandTest):
    def test_options_may_follow_or_go_before_the_arguments(self):
        ids = self.succeeds("tokenize", MODEL, "a word", "--special")
        self.assertEqual(ids, self.succeeds("tokenize", "--special", MODEL, "a word"))
        self.assertEqual(ids, self.succeeds("tokenize", MODEL, "--special", "a word"))

    def test_two_dashes_end_the_options(self):
        self.assertEqual(self.succeeds("tokenize", MODEL, "--", "--special"),
                         self.succeeds("tokenize", MODEL, stdin="--special"))

    def test_the_last_of_an_option_counts(self):
        lines = self.write("a.jsonl", '{"text": "a"}\n')
        other = self.write("b.jsonl", '{"text": "b b"}\n')
        self.assertEqual(self.succeeds("tokenize", MODEL, "--jsonl", lines, "--jsonl", other),
                         self.succeeds("tokenize", MODEL, f"--jsonl={other}"))


class Output(CommandTest):
    @needs_full_device
    def test_a_full_disk_behind_standard_output_is_a_failure(self):
        for arguments in (["--help"], ["train", "--help"], ["tokenize", MODEL, "text"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                self.fails(1, *arguments, stdout=full, says="cannot write to standard output: No space left on device")

    def test_a_reader_who_went_away_hears_no_more(self):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            self.assertEqual(clora("train", "--help", stdout=pipe), (141, "", ""))

    def test_closed_standard_streams_are_not_taken_for_files(self):
        def tokenize(closed):
            return subprocess.run(["sh", "-c", f'"$0" tokenize "$1" text {closed}', CLORA, MODEL],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)

        done = tokenize(">&-")
        self.assertEqual(done.returncode, 1)
        self.one_line(done.stderr.decode(), "cannot write to standard output")
        for closed in ("<&-", "2>&-"):
            done = tokenize(closed)
            self.assertEqual((done.returncode, done.stdout[:1]), (0, b"["))


class Devices(CommandTest):
    KEYS = {"index": int, "platform": str, "name": str, "vendor": str, "driver": str, "type": str, "version": str,
            "compute_units": int, "global_memory": int, "max_allocation": int, "local_memory": int, "fp16": bool,
            "fp64": bool, "subgroups": bool, "default": bool}

    def test_without_opencl_one_line_says_what_to_install(self):
        environment = os.environ | {"OCL_ICD_VENDORS": str(self.folder), "OPENCL_VENDOR_PATH": str(self.folder)}
        self.fails(1, "devices", env=environment, says=["no OpenCL device", "apt install pocl-opencl-icd"])
        self.fails(1, "generate", MODEL, "--prompt", "x", env=environment, says="OpenCL")

    @needs_device
    def test_a_kernel_that_does_not_build_is_named_with_the_device_and_the_log(self):
        kernels = self.folder / "kernels"
        shutil.copytree(ROOT / "kernels", kernels)
        for path in kernels.glob("embedding*.cl"):
            path.chmod(0o644)
            path.write_text(path.read_text(encoding="utf-8") + "\nthis_is_no_type x;\n", encoding="utf-8")
        environment = os.environ | {"CLORA_KERNEL_DIR": str(kernels)}
        status, out, err = clora("generate", MODEL, "--prompt", "x", env=environment)
        self.assertEqual((status, out), (1, ""))
        first, *log = err[err.index("clora generate: "):].splitlines()  # a driver may have written before
        self.assertRegex(first, r": kernel .*\bembedding\b.* does not build on .*BUILD_PROGRAM_FAILURE\Z")
        self.assertIn(self.gives_json("devices")[0]["name"], first)
        self.assertIn("this_is_no_type", "\n".join(log))
        self.assertLessEqual(len(log), 8)

    @needs_device
    def test_json_is_an_array_with_every_key_and_one_default(self):
        devices = self.gives_json("devices")
        for i, device in enumerate(devices):
            self.assertEqual(device["index"], i)
            for key, kind in self.KEYS.items():
                self.assertIs(type(device[key]), kind, key)
        self.assertEqual(sum(device["default"] for device in devices), 1)

    @needs_device
    def test_text_says_all_of_each_device(self):
        devices = self.gives_json("devices")
        out = self.succeeds("devices")
        for device in devices:
            self.assertRegex(out, rf"(?m)^{device['index']}  {re.escape(device['name'])}")
            self.assertIn(f"driver         {device['driver']}", out)
        self.assertEqual(out.count("(default)"), 1)
        self.assertEqual(out.count("OpenCL C"), len(devices))

    @needs_device
    def test_a_device_is_chosen_by_number_name_or_variable(self):
        first = self.gives_json("devices")[0]
        name = first["name"][:9].upper()
        chosen = [self.gives_json("devices", "--device", "0")]
        if sum(name.lower() in d["name"].lower() for d in self.gives_json("devices")) == 1:
            chosen.append(self.gives_json("devices", f"--device={name}"))
        for found in chosen:
            self.assertEqual([d["index"] for d in found], [0])
        environment = os.environ | {"CLORA_DEVICE": "no such device"}
        self.fails(1, "inspect", MODEL, env=environment, says="no such device")
        self.assertEqual(clora("inspect", MODEL, "--device", "0", env=environment)[0], 0)

    @needs_device
    def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are(self):
        name = self.gives_json("devices")[0]["name"]
        for wrong in ("99", "-1", "no such device", "0x0"):
            self.fails(1, "devices", "--device", wrong, says=[wrong, name])


if __name__ == "__main__":
    main()
