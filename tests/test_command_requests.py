"""clora generate --requests: many texts, each with its own adapter and settings."""

import json
import pathlib
import random
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support import checkpoint
from support.command import MODEL, CommandTest, clora, main, needs_device

LAYERS, HIDDEN = (lambda config: (config["num_hidden_layers"], config["hidden_size"]))(
    json.loads((MODEL / "config.json").read_text()))
PROMPT = "The quick brown fox"


def make_adapter(path, rank, hidden=HIDDEN, spread=0.4):
    """q_proj of every layer, in random numbers."""
    path.mkdir(parents=True)
    numbers = random.Random(rank)
    data = [struct.pack(f"<{n}f", *(numbers.gauss(0, spread) for _ in range(n))) for n in [rank * hidden] * 2 * LAYERS]
    name = "base_model.model.model.layers.{}.self_attn.q_proj.lora_{}.weight"
    factors = {}
    for layer in range(LAYERS):
        factors[name.format(layer, "A")] = ("F32", [rank, hidden], data.pop())
        factors[name.format(layer, "B")] = ("F32", [hidden, rank], data.pop())
    checkpoint.write(path / "adapter_model.safetensors", factors)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj"]}
    (path / "adapter_config.json").write_text(json.dumps(settings))


@needs_device
class Requests(CommandTest):
    def setUp(self):
        super().setUp()
        self.adapters = self.folder / "adapters"
        for rank in (1, 2, 3, 4):
            make_adapter(self.adapters / f"r{rank}", rank)

    def ask(self, rows, *arguments, status=0):
        """The answers, in the order of the output."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        found, out, err = clora("generate", MODEL, "--requests", self.write("r.jsonl", text), "--adapters",
                                self.adapters, "--max-tokens", 8, *arguments)
        self.assertEqual(found, status, err)
        self.stderr = err
        return [json.loads(line) for line in out.splitlines()]

    def alone(self, row):
        """The ids of one request by a run of its own."""
        options = [part for key in ("temperature", "seed", "max_tokens", "stop") if key in row
                   for part in ("--" + key.replace("_", "-"), row[key])]
        if row.get("adapter"):
            options += ["--adapter", self.adapters / row["adapter"]]
        if "max_tokens" not in row:
            options += ["--max-tokens", 8]
        return self.gives_json("generate", MODEL, "--prompt", row["prompt"], *options)

    def test_each_has_its_own_adapter_and_settings(self):
        rows = [{"prompt": PROMPT, "adapter": "r1", "id": "first"}, {"prompt": PROMPT, "adapter": None},
                {"prompt": "; fruit =", "adapter": "r3", "max_tokens": 3, "id": 7},
                {"prompt": PROMPT, "adapter": "r4", "temperature": 0.9, "seed": 11}]
        answers = self.ask(rows, "--slots", 3)
        for i, (row, answer) in enumerate(zip(rows, answers)):
            alone = self.alone(row)
            self.assertEqual(answer["request"], i)
            self.assertEqual(answer.get("id"), row.get("id"))
            self.assertEqual(answer["adapter"], row["adapter"])
            for key in ("text", "ids", "prompt_ids", "stop"):
                self.assertEqual(answer[key], alone[key])
        self.assertEqual(len({tuple(answer["ids"]) for answer in answers}), 4)

    def test_a_scale_is_the_strength_of_the_adapter(self):
        row = {"prompt": PROMPT, "adapter": "r4"}
        answers = self.ask([row, {**row, "scale": 1}, {**row, "scale": 0}, {"prompt": PROMPT}, {**row, "scale": -2}])
        ids = [answer["ids"] for answer in answers]
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[2], ids[3])
        self.assertNotEqual(ids[0], ids[3])
        self.assertNotEqual(ids[4], ids[0])

    def test_adapters_go_when_others_need_their_place_and_no_text_changes(self):
        rows = [{"prompt": PROMPT * 9, "adapter": f"r{1 + i * 5 % 4}"} for i in range(12)]
        free = self.ask(rows, "--slots", 4, "--stats")
        tokens, taken = (int(n.replace(",", "")) for n in self.line("prompts: ", r"([\d,]+) tokens, ([\d,]+) of them"))
        self.assertEqual(tokens, sum(len(row["prompt_ids"]) for row in free))
        self.assertGreater(taken, tokens // 4)
        tight = self.ask(rows, "--slots", 3, "--adapter-memory", "40KiB", "--cache-tokens", 256, "--stats")
        self.assertEqual(free, tight)
        read, evicted = (int(n) for n in self.line("adapters: ", r"(\d+) read, (\d+) evicted"))
        self.assertGreater(read, 4)
        self.assertGreater(evicted, 0)
        self.assertEqual(free, sorted(self.ask(rows, "--order", "finished"), key=lambda row: row["request"]))

    def line(self, begins, pattern):
        line = next(line for line in self.stderr.splitlines() if line.startswith(begins))
        self.assertRegex(line, pattern)
        return re.search(pattern, line).groups()

    def test_a_request_whose_adapter_is_no_good_says_so_and_others_go_on(self):
        make_adapter(self.adapters / "other", 2, hidden=HIDDEN // 2)
        make_adapter(self.adapters / "broken", 2, spread=float("nan"))
        make_adapter(self.adapters / "half", 2)
        factors = self.adapters / "half/adapter_model.safetensors"
        factors.write_bytes(factors.read_bytes()[:-100])
        bad = {"other": "shape", "broken": "not finite", "half": "half", "none": "no such directory",
               "../adapters/r1": "not a path"}
        good = [{"prompt": PROMPT, "adapter": "r1"}, {"prompt": PROMPT}, {"prompt": "; fruit =", "adapter": "r2"}]
        rows = [good[0], *({"prompt": PROMPT, "adapter": name} for name in bad), *good[1:],
                {"prompt": PROMPT, "top_p": 2}, {"prompt": "a " * 300, "id": "long"}]
        answers = self.ask(rows, "--slots", 2, status=1)
        self.assertEqual(len(answers), len(rows))
        told = {answer["adapter"]: answer["error"] for answer in answers[1:6]}
        self.assertEqual(set(told), set(bad))
        for name in bad:
            self.assertNotIn("\n", told[name])
            self.assertIn(name, told[name])
        self.assertIn("top-p is 2", answers[8]["error"])
        self.assertIn("a slot holds", answers[9]["error"])
        self.assertIn("7 requests have no text", self.stderr)
        kept = [answers[0], *answers[6:8]]
        self.assertEqual([a["ids"] for a in kept], [a["ids"] for a in self.ask(good)])

    def test_a_file_that_is_wrong_is_refused_before_anything_is_made(self):
        row = {"prompt": PROMPT}
        for wrong, *says in (
            ("{", "line 2", "not JSON"), ("[]", "line 2", "must be an object"), ('{"adapter": "r1"}', '"prompt"'),
            ({**row, "adaptor": "r1"}, 'has no "adaptor"'), ({**row, "max_tokens": 0}, "above 0"),
            ({**row, "max_tokens": "many"}, '"max_tokens"'), ({**row, "seed": -1}, '"seed"'),
            ({**row, "stop": ["a", ""]}, "none of them empty"), ({**row, "scale": 2}, '"adapter"'),
            ({**row, "adapter": 3}, "or null"), ({**row, "temperature": None}, '"temperature"'),
            ({**row, "id": []}, '"id"'), ('{"prompt": "a", "prompt": "b"}', "line 2"),
        ):
            with self.subTest(wrong):
                text = json.dumps(row) + "\n" + (wrong if isinstance(wrong, str) else json.dumps(wrong)) + "\n"
                found, out, err = clora("generate", MODEL, "--requests", self.write("wrong.jsonl", text), "--adapters",
                                        self.adapters)
                self.assertEqual((found, out), (1, ""))
                self.one_line(err, "wrong.jsonl", *says)

    def test_options_that_do_not_fit_are_refused(self):
        path = self.write("r.jsonl", '{"prompt": "a", "adapter": "r1"}\n')
        for arguments, says in (
            (["--slots", 2], "--slots is for --requests"),
            (["--requests", path, "--prompt", "a"], "has no --prompt"),
            (["--requests", path, "--beams", 2], "has no --beams"),
            (["--requests", path, "--adapter-memory", "1GiB"], "of --adapters DIR"),
            (["--requests", path], "--adapters DIR says where"),
            (["--cache-tokens", 64], "--cache-tokens is for --requests"),
        ):
            with self.subTest(arguments):
                self.fails(2, "generate", MODEL, *arguments, says=says)
        self.fails(1, "generate", MODEL, "--requests", path, "--adapters", self.folder / "none",
                   says="no such directory")
        self.fails(1, "generate", MODEL, "--requests", self.write("e.jsonl", "\n"), says="holds no requests")
        self.fails(1, "generate", MODEL, "--requests", self.write("c.jsonl", '{"prompt": "a"}\n'), "--cache-tokens", 2,
                   says="a cache of 2 tokens for slots of up to")


if __name__ == "__main__":
    main()
