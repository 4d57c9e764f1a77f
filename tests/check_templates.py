"""Compare clora's rendering of other people's chat templates with transformers': check_templates.py EXCHANGE [DIR...]

The templates are those that the package trl holds and, in the directories given or in CLORA_TEST_TEMPLATES, any
*.jinja. Each renders the conversations below: the text must be the same to the byte, or clora must refuse the
template by the name of a feature, which 3 % of them may. Where trl has a template twice, as it is and as
NAME_training with marks around answers, what is learnt must be the same too. Skips where transformers or trl is
missing.
"""

import copy
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.packages import need

os.environ["TZ"] = "UTC"
os.environ["SOURCE_DATE_EPOCH"] = "1721995200"  # 26 July 2024
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
EXCHANGE = sys.argv[1]
MODEL = pathlib.Path(__file__).parent.parent / "models" / "tiny"
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Get the \"weather\" & <more>.",
    "parameters": {"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string", "description": "The city, e.g. Köln"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "description": "How many", "default": 3}}}}}]


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


CALL = {"id": "call00001", "type": "function",
        "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "exact": 1.5, "now": True}}}
ODD = "naïve 日本語 👩‍👩‍👧 e\u0301 \u202e\u00a0\u2028x <b>&amp;\"'\\ {{ x }} {% y %}\r\n\ttab  "
SINGLE = [user("Hello")]
TURNS = [user("Hi"), assistant("Hello! How can I help?"), user(" What is 2+2? \n"), assistant("4")]
# what the plain template writes otherwise than the one with marks: no mask can be the same
DIFFER = {("llava_next", "parts"), ("diffusion_gemma", "tool call")}
CONVERSATIONS = {
    "one turn": {"messages": SINGLE},
    "prompt": {"messages": SINGLE, "generation_prompt": True},
    "turns": {"messages": TURNS},
    "turns, prompt": {"messages": TURNS + [user("And 3+3?")], "generation_prompt": True},
    "system": {"messages": [system("You are a pirate."), *TURNS]},
    "system, prompt": {"messages": [system(" Be brief.\n"), user("Hi")], "generation_prompt": True},
    "empty": {"messages": [user(""), assistant("")]},
    "odd": {"messages": [user(ODD), assistant(ODD), user("ok")], "generation_prompt": True},
    "tools": {"messages": [user("Weather?")], "tools": TOOLS, "generation_prompt": True},
    "tool call": {"messages": [user("Weather?"), {"role": "assistant", "tool_calls": [CALL]},
                               {"role": "tool", "content": "{\"temp\": 20}", "name": "get_weather",
                                "tool_call_id": "call00001"}, assistant("20 degrees")], "tools": TOOLS},
    "tool call, content": {"messages": [system("S"), user("Weather?"),
                                        assistant("Let me see.", tool_calls=[CALL, CALL]),
                                        {"role": "tool", "content": "20", "name": "get_weather"}],
                           "tools": TOOLS * 2, "generation_prompt": True},
    "thinking": {"messages": [user("Hi"), assistant("Hello", reasoning_content="They greet.\nSo do I."),
                              user("Bye"), assistant("Goodbye", reasoning_content=" A farewell ")]},
    "thinking in text": {"messages": [user("Hi"), assistant("<think>\nHm.\n</think>\n\nHello"), user("Bye"),
                                      assistant("<think>Leave</think>Goodbye")]},
    "no thinking": {"messages": SINGLE, "generation_prompt": True, "chat_template_kwargs": {"enable_thinking": False}},
    "thinking on": {"messages": [system("S"), *SINGLE], "generation_prompt": True,
                    "chat_template_kwargs": {"enable_thinking": True, "reasoning_effort": "high"}},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image"}]},
                           {"role": "assistant", "content": [{"type": "text", "text": "I see."}]}]},
    "parts, all": {"messages": [{"role": r, "content": [{"type": "text", "text": t}]} for r, t in
                                (("system", "S"), ("user", "Look"), ("assistant", "I see."), ("user", "?"))],
                   "generation_prompt": True},
    "documents": {"messages": SINGLE, "documents": [{"title": "T", "text": "D"}], "generation_prompt": True},
}


