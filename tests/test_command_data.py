"""What the command makes of data, prompts and the ends of texts, as other programs write them."""

import gzip
import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import FIXTURES, MODEL, VALIDATION, CommandTest, clora, main, needs_device

PROMPT = "name: Rusty Pumpkin | type: restaurant | food: Greek =>"


class DataTest(CommandTest):
    def model(self, **files):
        """A copy of the bundled model; tokenizer_config={...} changes keys of that file, None removes it."""
        copy = self.folder / f"model {len(list(self.folder.iterdir()))}"
        shutil.copytree(MODEL, copy)
        for path in copy.iterdir():
            path.chmod(0o644)
        for name, changes in files.items():
            path = copy / f"{name}.json"
            if changes is None:
                path.unlink()
            else:
                path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
        return copy

    def continued(self, model, *arguments):
        """What greedy generation says, and standard error."""
        status, out, err = clora("generate", model, "--prompt", PROMPT, "--max-tokens", "8", "--json", *arguments)
        self.assertEqual(status, 0, err)
        return json.loads(out), err


@needs_device
class EndOfText(DataTest):
    def setUp(self):
        super().setUp()
        self.free, err = self.continued(MODEL)
        self.assertEqual((self.free["stop"], err), ("length", ""))
        vocabulary = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        self.id = self.free["ids"][3]
        self.token = next(token for token, i in vocabulary.items() if i == self.id)
        self.until = self.free["ids"].index(self.id) + 1

    def ends(self, model):
        """Standard error of a generation that ends at the chosen token."""
        result, err = self.continued(model)
        self.assertEqual((result["ids"], result["stop"]), (self.free["ids"][: self.until], "eos"))
        return err

    def test_a_generation_ends_at_the_eos_that_training_teaches(self):
        for changes in ({}, {"generation_config": None}, {"generation_config": {"eos_token_id": [1, 5]}}):
            err = self.ends(self.model(tokenizer_config={"eos_token": self.token}, **changes))
            token = json.dumps(self.token, ensure_ascii=False)
            self.one_line(err, "note: ", f"tokenizer_config.json says {token} (id {self.id})")
        model = self.model(tokenizer_config={"eos_token": {"content": self.token}})
        self.assertEqual(clora("generate", model, "--prompt", "a", "--max-tokens", "1", "--quiet")[2], "")

    def test_files_that_say_nothing_contradict_nothing(self):
        nothing = {"config": {"eos_token_id": None}, "generation_config": None}
        self.assertEqual(self.ends(self.model(tokenizer_config={"eos_token": self.token}, **nothing)), "")
        for ids in (self.id, [1, self.id]):
            self.assertEqual(self.ends(self.model(tokenizer_config={"eos_token": self.token},
                                                  generation_config={"eos_token_id": ids})), "")
            self.assertEqual(self.ends(self.model(tokenizer_config={"eos_token": None},
                                                  generation_config={"eos_token_id": ids})), "")

    def test_ids_outside_the_vocabulary_are_passed_over(self):
        for ids in (-1, [-1], [2048, 1 << 40]):
            model = self.model(generation_config={"eos_token_id": ids}, config={"eos_token_id": [1, self.id]})
            self.one_line(self.ends(model), "note: ", f"names {len(ids) if isinstance(ids, list) else 1} outside")
        self.one_line(self.ends(self.model(generation_config={"eos_token_id": [1, -1, self.id]})), "names 1 outside")
        self.fails(1, "generate", self.model(generation_config={"eos_token_id": ["x"]}), "--prompt", "a",
                   says="eos_token_id")

    def test_training_evaluating_and_inspecting_say_that_the_files_disagree(self):
        model = self.model(tokenizer_config={"eos_token": self.token})
        rows = self.write("rows.jsonl", '{"context": "a", "target": " b"}\n')
        train = ["train", model, "--data", rows, "--steps", "1"]
        self.one_line(clora(*train, "--out", self.folder / "a")[2], "do not agree on the end of a text")
        self.assertEqual(clora(*train, "--out", self.folder / "b", "--eos", "never")[2], "")
        for command in (["inspect", model], ["eval", model, "--data", rows]):
            self.one_line(clora(*command)[2], "do not agree on the end of a text")
        self.assertEqual(clora("eval", model, "--data", rows, "--eos", "never")[2], "")

    def test_a_stop_text_may_be_a_special_token_or_hold_one(self):
        special = {"id": self.id, "content": self.token, "single_word": False, "lstrip": False, "rstrip": False,
                   "normalized": False, "special": True}
        tokens = json.loads((MODEL / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
        model = self.model(tokenizer={"added_tokens": tokens + [special]})
        before = json.loads(self.succeeds("tokenize", MODEL, "--decode", str(self.free["ids"][: self.until - 1]),
                                          "--json"))["text"]
        for stop, text in ((self.token, before), (before[-2:] + self.token, before[:-2])):
            result, _ = self.continued(model, "--stop", stop)
            self.assertEqual((result["ids"], result["text"], result["stop"]),
                             (self.free["ids"][: self.until], text, "text"))
        model = self.model(tokenizer={"added_tokens": tokens + [special]}, tokenizer_config={"eos_token": self.token})
        result, _ = self.continued(model, "--stop", before[-2:] + self.token)
        self.assertEqual((result["text"], result["stop"]), (before[:-2], "eos"))


@needs_device
class NothingToLearn(DataTest):
    FULL = '{"context": "a", "target": " cat"}\n{"context": "b", "target": " dog"}\n'
    EMPTY = '{"context": "a", "target": ""}\n'

    def test_pairs_without_a_target_token_are_skipped_and_counted(self):
        mixed = self.write("mixed.jsonl", self.EMPTY * 3 + self.FULL + self.EMPTY)
        full = self.write("d.jsonl", self.FULL)
        never = ["--eos", "never", "--batch-size", "1"]
        loss = self.gives_json("eval", MODEL, "--data", full, *never)["loss"]
        status, out, err = clora("eval", MODEL, "--data", mixed, *never, "--json")
        self.assertEqual((status, json.loads(out)["loss"], json.loads(out)["sequences"]), (0, loss, 2))
        self.one_line(err, "note: ", "mixed.jsonl: 4 pairs have no target token: skipped")
        results, adapters = [], []
        for data in full, mixed:
            out = self.folder / data.stem
            result = self.gives_json("train", MODEL, "--data", data, "--val", data, "--out", out, *never,
                                     "--accumulate", "2", "--epochs", "2")
            results.append([result[key] for key in ("steps", "loss", "grad_norm", "val_loss")])
            adapters.append((out / "adapter_model.safetensors").read_bytes())
        self.assertEqual(*results)
        self.assertEqual(*adapters)

    def test_a_file_without_any_is_refused(self):
        empty = self.write("empty.jsonl", self.EMPTY * 2)
        full = self.write("d.jsonl", self.FULL)
        out = self.folder / "out"
        for arguments in (["eval", MODEL, "--data", empty], ["train", MODEL, "--data", empty, "--out", out],
                          ["train", MODEL, "--data", full, "--val", empty, "--out", out]):
            self.fails(1, *arguments, "--eos", "never", says="empty.jsonl: line 1: nothing to learn")
        self.assertFalse(out.exists())

    def test_empty_targets_are_noted(self):
        err = clora("eval", MODEL, "--data", self.write("d.jsonl", self.EMPTY + self.FULL))[2]
        self.one_line(err, "note: ", "1 pair has an empty target: the EOS is the only target token")


@needs_device
class OwnEnds(DataTest):
    """Texts that hold the <s> and </s> which are added anyway."""

    def test_a_prompt_with_its_own_bos_gets_no_second_one(self):
        plain = self.gives_json("generate", MODEL, "--prompt", "a cat", "--max-tokens", "1")["prompt_ids"]
        status, out, err = clora("generate", MODEL, "--prompt", "<s>a cat", "--max-tokens", "1", "--json")
        self.assertEqual((status, json.loads(out)["prompt_ids"]), (0, plain))
        self.one_line(err, 'note: 1 text has its "<s>" already')
        rows = self.write("rows.jsonl", '{"prompt": "<s>a cat"}\n{"text": "a cat"}\n{"context": "<s>"}\n')
        status, out, err = clora("generate", MODEL, "--jsonl", rows, "--max-tokens", "1", "--json")
        self.assertEqual([json.loads(line)["prompt_ids"] for line in out.splitlines()], [plain, plain, plain[:1]])
        self.one_line(err, 'note: 2 texts have their "<s>" already')
        rows = self.write("broken.jsonl", '{"prompt": "<s>a cat"}\n{"prompt": 1}\n')
        self.fails(1, "generate", MODEL, "--jsonl", rows, says="line 2")

    def test_rows_with_their_own_ends_are_counted_and_train_the_same_ids(self):
        own = self.write("own.jsonl", '{"context": "<s>a", "target": " cat</s>"}\n'
                                      '{"context": "", "target": "<s>a cat"}\n')
        without = self.write("without.jsonl", '{"context": "a", "target": " cat"}\n'
                                              '{"context": "", "target": "a cat"}\n')
        for command in (["inspect", own, "--model", MODEL], ["eval", MODEL, "--data", own],
                        ["train", MODEL, "--data", own, "--steps", "1", "--out", self.folder / "out"]):
            status, _, err = clora(*command)
            self.assertEqual(status, 0, err)
            self.assertRegex(err, r'note: \S+own.jsonl: 2 texts have their "<s>" already[^\n]*\n.*'
                                  r'note: \S+own.jsonl: 1 text has its "</s>" already[^\n]*\n\Z')
        counts = [self.gives_json("inspect", data, "--model", MODEL) for data in (own, without)]
        self.assertEqual((counts[0].pop("own_bos"), counts[0].pop("own_eos")), (2, 1))
        for key in "tokens", "learnt", "longest":
            self.assertEqual(counts[0][key], counts[1][key])
        loss = [self.gives_json("eval", MODEL, "--data", data)["loss"] for data in (own, without)]
        self.assertEqual(loss[0], loss[1])


class Rows(DataTest):
    """Files of rows, as train, eval, generate and tokenize read them alike."""

    TEXTS = ["a cat", "two dogs"]
    LINES = '\ufeff\r\n{"text": "a cat", "n": 1e400}\r\n\n{"text": "two dogs", "id": 123456789012345678901234567890}'
    ARRAY = '\ufeff[\n  {\n    "n": NaN,\n    "text": "a cat"\n  },\n  {"text": "two dogs"}\n]\n'

    def test_lines_and_arrays_are_tokenized_from_files_and_standard_input(self):
        ids = [self.succeeds("tokenize", MODEL, text).strip().replace(" ", "") for text in self.TEXTS]
        expected = "".join(f'{{"ids":{row}}}\n' for row in ids)
        for text in (self.LINES, self.ARRAY, self.ARRAY.replace("\n", " ")):
            self.assertEqual(self.succeeds("tokenize", MODEL, "--jsonl", self.write("rows", text)), expected)
            self.assertEqual(self.succeeds("tokenize", MODEL, "--jsonl", "-", stdin=text), expected)
        self.fails(1, "tokenize", MODEL, "--jsonl", "-", stdin='{"context": "a"}',
                   says='standard input: line 1: no "text"')

    @needs_device
    def test_prompts_are_the_contexts_of_what_training_reads(self):
        rows = [{"context": "a cat", "target": " b"}, {"prompt": "a cat", "completion": " b"},
                {"instruction": "a", "input": "cat", "output": " b"}, {"text": "a cat"}]
        prompts = [json.loads(self.succeeds("tokenize", MODEL, text, "--special")) for text in ("a cat", "a\ncat")]
        for text in ("".join(json.dumps(row) + "\n\n" for row in rows), json.dumps(rows), json.dumps(rows, indent=2)):
            out = self.succeeds("generate", MODEL, "--jsonl", "-", "--max-tokens", "1", "--json", stdin="\ufeff" + text)
            self.assertEqual([json.loads(line)["prompt_ids"] for line in out.splitlines()],
                             [prompts[0], prompts[0], prompts[1], prompts[0]])

    @needs_device
    def test_an_array_is_evaluated_as_its_lines_are(self):
        rows = [json.loads(line) for line in VALIDATION.read_text(encoding="utf-8").splitlines()[:3]]
        lines = self.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        loss = self.gives_json("eval", MODEL, "--data", lines)["loss"]
        for text in (json.dumps(rows), json.dumps(rows, indent=4)):
            self.assertEqual(self.gives_json("eval", MODEL, "--data", self.write("rows.json", text))["loss"], loss)

    def test_a_table_may_have_semicolons_or_tabs_and_columns_by_number(self):
        for name, separator in (("rows.csv", ";"), ("rows.tsv", "\t"), ("rows.csv", ",")):
            rows = [["id", "question", '"answer, short"'], ["1", "two", "three"]]
            table = self.write(name, "".join(separator.join(row) + "\n" for row in rows))
            for columns in ("2,3", 'question,"answer, short"'):
                result = self.gives_json("inspect", table, "--columns", columns)
                self.assertEqual((result["context_characters"], result["target_characters"]), (3, 5))
            self.fails(1, "inspect", table, says=['"id", "question", "answer, short"', "by name or number"])

    def test_what_is_no_text_is_named_with_a_remedy(self):
        for name, data, says in (("rows.jsonl.gz", gzip.compress(b"{}")[:-5], "what gzip packed is damaged or cut off"),
                                 ("rows.jsonl", '{"text": "a"}'.encode("utf-16"), "UTF-16; convert it"),
                                 ("rows.parquet", b"PAR1\x15\0", "a Parquet table"),
                                 ("rows.json", b'{\n"text": "a"\n}', "must be in one line")):
            path = self.write(name, data)
            self.fails(1, "inspect", path, says=[name, says])
            self.fails(1, "tokenize", MODEL, "--jsonl", path, says=[name, says])


@needs_device
class Forms(DataTest):
    """Rows by their keys, and the templates around them."""

    ROW = {"instruction": "Name the animal.", "input": "It barks.", "output": "A dog."}
    PLAIN = "Name the animal.\nIt barks."
    ALPACA = ("Below is an instruction that describes a task, paired with an input that provides further context. "
              "Write a response that appropriately completes the request.\n\n### Instruction:\nName the animal.\n\n"
              "### Input:\nIt barks.\n\n### Response:\n")
    OWN = ("{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}"
           "{% if add_generation_prompt %}assistant:\n{% endif %}")

    def shown(self, rows, *arguments):
        """The ids of the first row, and what is learnt of them."""
        status, out, err = clora("inspect", rows, "--model", MODEL, "--show", "1", "--json", *arguments)
        self.assertEqual(status, 0, err)
        row = json.loads(out)["rows"][0]
        return row["ids"], [i for i, target in zip(row["ids"], row["target"]) if target], err

    def ids(self, text):
        return json.loads(self.succeeds("tokenize", MODEL, text))

    def tokenized(self, rows, *arguments):
        lines = self.succeeds("tokenize", MODEL, "--jsonl", rows, *arguments).splitlines()
        return [json.loads(line) for line in lines]

    def asked(self, rows, *arguments):
        out = self.succeeds("generate", MODEL, "--jsonl", rows, "--max-tokens", "1", "--json", *arguments)
        return json.loads(out)["prompt_ids"]

    def test_what_is_asked_is_what_was_trained_before_the_answer(self):
        rows, own = self.write("rows.jsonl", json.dumps(self.ROW)), self.write("own.jinja", self.OWN)
        for template, prompt in ((None, self.PLAIN), ("none", self.PLAIN), ("alpaca", self.ALPACA)):
            more = ["--template", template] if template else []
            ids, learnt, err = self.shown(rows, *more)
            self.assertEqual((ids[0], ids[1:-len(learnt)]), (0, self.ids(prompt)))
            self.assertEqual(learnt, self.ids("A dog.") + [1])
            self.assertEqual(self.asked(rows, *more), ids[:-len(learnt)])
            if template == "alpaca":
                self.assertEqual(err, "")
            else:
                self.one_line(err, "note: ", "rows.jsonl: in 1 pair nothing parts prompt and completion")
        ids, learnt, err = self.shown(rows, "--template", "chatml")
        self.one_line(err, "its vocabulary has no token for <|im_start|>")
        self.assertEqual(self.ids("<|im_start|>user\n" + self.PLAIN)[:12], ids[:12])
        for template in ["chatml"], [own], [own, "--chat"]:
            if template == [own, "--chat"]:
                rows = self.write("talk.jsonl", json.dumps({"messages": [{"role": "user", "content": self.PLAIN}]}))
            else:
                ids, learnt, _ = self.shown(rows, "--template", *template)
            self.assertEqual(clora("generate", MODEL, "--jsonl", rows, "--max-tokens", "1", "--json", "--template",
                                   *template, "--quiet")[0], 0)
            self.assertEqual(self.asked(rows, "--template", *template), ids[:-len(learnt)])

    def test_keys_name_what_rows_have(self):
        rows = self.write("rows.jsonl.gz", gzip.compress(json.dumps({"q": "a", "a": " cat", "text": "no"}).encode()))
        ids, learnt, err = self.shown(rows, "--keys", "q,a")
        self.assertEqual((ids, learnt, err), ([0, *self.ids("a cat"), 1], ids[2:], ""))
        self.assertEqual(self.asked(rows, "--keys", "q,a"), ids[:2])
        self.assertEqual(self.shown(rows, "--keys", "q")[0], [0, *self.ids("a"), 1])
        self.fails(1, "eval", MODEL, "--data", rows, "--keys", "q,b", says='line 1: has no "b", which the keys')
        self.assertEqual(self.tokenized(rows, "--keys", "q,a"), [{"text": "<s>a cat</s>", "ids": ids,
                                                                  "target": [0, 0, 1, 1]}])

    def test_rows_are_tokenized_as_training_has_them(self):
        rows = self.write("rows.jsonl", "".join(json.dumps(self.ROW | {"input": text}) + "\n"
                                                for text in (self.ROW["input"], "")))
        for options in [], ["--template", "alpaca"], ["--template", "chatml"]:
            ids, learnt, _ = self.shown(rows, *options)
            first = self.tokenized(rows, "--rows", *options)[0]
            self.assertEqual((first["ids"], [i for i, t in zip(first["ids"], first["target"]) if t]), (ids, learnt))
        empty = self.write("empty.jsonl", '{"messages": [{"role": "user", "content": "a"}]}\n')
        self.fails(1, "tokenize", MODEL, "--jsonl", empty, "--rows", "--template", "chatml", says="nothing to learn")
        for arguments, says in ((["--rows"], "take rows from --jsonl"),
                                (["--keys", "a", "--chat", "--jsonl", rows], "neither --chat"),
                                (["--jsonl", rows, "--template", "alpaca"], "--template for --chat, --rows")):
            self.fails(2, "tokenize", MODEL, *arguments, says=says)

    def test_lists_of_messages_are_asked_up_to_the_completion(self):
        own = self.write("own.jinja", self.OWN)
        rows = self.write("rows.jsonl", json.dumps({"prompt": [{"role": "user", "content": "Hi"}],
                                                    "completion": [{"role": "assistant", "content": "Yes"}]}))
        ids, learnt, err = self.shown(rows, "--template", own)
        self.assertEqual((ids, err), (self.ids("user:\nHi\nassistant:\nYes\n"), ""))
        self.assertEqual(self.asked(rows, "--chat", "--template", own), self.ids("user:\nHi\nassistant:\n"))
        self.assertEqual(self.shown(rows, "--template", own)[1], learnt)

    def test_options_of_rows_are_refused_where_there_are_none(self):
        rows = self.write("rows.jsonl", json.dumps(self.ROW))
        for arguments, says in ((["--prompt", "a", "--template", "alpaca"], "--template is for --chat and for the row"),
                                (["--prompt", "a", "--keys", "q"], "--keys is for the rows of --jsonl"),
                                (["--chat", "--jsonl", rows, "--keys", "q"], "--keys is for the rows of --jsonl")):
            self.fails(2, "generate", MODEL, *arguments, says=says)
        self.fails(1, "eval", MODEL, "--data", self.write("d.txt", "a"), "--template", "alpaca",
                   says="line 1: a text without a prompt")
        self.fails(1, "eval", MODEL, "--data", rows, "--template", "alpacca", says="cannot read alpacca")


@needs_device
class Several(DataTest):
    """Several data files with weights, and parts that are held out."""

    def rows(self, name, words):
        return self.write(name, "".join(json.dumps({"context": "a", "target": f" {w}"}) + "\n" for w in words.split()))

    def train(self, name, *arguments):
        result = self.gives_json("train", MODEL, "--out", self.folder / name, "--batch-size", "1", *arguments)
        return result, (self.folder / name / "adapter_model.safetensors").read_bytes()

    def test_files_with_weights_are_trained_on_as_their_rows_repeated(self):
        one, two = self.rows("one.jsonl", "cat dog"), self.rows("two:2", "house").rename(self.folder / "two:2.jsonl")
        both = self.rows("both.jsonl", "cat dog house house")
        plain, adapter = self.train("plain", "--data", both, "--no-shuffle")
        mixed, same = self.train("mixed", "--data", one, "--data", f"{two}:2", "--no-shuffle")
        self.assertEqual((mixed["steps"], adapter), (4, same))
        self.assertEqual(self.train("half", "--data", f"{one}:0.5", "--data", two)[0]["steps"], 2)
        shuffled = [self.train(f"seed {i}", "--data", f"{one}:1.5", "--data", two)[1] for i in range(2)]
        self.assertEqual(*shuffled)
        loss = [self.gives_json("eval", MODEL, "--data", one, "--data", more)["loss"] for more in (two, two)]
        self.assertEqual(*loss)
        self.fails(2, "train", MODEL, "--data", f"{one}:0", "--out", self.folder / "x", says="a weight is above 0")
        self.fails(1, "eval", MODEL, "--data", f"{one}:2", says="cannot read")

    def test_a_part_of_the_data_is_held_out(self):
        words = "cat dog house tree river bird fish horse"
        rows = self.rows("rows.jsonl", words)
        other = self.rows("other.jsonl", " ".join(reversed(words.split())))
        results = [self.train(f"{i}", "--data", data, "--val", "25%", "--steps", "6", "--seed", seed)[0]
                   for i, (data, seed) in enumerate(((rows, "1"), (other, "1"), (rows, "2")))]
        self.assertEqual(results[0]["val_loss_before"], results[1]["val_loss_before"])
        self.assertNotEqual(results[0]["val_loss_before"], results[2]["val_loss_before"])
        self.assertEqual(self.train("epoch", "--data", rows, "--val", "25%")[0]["steps"], 6)
        for share, status, says in (("0%", 2, "above 0%"), ("100%", 2, "below 100%"), ("99%", 1, "none is left"),
                                    ("x%", 1, "cannot read x%")):
            self.fails(status, "train", MODEL, "--data", rows, "--val", share, "--out", self.folder / "x", says=says)


class Swapped(DataTest):
    """Models, adapters and data that are given in each other's place."""

    ADAPTER = FIXTURES / "tiny-llama-lora"

    def test_an_adapter_or_data_is_no_model(self):
        out = self.folder / "out"
        for path, says in ((self.ADAPTER, "is an adapter, not a model: name its base as the model, and it with --ad"),
                           (VALIDATION, "is a data file, which goes to --data; a model is")):
            for arguments in (["tokenize", path, "a"], ["merge", path, self.ADAPTER, "--out", out]):
                self.fails(1, *arguments, says=f"{path} {says}")
        self.assertFalse(out.exists())

    @needs_device
    def test_commands_with_a_device_say_the_same(self):
        out = self.folder / "out"
        for command in (["train", self.ADAPTER, "--data", VALIDATION, "--out", out], ["tune", self.ADAPTER],
                        ["eval", self.ADAPTER, "--data", VALIDATION], ["generate", self.ADAPTER, "--prompt", "a"],
                        ["bench", self.ADAPTER], ["inspect", VALIDATION, "--model", self.ADAPTER]):
            self.fails(1, *command, says=f"{self.ADAPTER} is an adapter, not a model: name its base")
        self.fails(1, "eval", VALIDATION, "--data", MODEL, says=f"{VALIDATION} is a data file, which goes to --data")
        for path, says in ((MODEL, "is a model, not an adapter"), (VALIDATION, "is a data file")):
            for arguments in (["generate", MODEL, "--prompt", "a", "--adapter", path],
                              ["train", MODEL, "--data", VALIDATION, "--init-adapter", path, "--out", out],
                              ["merge", MODEL, path, "--out", out]):
                self.fails(1, *arguments, says=[f"{path} {says}", "adapter_config.json"])
        for path, what in ((MODEL, "the directory of a model"), (self.ADAPTER, "the directory of an adapter"),
                           (self.folder, "a directory"), (MODEL / "model.safetensors", "a file of weights")):
            self.fails(1, "eval", MODEL, "--data", path, says=f"{path} is {what}, not data: name a file")
            self.fails(1, "generate", MODEL, "--jsonl", path, says=f"{path} is {what}, not data: name a file")
        self.assertFalse(out.exists())


if __name__ == "__main__":
    main()
