#!/usr/bin/env python3
"""Makes models/tiny's tokenizer from the text of make_text.py: make_tokenizer.py TEXT --out tokenizer.json

Byte-level BPE: digits one by one, GPT-2's word splitting, a bos before every text. Needs the tokenizers package.
"""

import argparse

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from make_text import BETWEEN

BOS, EOS = "<s>", "</s>"
VOCABULARY = 2048


def make(documents):
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


def main():
    parser = argparse.ArgumentParser(description="Make the bundled model's tokenizer.")
    parser.add_argument("text", help="train.txt")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    with open(args.text, encoding="utf-8", newline="\n") as file:
        make(file.read().split(BETWEEN)).save(args.out)


if __name__ == "__main__":
    main()