class Transformers:
    """What transformers makes of a conversation, on a fixed day."""

    def __init__(self):
        import datetime

        import transformers
        from transformers.utils import chat_template_utils

        class Fixed(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return cls.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), tz or datetime.timezone.utc)

        chat_template_utils.datetime = Fixed
        self.tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(str(MODEL))

    def apply(self, source, row, **more):
        return self.tokenizer.apply_chat_template(copy.deepcopy(row["messages"]), chat_template=source,
                                                  **arguments(row), **more)

    def text(self, source, row):
        try:
            return self.apply(source, row, tokenize=False, add_generation_prompt=row.get("generation_prompt", False))
        except Exception as error:  # whatever a template does
            return error

    def learnt(self, source, row):
        """The ids and what of them is learnt, or None where the template refuses."""
        try:
            got = self.apply(source, row, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            return got["input_ids"], got["assistant_masks"]
        except Exception:
            return None


def arguments(row):
    return {"tools": row.get("tools"), "documents": row.get("documents"), **row.get("chat_template_kwargs", {})}


def ours(path, rows):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    done = subprocess.run([EXCHANGE, str(MODEL), str(path)], input=lines, capture_output=True, encoding="utf-8",
                          check=False)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    if done.returncode not in (0, 1) or not answers:
        return [{"error": f"exit {done.returncode}: {done.stderr}"}] * len(rows)
    return answers * len(rows) if done.returncode else answers


def compare(theirs, path):
    """How many rows are the same, were refused by a feature's name, or differ; and what to say of those."""
    source = path.read_text(encoding="utf-8")
    same = refused = different = both = 0
    notes = []
    for name, row, answer in zip(CONVERSATIONS, CONVERSATIONS.values(), ours(path, CONVERSATIONS.values())):
        wanted = theirs.text(source, row)
        if isinstance(wanted, Exception):
            both += "error" in answer
            if "error" not in answer:
                notes.append(f"{name}: transformers refuses ({wanted}), clora does not")
        elif answer.get("text") == wanted:
            same += 1
        elif "not supported" in answer.get("error", ""):
            refused += 1
            notes.append(f"{name}: {answer['error']}")
        else:
            different += 1
            notes.append(f"{name}: {answer.get('error') or (first_difference(answer['text'], wanted))}")
    return same, refused, different, both, notes


def first_difference(text, wanted):
    at = next((i for i, (a, b) in enumerate(zip(text, wanted)) if a != b), min(len(text), len(wanted)))
    return f"differs at {at}: {text[at - 20:at + 30]!r}, not {wanted[at - 20:at + 30]!r}"


def only_prompts_more(found, mask):
    """Does trl's mask have the same answers, each with some ids before it that the prompt already gives?"""
    extra = [i for i, (a, b) in enumerate(zip(found, mask)) if a != b]
    return all(mask[i] == 1 and (i + 1 in extra or found[i + 1] == 1) for i in extra)


def compare_masks(theirs, plain, training):
    """(same, uncertain, different, with prompts) of the conversations whose text is the same by both templates."""
    counts = [0, 0, 0, 0]
    rows = {n: {**r, "learn": True} for n, r in CONVERSATIONS.items() if not r.get("generation_prompt")}
    by_marks, by_text = ours(training, rows.values()), ours(plain, rows.values())
    for (name, row), marked, found in zip(rows.items(), by_marks, by_text):
        wanted = theirs.learnt(training.read_text(encoding="utf-8"), row)
        if not wanted:
            continue
        ids, mask = wanted
        if "error" in marked or (marked["ids"], marked["target"]) != (ids, mask):
            counts[2] += 1
            print(f"    {training.stem}: {name}: {marked.get('error', 'marks differ')}")
            continue
        if "error" in found or found["text"] != marked["text"] or (plain.stem, name) in DIFFER:
            counts[1] += 1
        elif found["target"] == mask:
            counts[0] += 1
        elif only_prompts_more(found["target"], mask):
            counts[3] += 1
        else:
            counts[2] += 1
            print(f"    {plain.stem}: {name}: learnt "
                  f"{''.join(map(str, found['target']))[-60:]}, not {''.join(map(str, mask))[-60:]}")
    return counts


def main():
    need("transformers", "trl", "jinja2")
    import trl

    theirs = Transformers()
    folders = sys.argv[2:] or os.environ.get("CLORA_TEST_TEMPLATES", "").split(":")
    files = sorted(pathlib.Path(trl.__file__).parent.glob("chat_templates/*.jinja"))
    for folder in filter(None, folders):
        files += sorted(pathlib.Path(folder).glob("*.jinja"))
    totals = [0, 0, 0, 0]
    clean = 0
    for path in files:
        *counts, notes = compare(theirs, path)
        totals = [a + b for a, b in zip(totals, counts)]
        clean += not counts[1] and not counts[2]
        print(f"{path.stem[:48]:48} same {counts[0]:3}  refused {counts[1]:3}  different {counts[2]:3}  "
              f"refused by both {counts[3]:3}")
        for note in notes:
            print(f"    {note[:300]}")
    masks = [0, 0, 0, 0]
    for training in (f for f in files if f.stem.endswith("_training")):
        plain = training.with_stem(training.stem.removesuffix("_training"))
        masks = [a + b for a, b in zip(masks, compare_masks(theirs, plain, training))]
    print(f"{len(files)} templates, {clean} without refusals or differences; {totals[0]} texts the same, "
          f"{totals[1]} refused, {totals[2]} different, {totals[3]} refused by both")
    print(f"what is learnt: {masks[0]} the same, {masks[3]} where trl learns some of the prompt too, "
          f"{masks[1]} uncertain, {masks[2]} different")
    sys.exit(totals[2] > 0 or masks[2] > 0 or totals[1] > 0.03 * totals[0])


main()
