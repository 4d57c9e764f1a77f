"""Conversations: their text and ids, training and answering on them, and talking in the terminal."""

import json
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.command import MODEL, CommandTest, clora, main, needs_device

TEMPLATE = """{% for m in messages %}
{{ m.role | capitalize }}:
{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}

{% endfor %}
{% if add_generation_prompt %}
Assistant:
{% endif %}"""
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello there"},
        {"role": "user", "content": "Bye"}, {"role": "assistant", "content": "Good bye"}]
TEXT = "User:\nHi\nAssistant:\nHello there</s>\nUser:\nBye\nAssistant:\nGood bye</s>\n"


class ChatTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.template = self.write("own.jinja", TEMPLATE)
        self.rows = self.write("talks.jsonl", json.dumps({"messages": TALK}) + "\n" + json.dumps(
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello there"}]}) + "\n")

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def model(self):
        """A copy of the bundled model that has the template."""
        copy = self.folder / "model"
        shutil.copytree(MODEL, copy)
        (copy / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        return copy

    def encoded(self, *arguments):
        status, out, err = clora("tokenize", MODEL, "--chat", "--jsonl", self.rows, "--template", self.template,
                                 *arguments)
        self.assertEqual((status, err), (0, ""))
        return [json.loads(line) for line in out.splitlines()]

    def decoded(self, ids):
        return clora("tokenize", MODEL, "--special", "--decode", json.dumps(ids))[1].removesuffix("\n")


class Tokenize(ChatTest):
    def test_what_the_assistant_says_is_marked(self):
        row = self.encoded()[0]
        self.assertEqual(row["text"], TEXT)
        said = [i for i, t in zip(row["ids"], row["target"]) if t]
        self.assertEqual(self.decoded(said), "Hello there</s>\nGood bye</s>\n")
        asked = TEXT[:TEXT.index("User:\nBye")] + "Assistant:\n"
        self.assertEqual(self.encoded("--generation-prompt")[1]["text"], asked)

    def test_the_models_own_template_is_used(self):
        status, out, _ = clora("tokenize", self.model(), "--chat", "--jsonl", self.rows)
        self.assertEqual((status, json.loads(out.splitlines()[0])["text"]), (0, TEXT))

    def test_what_is_wrong_is_said(self):
        status, out, err = clora("tokenize", MODEL, "--chat", "--jsonl", self.rows)
        self.assertEqual((status, out), (1, ""))
        self.one_line(err, "has no chat template", "--template FILE")
        broken = self.write("broken.jinja", "a\n{% include 'b' %}")
        status, _, err = clora("tokenize", MODEL, "--chat", "--jsonl", self.rows, "--template", broken)
        self.assertEqual(status, 1)
        self.one_line(err, "broken.jinja: line 2: {% include %} is not supported")
        status, _, err = clora("tokenize", MODEL, "--chat", "text")
        self.assertEqual(status, 2)


@needs_device
class Show(ChatTest):
    def shown(self, *arguments):
        status, out, err = clora("inspect", self.rows, "--model", MODEL, "--template", self.template, "--show", "1",
                                 *arguments)
        self.assertEqual((status, err), (0, ""))
        return out

    def test_what_is_learnt_is_marked(self):
        out = self.shown()
        marked = TEXT
        for said in "Hello there</s>\n", "Good bye</s>\n":
            marked = marked.replace(said, f"[[{said}]]")
        self.assertIn(f"target tokens\n{marked}\n", out)
        self.assertNotIn("sequence 2", out)

    def test_ids_are_told_on_request(self):
        row = self.encoded()[0]
        ids = " ".join(map(str, row["ids"]))
        self.assertIn(f"ids {ids}", self.shown("--ids").replace("[[", "").replace("]]", ""))
        told = json.loads(self.shown("--json"))["rows"]
        self.assertEqual([(r["ids"], r["target"]) for r in told], [(row["ids"], row["target"])])

    def test_it_needs_a_model(self):
        self.assertEqual(clora("inspect", self.rows, "--show", "1")[0], 2)
        self.assertEqual(clora("inspect", self.rows, "--model", MODEL, "--ids")[0], 2)


@needs_device
class Use(ChatTest):
    def test_training_and_evaluation_take_conversations(self):
        model, adapter = self.model(), self.folder / "adapter"
        status, out, err = clora("train", model, "--data", self.rows, "--out", adapter, "--epochs", "20", "--lr",
                                 "1e-2", "--batch-size", "2", "--json")
        self.assertEqual(status, 0, err)
        losses = [json.loads(clora("eval", model, "--data", self.rows, "--json", *more)[1])
                  for more in ([], ["--adapter", adapter])]
        learnt = sum(sum(row["target"]) for row in self.encoded())
        self.assertEqual([r["tokens"] for r in losses], [learnt, learnt])
        self.assertLess(losses[1]["loss"], 0.2 * losses[0]["loss"])
        answer = ["generate", model, "--adapter", adapter, "--max-tokens", "20", "--chat"]
        status, out, err = clora(*answer, "--prompt", "Hi")
        self.assertEqual((status, out), (0, "Hello there\n"))
        messages = self.write("ask.jsonl", json.dumps({"messages": TALK[:3]}) + "\n")
        status, out, err = clora(*answer, "--jsonl", messages)
        self.assertEqual((status, out), (0, "Good bye\n"))
        self.talks(model, adapter)

    def talks(self, model, adapter):
        """A conversation whose second turn sees the first, and whose first after /reset sees nothing."""
        saved = self.folder / "said.jsonl"
        lines = f"Hi\n\nBye\n/save {saved}\n/reset\nHi\n/what\n/quit\nHi\n"
        status, out, err = clora("chat", model, "--adapter", adapter, "--max-tokens", "20", stdin=lines)
        self.assertEqual((status, out), (0, "Hello there\nGood bye\nHello there\n"))
        self.assertIn("/what: there are /reset, /save FILE and /quit", err)
        self.assertEqual(json.loads(saved.read_text(encoding="utf-8")), {"messages": TALK})
        status, out, _ = clora("chat", model, "--adapter", adapter, "--json", "--system", "S", stdin="Hi")
        self.assertEqual((status, json.loads(out)["role"]), (0, "assistant"))
        status, out, err = clora("chat", model, "--max-length", "8", stdin="Hi, a long line that does not fit\n")
        self.assertEqual((status, out), (0, ""))
        self.assertIn("more than 8: /reset begins a new one", err)

    def test_data_without_a_template_says_what_is_missing(self):
        status, _, err = clora("train", MODEL, "--data", self.rows, "--out", self.folder / "adapter")
        self.assertEqual(status, 1)
        self.one_line(err, "talks.jsonl: line 1: chat messages", "has no chat template", "--template FILE")
        self.assertFalse((self.folder / "adapter").exists())


if __name__ == "__main__":
    main()
