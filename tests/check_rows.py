"""Compare the ids and targets of rows with those of trl's SFTTrainer: check_rows.py CLORA

Each form that trl has is written as a file, read by both with the bundled model's tokenizer, and must give the same ids
and the same targets (but for a sequence's first id, which nothing predicts). Skips where trl is missing.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.packages import need

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
CLORA = sys.argv[1]
MODEL = pathlib.Path(__file__).parent.parent / "models" / "tiny"
CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
          " + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
ALPACA = ("Below is an instruction that describes a task{}. Write a response that appropriately completes the request."
          "\n\n### Instruction:\n{}{}\n\n### Response:\n")


def said(role, content):
    return {"role": role, "content": content}


def alpaca(row):
    about = row.get("input")
    return ALPACA.format(", paired with an input that provides further context" if about else "", row["instruction"],
                         f"\n\n### Input:\n{about}" if about else "")


PAIRS = [{"prompt": "The sky is", "completion": " blue."}, {"prompt": "Name an animal.\n", "completion": "A dog."},
         {"prompt": "2 + 2 =", "completion": " 4 "}, {"prompt": "Q: why? A:", "completion": " naïve café"}]
INSTRUCTIONS = [{"instruction": "Name the animal.", "input": "It barks.", "output": "A dog."},
                {"instruction": "Sing.", "input": "", "output": "La la"}]
TALKS = [{"prompt": [said("user", "Hi")], "completion": [said("assistant", "Hello there.")]},
         {"prompt": [said("system", "Be brief."), said("user", "a"), said("assistant", "b"), said("user", "c")],
          "completion": [said("assistant", "d\ne")]},
         {"prompt": [said("user", "Hi")], "completion": [said("assistant", "a"), said("user", "b"),
                                                         said("assistant", "c")]}]
# name: rows for clora, options, the same rows as trl has them
CASES = {
    "text": ([{"text": "once upon a time"}, {"text": " two dogs "}], [], None),
    "prompt and completion": (PAIRS, [], None),
    "context and target": ([{"context": r["prompt"], "target": r["completion"]} for r in PAIRS], [], PAIRS),
    "question and answer": ([{"question": r["prompt"], "answer": r["completion"]} for r in PAIRS], [], PAIRS),
    "own keys": ([{"a": r["prompt"], "b": r["completion"]} for r in PAIRS], ["--keys", "a,b"], PAIRS),
    "alpaca": (INSTRUCTIONS, ["--template", "alpaca"],
               [{"prompt": alpaca(r), "completion": r["output"]} for r in INSTRUCTIONS]),
    "chatml": (INSTRUCTIONS, ["--template", "chatml"],
               [{"prompt": [said("user", r["instruction"] + ("\n" + r["input"] if r["input"] else ""))],
                 "completion": [said("assistant", r["output"])]} for r in INSTRUCTIONS]),
    "lists of messages": (TALKS, ["--template", "chatml"], None),
}


def of_clora(model, rows, options):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
        file.flush()
        out = subprocess.run([CLORA, "inspect", file.name, "--model", model, "--show", "100", "--json", "--quiet",
                              *options], check=True, capture_output=True, text=True).stdout
    return [(row["ids"], row["target"]) for row in json.loads(out)["rows"]]


def of_trl(model, rows, folder):
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = CHATML
    args = SFTConfig(output_dir=folder, use_cpu=True, bf16=False, report_to=[], max_length=None, disable_tqdm=True)
    trainer = SFTTrainer(AutoModelForCausalLM.from_pretrained(model), args=args, processing_class=tokenizer,
                         train_dataset=Dataset.from_list(rows))
    return [(row["input_ids"], [int(label >= 0) for label in row["labels"]]) for row in trainer.train_dataset]


def main():
    need("trl")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        model = shutil.copytree(MODEL, pathlib.Path(folder) / "model")
        for name, (rows, options, same) in CASES.items():
            ours, theirs = of_clora(model, rows, options), of_trl(model, same or rows, folder)
            equal = [(a, x[1:]) for a, x in ours] == [(b, y[1:]) for b, y in theirs]
            print(f"{name:24}{len(rows)} rows: {'the same' if equal else 'DIFFERENT'}")
            if not equal:
                failed += 1
                print("  clora", ours, "\n  trl  ", theirs)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
