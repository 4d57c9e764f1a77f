"""clora generate, merge, inspect and tokenize on the bundled model."""

import json
import math
import os
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import (FIXTURES, MEMORY, MODEL, TRAIN, VALIDATION, CommandTest, clora, main,
                             needs_device, needs_full_device, unfolded)

PROMPT = "name: Rusty Pumpkin | type: restaurant | food: Greek =>"


def header(path):
    """The tensors of a safetensors file by name."""
    data = path.read_bytes()
    tensors = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    tensors.pop("__metadata__", None)
    return tensors


def edit(path, change):
    """Change a JSON file in place."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


class UseTest(CommandTest):
    def adapter(self):
        """An adapter that changes what the model says."""
        out = self.folder / "adapter"
        rows = self.write("rows.jsonl", "".join(TRAIN.read_text(encoding="utf-8").splitlines(keepends=True)[:8]))
        self.succeeds("train", MODEL, "--data", rows, "--out", out, "--steps", "4", "--lr", "2e-2", "--quiet")
        return out

    def model_copy(self):
        copy = self.folder / "model"
        shutil.copytree(MODEL, copy)
        for path in copy.iterdir():
            path.chmod(0o644)
        return copy


@needs_device
class Generate(UseTest):
    def generate(self, *arguments, **options):
        return self.gives_json("generate", MODEL, *arguments, **options)

    def test_json_has_text_ids_and_rates(self):
        result = self.generate("--prompt", PROMPT, "--max-tokens", "4")
        for key, kind in {"text": str, "ids": list, "prompt_ids": list, "stop": str, "prefill_tokens_per_second": float,
                          "decode_tokens_per_second": float}.items():
            self.assertIs(type(result[key]), kind, key)
        self.assertEqual(result["prompt_ids"], json.loads(self.succeeds("tokenize", MODEL, PROMPT, "--special")))
        self.assertEqual((len(result["ids"]), result["stop"]), (4, "length"))
        decoded = self.succeeds("tokenize", MODEL, "--decode", json.dumps(result["prompt_ids"] + result["ids"]))
        self.assertEqual(decoded, PROMPT + result["text"] + "\n")

    def test_text_is_what_json_says_and_ends_with_a_newline(self):
        result = self.generate("--prompt", PROMPT, "--max-tokens", "20")
        out = self.succeeds("generate", MODEL, "--prompt", PROMPT, "--max-tokens", "20")
        self.assertEqual(out, result["text"] + "\n")

    def test_a_prompt_may_come_from_standard_input(self):
        expected = self.generate("--prompt", PROMPT, "--max-tokens", "5")["ids"]
        self.assertEqual(self.generate("--max-tokens", "5", stdin=PROMPT)["ids"], expected)
        self.assertEqual(self.generate("--max-tokens", "5", stdin=PROMPT + "\n")["ids"], expected)
        self.assertNotEqual(self.generate("--max-tokens", "5", stdin=PROMPT + "\n\n")["prompt_ids"],
                            self.generate("--max-tokens", "5", stdin=PROMPT)["prompt_ids"])

    def test_a_stop_text_ends_it_and_is_left_out(self):
        text = self.generate("--prompt", PROMPT, "--max-tokens", "30")["text"]
        stop = text[len(text) // 2 :][:4]
        result = self.generate("--prompt", PROMPT, "--max-tokens", "30", "--stop", "@@@", "--stop", stop)
        self.assertEqual((result["text"], result["stop"]), (text[: text.index(stop)], "text"))

    def test_special_tokens_in_a_prompt_become_their_ids(self):
        self.assertEqual(self.generate("--prompt", "a</s>b", "--max-tokens", "1")["prompt_ids"].count(1), 1)

    def test_an_empty_prompt_begins_with_bos(self):
        result = self.generate("--prompt", "", "--max-tokens", "4")
        self.assertEqual(result["prompt_ids"], [0])
        self.assertEqual(self.generate("--max-tokens", "4", stdin="")["ids"], result["ids"])

    def test_an_empty_prompt_without_bos_is_an_error(self):
        model = self.model_copy()
        edit(model / "tokenizer.json", lambda t: t.update(post_processor=None))
        edit(model / "tokenizer_config.json", lambda t: [t.pop(key) for key in list(t) if "bos" in key])
        self.fails(1, "generate", model, "--prompt", "", says="the prompt is empty")

    def test_a_prompt_of_all_positions_gives_one_token_and_a_longer_one_is_refused(self):
        words = " a" * 255
        result = self.generate("--prompt", words, "--max-tokens", "9")
        self.assertEqual(len(result["prompt_ids"]), 256)
        self.assertEqual((len(result["ids"]), result["stop"] in ("length", "eos")), (1, True))
        self.fails(1, "generate", MODEL, "--prompt", words + " a", says=["257 tokens", "256 positions"])

    def test_sampling_is_told_by_its_seed(self):
        sample = ["--prompt", PROMPT, "--max-tokens", "16", "--temperature", "1.5", "--top-k", "50", "--top-p", "0.95",
                  "--min-p", "0.01", "--repetition-penalty", "1.1"]
        texts = [self.generate(*sample, "--seed", seed)["ids"] for seed in (1, 1, 2)]
        self.assertEqual(texts[0], texts[1])
        self.assertNotEqual(texts[0], texts[2])
        self.assertEqual(self.generate(*sample[:4], "--temperature", "2", "--top-k", "1")["ids"],
                         self.generate(*sample[:4])["ids"])

    def test_an_option_without_effect_is_noted(self):
        arguments = ["generate", MODEL, "--prompt", "a", "--max-tokens", "1", "--top-k", "5"]
        self.one_line(clora(*arguments)[2], "note: --top-k changes nothing at temperature 0")
        self.assertEqual(clora(*arguments, "--quiet")[2], "")

    def test_stats_go_to_standard_error(self):
        status, out, err = clora("generate", MODEL, "--prompt", PROMPT, "--max-tokens", "4", "--stats")
        self.assertEqual((status, out.count("\n")), (0, 1))
        rate = r"tokens, [\d.,]+ tokens/s"
        self.assertRegex(" ".join(err.split()), rf"\Aprefill: \d+ {rate}; decode: 4 {rate}; ended by length\Z")

    def test_every_line_of_a_file_is_continued(self):
        rows = VALIDATION.read_text(encoding="utf-8").splitlines()[:3]
        contexts = [json.loads(row)["context"] for row in rows]
        data = self.write("rows.jsonl", "\n".join(rows))
        out = self.succeeds("generate", MODEL, "--jsonl", data, "--max-tokens", "6", "--json")
        results = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([r["ids"] for r in results],
                         [self.generate("--prompt", c, "--max-tokens", "6")["ids"] for c in contexts])
        prompts = "".join(json.dumps({"prompt": c}) + "\n" for c in contexts)
        self.assertEqual(self.succeeds("generate", MODEL, "--jsonl", "-", "--max-tokens", "6", stdin=prompts),
                         "".join(r["text"] + "\n" for r in results))

    def test_lines_side_by_side_give_the_texts_that_they_give_alone(self):
        data = self.write("rows.jsonl", "".join(VALIDATION.read_text(encoding="utf-8").splitlines(keepends=True)[:20]))
        sampled = ["--temperature", "1", "--top-k", "40", "--seed", "3"]
        for options in [], sampled, ["--stop", "e"]:
            call = ["generate", MODEL, "--jsonl", data, "--max-tokens", "12", *options]
            alone = self.succeeds(*call, "--batch-size", "1")
            for size in "3", "8", "33":
                self.assertEqual(self.succeeds(*call, "--batch-size", size), alone)
        self.fails(2, "generate", MODEL, "--prompt", "a", "--batch-size", "2", says="--jsonl")

    def test_a_wrong_line_of_a_file_is_named(self):
        good = '{"prompt": "a"}\n'
        for text, says in ((good + '{"x": 1}\n', 'line 2: no "context"'), ("5\n", "line 1: not a JSON object"),
                           ("{\n", "line 1: not JSON"), ("[\n]\n", "holds no rows"), ("\n", "holds no rows")):
            self.fails(1, "generate", MODEL, "--jsonl", self.write("rows.jsonl", text), says=says)
        self.fails(1, "generate", MODEL, "--jsonl", self.folder / "none", says=["none", "No such file"])
        with open(os.devnull, "rb") as nothing:
            self.fails(1, "generate", MODEL, "--jsonl", "-", stdin=nothing, says="standard input holds no rows")

    def test_text_that_is_not_utf8_is_refused(self):
        data = self.write("prompt", b"a\xff")
        with data.open("rb") as stream:
            self.fails(1, "generate", MODEL, stdin=stream, says="UTF-8")
        self.fails(1, "generate", MODEL, "--prompt", os.fsdecode(b"a\xff"), says="UTF-8")

    @needs_full_device
    def test_a_full_disk_or_a_reader_who_went_away_ends_it(self):
        with open("/dev/full", "wb") as full:
            self.fails(1, "generate", MODEL, "--prompt", PROMPT, stdout=full, says="cannot write to standard output")
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            self.assertEqual(clora("generate", MODEL, "--prompt", PROMPT, stdout=pipe), (141, "", ""))

    def test_beams_find_a_text_for_every_line(self):
        data = self.write("lines.jsonl", '{"text": "Once upon a time"}\n{"text": "city = Madrid; drink"}\n')
        options = ["--max-tokens", "12", "--beams", "3", "--json"]
        out = self.succeeds("generate", MODEL, "--jsonl", data, *options)
        texts = [json.loads(line)["text"] for line in out.splitlines()]
        alone = self.succeeds("generate", MODEL, "--prompt", "city = Madrid; drink", *options)
        self.assertEqual(texts[1], json.loads(alone)["text"])
        self.assertIn(".", texts[1])
        cut = json.loads(self.succeeds("generate", MODEL, "--prompt", "city = Madrid; drink", *options, "--stop", "."))
        self.assertEqual((cut["stop"], cut["text"]), ("text", texts[1].split(".")[0]))
        ngrams = json.loads(self.succeeds("generate", MODEL, "--prompt", "city = Madrid; drink", *options,
                                          "--no-repeat-ngram", "1"))
        self.assertEqual(len(set(ngrams["ids"])), len(ngrams["ids"]))
        self.assertFalse(set(ngrams["ids"]) & set(ngrams["prompt_ids"]), ngrams)

    def test_what_beams_cannot_do_is_refused(self):
        for options in (["--temperature", "1"], ["--repetition-penalty", "2"], ["--batch-size", "2"]):
            self.fails(2, "generate", MODEL, "--prompt", "x", "--beams", "2", *options, says=options[0])
        self.fails(2, "generate", MODEL, "--prompt", "x", "--length-penalty", "2", says="--beams")

    def test_an_adapter_changes_the_text(self):
        arguments = ["--prompt", PROMPT, "--max-tokens", "12"]
        self.assertNotEqual(self.generate(*arguments, "--adapter", self.adapter())["ids"],
                            self.generate(*arguments)["ids"])

    def test_weights_may_be_held_in_another_type(self):
        for dtype in ("f16", "bf16"):
            self.assertEqual(len(self.generate("--prompt", "a", "--max-tokens", "3", "--dtype", dtype)["ids"]), 3)


@needs_device
class Merge(UseTest):
    def test_the_merged_model_says_what_model_and_adapter_say(self):
        adapter, out = self.adapter(), self.folder / "merged"
        table = self.succeeds("merge", MODEL, adapter, "--out", out)
        rows = [line.split() for line in table.splitlines()]
        self.assertEqual({row[0] for row in rows[1:-2]},
                         {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
        self.assertEqual(rows[-2][:2], ["all", "42"])
        self.assertTrue(table.endswith(f"Saved the merged model to {out}\n"))
        arguments = ["--prompt", PROMPT, "--max-tokens", "16"]
        self.assertEqual(self.gives_json("generate", out, *arguments)["ids"],
                         self.gives_json("generate", MODEL, adapter, *arguments)["ids"])
        self.fails(1, "merge", MODEL, adapter, "--out", out, says=[str(out), "not empty"])

    def test_json_says_what_was_done(self):
        out = self.folder / "merged"
        result = self.gives_json("merge", MODEL, self.adapter(), "--out", out, "--dtype", "bf16")
        self.assertEqual((result["out"], result["modules"]), (str(out), 42))
        self.assertGreater(result["max_change"], result["max_rounding_error"])
        self.assertGreater(result["max_rounding_error"], 1e-5)
        dtypes = {tensor["dtype"] for name, tensor in header(out / "model.safetensors").items() if "_proj" in name}
        self.assertEqual(dtypes, {"BF16"})

    def test_a_directory_that_is_not_there_is_said_with_what_it_should_be(self):
        none, model, adapter = self.folder / "none", "a model is a Hugging Face", "an adapter is a PEFT"
        for arguments in (["eval", none, "--data", VALIDATION], ["generate", none, "--prompt", "a"],
                          ["tokenize", none, "a"], ["merge", none, none, "--out", self.folder / "o"],
                          ["inspect", VALIDATION, "--model", none]):
            self.fails(1, *arguments, says=[f"{none}: no such directory", model])
        for arguments in (["generate", MODEL, "--prompt", "a", "--adapter", none],
                          ["merge", MODEL, none, "--out", self.folder / "o"]):
            self.fails(1, *arguments, says=[f"{none}: no such directory", adapter])
        self.assertFalse(self.folder.joinpath("o").exists())

    def test_what_cannot_be_merged_leaves_nothing(self):
        out = self.folder / "merged"
        for adapter, says in ((FIXTURES / "tiny-llama-lora", "lora_"), (FIXTURES / "tiny-llama-dora", "lora_"),
                              (self.folder, "adapter_config.json")):
            self.fails(1, "merge", MODEL, adapter, "--out", out, says=says)
            self.assertFalse(out.exists())


class Inspect(UseTest):
    @needs_device
    def test_a_model_is_described(self):
        tensors = header(MODEL / "model.safetensors")
        config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
        result = self.gives_json("inspect", MODEL)
        self.assertEqual(result["kind"], "model")
        self.assertEqual(result["parameters"], sum(math.prod(t["shape"]) for t in tensors.values()))
        self.assertEqual((result["tensors"], result["files"]), (len(tensors), 1))
        self.assertEqual((result["layers"], result["hidden"], result["vocab"]),
                         (config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]))
        self.assertEqual(result["training"]["total"],
                         sum(result["training"][k] for k in MEMORY))
        out = unfolded(self.succeeds("inspect", MODEL))
        self.assertIn(f"{result['parameters']:,} parameters in {len(tensors)} tensors, 1 file", out)
        self.assertRegex(out, r"(?m)^  to load +[\d.]+ MiB$")

    @needs_device
    def test_memory_grows_with_rank_batch_and_length(self):
        base = self.gives_json("inspect", MODEL)["training"]
        for arguments, part in ((["--rank", "64"], "adapter"), (["--batch-size", "8"], "activations")):
            self.assertGreater(self.gives_json("inspect", MODEL, *arguments)["training"][part], base[part])
        shorter = self.gives_json("inspect", MODEL, "--max-length", "64")["training"]
        self.assertLess(shorter["activations"], base["activations"])
        self.assertLess(self.gives_json("inspect", MODEL, "--dtype", "bf16")["training"]["weights"], base["weights"])
        self.fails(1, "inspect", MODEL, "--max-length", "257", says="256 positions")

    def test_an_adapter_is_described(self):
        for name in ("tiny-llama-lora", "tiny-llama-rslora", "tiny-llama-patterns", "tiny-llama-dora",
                     "tiny-qwen2-lora-bias"):
            with self.subTest(name):
                settings = json.loads((FIXTURES / name / "adapter_config.json").read_text(encoding="utf-8"))
                tensors = header(FIXTURES / name / "adapter_model.safetensors")
                result = self.gives_json("inspect", FIXTURES / name)
                self.assertEqual((result["kind"], result["rank"], result["alpha"], result["rslora"]),
                                 ("adapter", settings["r"], settings["lora_alpha"], settings["use_rslora"]))
                self.assertEqual((result["dora"], result["lora_bias"]), (settings["use_dora"], settings["lora_bias"]))
                vectors = settings["use_dora"] or settings["lora_bias"]
                self.assertEqual(result["modules"], len(tensors) / (3 if vectors else 2))
                self.assertEqual(result["parameters"], sum(math.prod(t["shape"]) for t in tensors.values()))
                self.assertIn(f"rank         {settings['r']}, alpha", self.succeeds("inspect", FIXTURES / name))

    def test_bottlenecks_are_described_and_not_merged(self):
        for style, columns, kind, places in (("pfeiffer", 4, "relu", 2), ("houlsby", 5, "swish", 4)):
            name = f"tiny-llama-{style}"
            with self.subTest(name):
                tensors = header(FIXTURES / name / "adapter.safetensors")
                result = self.gives_json("inspect", FIXTURES / name)
                self.assertEqual((result["kind"], result["method"], result["columns"], result["nonlinearity"]),
                                 ("adapter", "adapter", columns, kind))
                self.assertEqual(result["modules"], places)
                self.assertEqual(result["parameters"], sum(math.prod(t["shape"]) for t in tensors.values()))
                self.assertIn(f"bottleneck   {columns} columns with {kind}", self.succeeds("inspect", FIXTURES / name))
                self.fails(1, "merge", FIXTURES / "tiny-llama", FIXTURES / name, "--out", self.folder / "merged",
                           says="cannot be merged")
                self.assertFalse((self.folder / "merged").exists())

    def test_adapters_of_other_kinds_are_refused_by_name(self):
        copy = self.folder / "copy"
        shutil.copytree(FIXTURES / "tiny-llama-lora", copy)
        for path in [copy, *copy.iterdir()]:
            path.chmod(0o755)
        edit(copy / "adapter_config.json", lambda c: c.update(peft_type="IA3"))
        self.fails(1, "inspect", copy, says="IA3")

    def test_what_a_hostile_file_holds_is_escaped(self):
        copy = self.folder / "copy"
        shutil.copytree(FIXTURES / "tiny-llama-lora", copy)
        for path in [copy, *copy.iterdir()]:
            path.chmod(0o755)
        hostile = {"base_model_name_or_path": "a\x1b[2J\nb", "target_modules": ["q\r"], "rank_pattern": {"x\x9b": 2}}
        edit(copy / "adapter_config.json", lambda c: c.update(hostile))
        out = self.succeeds("inspect", copy)
        for text in ("base         a\\u001b[2J\\u000ab\n", "q\\u000d\n", "x\\u009b=2\n"):
            self.assertIn(text, out)
        data = json.dumps({"a\x1b[2J\nb": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}).encode()
        copy.joinpath("adapter_model.safetensors").write_bytes(struct.pack("<Q", len(data)) + data + bytes(8))
        self.fails(1, "inspect", copy, says="a\\u001b[2J\\u000ab")

    def test_a_data_file_is_counted(self):
        text = '{"context": "caf\u00e9 ", "target": "two"}\n{"context": "", "target": "three"}\n'
        data = self.write("pairs.jsonl", text)
        result = self.gives_json("inspect", data)
        self.assertEqual(result, {"kind": "data", "pairs": 2, "context_characters": 5, "target_characters": 8,
                                  "longest_characters": 8})
        table = self.write("pairs.csv", 'a,b\n"1,2","x\ny"\n')
        self.assertEqual(self.gives_json("inspect", table, "--columns", "a,b")["pairs"], 1)
        self.assertIn("pairs        2\n", self.succeeds("inspect", data))

    @needs_device
    def test_a_data_file_is_counted_in_tokens_of_a_model(self):
        result = self.gives_json("inspect", VALIDATION, "--model", MODEL)
        evaluated = len(VALIDATION.read_text(encoding="utf-8").splitlines())
        self.assertEqual((result["sequences"], result["pairs"]), (evaluated, evaluated))
        self.assertGreater(result["tokens"], result["learnt"])
        self.assertRegex(unfolded(self.succeeds("inspect", VALIDATION, "--model", MODEL)),
                         r"(?m)^tokens .* target tokens$")

    def test_options_without_a_meaning_for_this_kind_are_noted(self):
        adapter = FIXTURES / "tiny-llama-lora"
        for path, option, value in ((adapter, "--rank", 4), (adapter, "--columns", "a"), (VALIDATION, "--dtype", "f16"),
                                    (VALIDATION, "--max-length", 9)):
            _, out, err = clora("inspect", path, option, value)
            self.one_line(err, f"note: {option} changes nothing for ")
            self.assertEqual(out, self.succeeds("inspect", path))

    @needs_device
    def test_options_that_count_for_this_kind_are_not(self):
        for arguments in ((MODEL, "--rank", 4), (VALIDATION, "--model", MODEL, "--max-length", 9)):
            self.assertEqual(clora("inspect", *arguments)[2], "")

    def test_what_is_none_of_these_is_said(self):
        self.fails(1, "inspect", self.folder / "none", says=["none", "No such file"])
        self.fails(1, "inspect", self.folder, says=["config.json", "adapter_config.json"])
        self.fails(1, "inspect", self.write("empty.jsonl", ""), says="holds no sequences")
        self.fails(1, "inspect", self.write("what.bin", "x"), says="what.bin")


class Tokenize(UseTest):
    def ids(self, *arguments, **options):
        return json.loads(self.succeeds("tokenize", MODEL, *arguments, **options))

    def test_ids_are_a_json_array_and_decode_to_the_text(self):
        text = "Caf\u00e9 \u2014 \U0001f600 </s> 123"
        ids = self.ids(text)
        self.assertEqual(self.ids(text, "--json"), ids)
        self.assertEqual(self.ids(text, "--special"), [0] + ids)
        self.assertEqual(self.ids(stdin=text), ids)
        self.assertEqual(self.succeeds("tokenize", MODEL, "--decode", "--special", json.dumps(ids)), text + "\n")
        self.assertEqual(self.succeeds("tokenize", MODEL, "--decode", " ".join(map(str, ids))),
                         text.replace("</s>", "") + "\n")
        self.assertEqual(self.gives_json("tokenize", MODEL, "--decode", "--special", stdin=str(ids)), {"text": text})

    def test_standard_input_is_taken_byte_for_byte(self):
        self.assertNotEqual(self.ids(stdin="a\n"), self.ids(stdin="a"))
        self.assertEqual(self.ids(stdin=""), [])

    def test_lines_of_a_file_give_a_line_each(self):
        texts = ["", "two words", "\u0000", "a\nb", "\u2028", "\U0001f600"]
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        out = self.succeeds("tokenize", MODEL, "--jsonl", self.write("texts.jsonl", lines))
        found = [json.loads(line)["ids"] for line in out.splitlines()]
        self.assertEqual(found, [self.ids(stdin=text) for text in texts])
        self.assertEqual(self.succeeds("tokenize", MODEL, "--jsonl", "-", stdin=lines), out)

    def test_tokens_are_shown_one_a_line(self):
        out = self.succeeds("tokenize", MODEL, " the the", "--tokens")
        self.assertEqual([int(line.split()[0]) for line in out.splitlines()], self.ids(" the the"))
        self.assertIn('"\u0120the"', out)

    def test_characters_without_a_token_are_noted(self):
        tokenizer = {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None,
                     "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
                     "decoder": {"type": "ByteLevel"},
                     "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}
        self.write("tokenizer.json", json.dumps(tokenizer))
        status, out, err = clora("tokenize", self.folder, "abcab")
        self.assertEqual((status, json.loads(out)), (0, [0, 1, 0, 1]))
        self.one_line(err, "note: 1 character or byte is left out")
        self.assertEqual(clora("tokenize", self.folder, "abab")[2], "")

    def test_wrong_input_is_said(self):
        self.fails(1, "tokenize", self.folder, "text", says="tokenizer.json")
        self.fails(1, "tokenize", MODEL, "--decode", "1 x 2", says="'x 2' is not a token id")
        self.fails(1, "tokenize", MODEL, "--decode", "1 -2", says="is not a token id")
        self.fails(1, "tokenize", MODEL, "--decode", "5 2048", says=["2048", "beyond the vocabulary"])
        self.fails(1, "tokenize", MODEL, "--decode", "9" * 40, says="beyond the vocabulary")
        for text, says in (('{"text": "a"}\n{"text": 1}\n', 'line 2: no "text"'),
                           ('{"text": "\\ud800"}\n', "line 1: not JSON"),
                           ('{"text": "a", "text": "b"}\n', "line 1: not JSON")):
            status, _, err = clora("tokenize", MODEL, "--jsonl", "-", stdin=text)
            self.assertEqual(status, 1)
            self.one_line(err, says)
        self.fails(1, "tokenize", MODEL, os.fsdecode(b"\xc3("), says="UTF-8")


if __name__ == "__main__":
    main()
