#!/usr/bin/env python3
"""Makes models/tiny from nothing: the text, the tokenizer, the model.

    python3 models/recipe/make_tiny.py --out models/tiny

Needs torch, transformers, tokenizers, safetensors and the files of Debian's wordnet-base. One processor core takes
about half an hour. README.md beside this file says more.
"""

import argparse
import json
import math
import os
import random
import re
import time

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM

import synthetic
import wordnet

BOS, EOS = "<s>", "</s>"
VOCABULARY = 2048
POSITIONS = 256
HELD_OUT = 100  # one document in so many is never trained on


def options():
    parser = argparse.ArgumentParser(description="Train the bundled model from scratch.")
    parser.add_argument("--out", required=True, help="directory to write the model to")
    parser.add_argument("--wordnet", default="/usr/share/wordnet", help="directory with data.noun and the others")
    parser.add_argument("--tokenizer", help="an existing tokenizer.json to keep, instead of training one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3200, help="optimizer steps of 2048 tokens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--save-every", type=int, default=0, help="write the model every so many steps too")
    return parser.parse_args()


def make_documents(args, tokens_wanted):
    """Glosses, each at most once, and as much of our own text as the steps need, shuffled together."""
    rng = random.Random(args.seed)
    entries = list(wordnet.read(args.wordnet))
    rare = wordnet.rare_words(entries)
    glosses = [wordnet.document(rng, entry) for entry in entries]
    rng.shuffle(glosses)
    glosses = glosses[: tokens_wanted // 80]  # about a third of the tokens
    ours, characters = [], 0
    target = tokens_wanted * 3.6 - sum(map(len, glosses))  # a token is a little under 3.6 characters of our text
    while characters < target:
        ours.append(synthetic.document(rng, rare))
        characters += len(ours[-1])
    documents = glosses + ours
    rng.shuffle(documents)
    print(f"{len(glosses)} glosses, {len(ours)} documents of our own", flush=True)
    return documents


def make_tokenizer(documents):
    """Byte-level BPE: digits one by one, GPT-2's word splitting, a bos before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS],
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(documents, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def encode(tokenizer, documents):
    """One long row of ids: bos, text, eos, bos, text, eos."""
    eos = tokenizer.token_to_id(EOS)
    ids = []
    for start in range(0, len(documents), 1000):
        for encoding in tokenizer.encode_batch(documents[start : start + 1000]):
            ids.extend(encoding.ids)
            ids.append(eos)
    return torch.tensor(ids)


def configuration(tokenizer):
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=POSITIONS,
        rms_norm_eps=1e-5,
        rope_theta=10000.0,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=tokenizer.token_to_id(BOS),
        eos_token_id=tokenizer.token_to_id(EOS),
    )


def save(model, tokenizer, out):
    os.makedirs(out, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save(os.path.join(out, "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "model_max_length": POSITIONS,
        "clean_up_tokenization_spaces": False,
    }
    with open(os.path.join(out, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def batches(ids, steps, rng):
    """Windows at random places: 16 of 128 ids at first, 8 of 256 in the last sixth, which teaches the far positions."""
    for step in range(steps):
        rows, length = (8, 256) if step >= steps * 5 // 6 else (16, 128)
        starts = [rng.randrange(len(ids) - length) for _ in range(rows)]
        yield torch.stack([ids[start : start + length] for start in starts])


@torch.no_grad()
def validation_loss(model, ids):
    model.eval()
    windows = ids[: len(ids) // POSITIONS * POSITIONS].view(-1, POSITIONS)[:200]
    losses = [model(input_ids=part, labels=part).loss.item() * len(part) for part in windows.split(8)]
    model.train()
    return sum(losses) / len(windows)


def train(args, model, tokenizer, training, validation):
    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=args.lr,
        betas=(0.9, 0.95),
        fused=True,
    )
    began, recent = time.time(), []
    for step, rows in enumerate(batches(training, args.steps, random.Random(args.seed + 1)), 1):
        rate = min(step / 100, 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        loss = model(input_ids=rows, labels=rows).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(loss.item())
        if step % 100 == 0 or step == args.steps:
            print(f"step {step} loss {sum(recent) / len(recent):.4f} seconds {time.time() - began:.0f}", flush=True)
            recent = []
        if step == args.steps or args.save_every and step % args.save_every == 0:
            print(f"step {step} validation loss {validation_loss(model, validation):.4f}", flush=True)
            save(model, tokenizer, args.out)


def notice(directory, out):
    """WordNet's licence wants its notice on what is made from it: the head of every data file, line numbers off."""
    with open(os.path.join(directory, "data.noun"), encoding="latin-1") as lines:
        head = [re.sub(r"^ *\d+ ?", "", line).rstrip() for line in lines if line.startswith("  ")]
    with open(os.path.join(out, "NOTICE"), "w", encoding="utf-8") as file:
        file.write(
            "The weights and the tokenizer in this directory were made from, among others, the definitions and\n"
            "examples of WordNet 3.0, changed in their wording around them. WordNet's notice:\n\n"
        )
        file.write("\n".join(head).strip() + "\n")


def main():
    args = options()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if args.threads == 1 else "true"
    documents = make_documents(args, args.steps * 2048)
    held, kept = documents[::HELD_OUT], [d for i, d in enumerate(documents) if i % HELD_OUT]
    tokenizer = Tokenizer.from_file(args.tokenizer) if args.tokenizer else make_tokenizer(kept)
    training, validation = encode(tokenizer, kept), encode(tokenizer, held)
    print(f"{len(training)} ids to train on, {len(validation)} held out", flush=True)
    model = LlamaForCausalLM(configuration(tokenizer))
    print(f"{model.num_parameters()} parameters", flush=True)
    train(args, model, tokenizer, training, validation)
    notice(args.wordnet, args.out)


if __name__ == "__main__":
    main()
