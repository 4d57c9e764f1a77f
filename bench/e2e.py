#!/usr/bin/env python3
"""The E2E NLG recipe of the LoRA paper (Hu et al. 2021, table 3), on a model of yours: e2e.py MODEL DATA OUT [options]

MODEL  a model directory
DATA   the E2E NLG challenge's e2e-dataset.zip, or a folder with its trainset.csv, devset.csv and testset_w_refs.csv
OUT    a new folder: the data as pairs, the adapter, the texts, scores.json

Trains rank 4, alpha 32 on q_proj and v_proj: AdamW at 2e-4, weight decay 0.01, linear schedule after 500 updates of
warm-up, label smoothing 0.1, dropout 0.1, batches of 8, 5 epochs (or --steps). Then it writes a text for each distinct
row of the test set by 10 beams, length penalty 0.9 and no 4-gram twice, and compares the texts with all references of
their row: BLEU by the sacrebleu package, where it is installed, and ROUGE-L. Both are of lower-case text. What is in
OUT already is not made again.
"""

import argparse
import csv
import importlib.util
import io
import json
import pathlib
import re
import subprocess
import sys
import zipfile

TRAIN = ["--method", "lora", "--rank", "4", "--alpha", "32", "--target-modules", "q_proj,v_proj", "--dropout", "0.1",
         "--lr", "2e-4", "--weight-decay", "0.01", "--schedule", "linear", "--warmup", "500",
         "--label-smoothing", "0.1", "--batch-size", "8"]
GENERATE = ["--beams", "10", "--length-penalty", "0.9", "--no-repeat-ngram", "4", "--max-tokens", "100", "--json"]
FILES = {"train": "trainset.csv", "val": "devset.csv", "test": "testset_w_refs.csv"}
ROUGE_BETA = 1.2  # as in the challenge's own measure


def rows(data, name):
    """(meaning representation, reference) of one of the challenge's files."""
    if data.is_dir():
        text = (data / name).read_text(encoding="utf-8")
    else:
        with zipfile.ZipFile(data) as archive:
            found = [n for n in archive.namelist() if n.rsplit("/", 1)[-1] == name]
            if not found:
                sys.exit(f"{data} holds no {name}")
            text = archive.read(found[0]).decode("utf-8")
    return [(row["mr"], row["ref"]) for row in csv.DictReader(io.StringIO(text))]


def context(meaning):
    """ "name[Blue Spice], area[city centre]" as "name: Blue Spice | area: city centre =>" """
    slots = re.findall(r"([^\[\],]+)\[([^\]]*)\]", meaning)
    return " | ".join(f"{slot.strip()}: {value}" for slot, value in slots) + " =>"


def write_pairs(path, pairs):
    with open(path, "w", encoding="utf-8") as stream:
        for meaning, text in pairs:
            stream.write(json.dumps({"context": context(meaning), "target": " " + text}, ensure_ascii=False) + "\n")


def spread(rows, most):
    """So many at most, or all, from everywhere in the list: neighbours are alike."""
    return rows[:: -(-len(rows) // (most or len(rows)))]


def references(pairs, most):
    """{context: [reference, ...]} of so many distinct rows at most."""
    found = {}
    for meaning, text in pairs:
        found.setdefault(context(meaning), []).append(text)
    return dict(spread(list(found.items()), most))


def run(command, **options):
    print(" ".join(map(str, command)), flush=True)
    subprocess.run(list(map(str, command)), check=True, **options)


# ---- measures ----


def words(text):
    return re.findall(r"\w+|[^\w\s]", text.lower())


def common(a, b):
    """Length of the longest common subsequence."""
    line = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b):
            before, line[j + 1] = line[j + 1], before + 1 if x == y else max(line[j], line[j + 1])
    return line[-1]


def rouge_l(text, texts):
    """Of one text: the F measure of the best precision and the best recall among its references."""
    own = words(text)
    shared = [(common(own, words(other)), len(words(other))) for other in texts]
    precision = max(n / len(own) for n, _ in shared) if own else 0.0
    recall = max(n / length for n, length in shared)
    if precision == 0.0 or recall == 0.0:
        return 0.0
    return (1 + ROUGE_BETA ** 2) * precision * recall / (recall + ROUGE_BETA ** 2 * precision)


def bleu(texts, wanted):
    """In percent, or None without sacrebleu."""
    if importlib.util.find_spec("sacrebleu") is None:
        return None
    import sacrebleu
    most = max(map(len, wanted))
    streams = [[refs[i] if i < len(refs) else None for refs in wanted] for i in range(most)]
    return sacrebleu.corpus_bleu(texts, streams, lowercase=True).score


def score(results, wanted):
    texts = [json.loads(line)["text"].strip() for line in results.read_text(encoding="utf-8").splitlines()]
    if len(texts) != len(wanted):
        sys.exit(f"{results} has {len(texts)} texts; {len(wanted)} are wanted: remove it to make them again")
    rouge = 100 * sum(map(rouge_l, texts, wanted)) / len(texts)
    return {"texts": len(texts), "bleu": bleu(texts, wanted), "rouge_l": rouge}


def main():
    parser = argparse.ArgumentParser(description="The E2E NLG recipe of the LoRA paper.")
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--clora", default="clora", help="the program (default: clora)")
    parser.add_argument("--steps", type=int, help="updates, instead of 5 epochs")
    parser.add_argument("--held", type=int, help="of the development set, so many pairs at most (default: all)")
    parser.add_argument("--texts", type=int, help="of the test set, so many rows at most (default: all)")
    parser.add_argument("--train", default="", help="further options of clora train, such as '--seed 1 --pack'")
    options = parser.parse_args()
    out = options.out
    out.mkdir(exist_ok=True)

    write_pairs(out / "train.jsonl", rows(options.data, FILES["train"]))
    write_pairs(out / "val.jsonl", spread(rows(options.data, FILES["val"]), options.held))
    wanted = references(rows(options.data, FILES["test"]), options.texts)
    with open(out / "test.jsonl", "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"context": text}, ensure_ascii=False) + "\n" for text in wanted)

    adapter, results = out / "adapter", out / "texts.jsonl"
    length = ["--steps", options.steps] if options.steps else ["--epochs", 5]
    if not (adapter / "adapter_config.json").exists():
        run([options.clora, "train", options.model, "--data", out / "train.jsonl", "--val", out / "val.jsonl", "--out",
             adapter, "--log", out / "log.jsonl", *TRAIN, *length, *options.train.split()])
    if not results.exists():
        unfinished = out / "texts.part"
        with open(unfinished, "wb") as stream:
            run([options.clora, "generate", options.model, "--adapter", adapter, "--jsonl", out / "test.jsonl",
                 *GENERATE], stdout=stream)
        unfinished.rename(results)
    scores = score(results, list(wanted.values()))
    (out / "scores.json").write_text(json.dumps(scores) + "\n", encoding="utf-8")
    shown = "not measured: sacrebleu is not installed" if scores["bleu"] is None else f"{scores['bleu']:.2f}"
    print(f"{scores['texts']} texts: BLEU {shown}, ROUGE-L {scores['rouge_l']:.2f}")


if __name__ == "__main__":
    main()
