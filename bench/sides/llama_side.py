"""One measurement of llama.cpp, through llama-cpp-python, in a process of its own; prints a JSON object.

    llama_side.py prefill|decode FILE.gguf [options]
"""

import argparse
import json
import random

import llama_cpp as llama
from process import best, peak_resident_bytes


def quiet(level, text, user):
    """Called for every line that llama.cpp would print."""


QUIET = llama.llama_log_callback(quiet)


def load(o):
    """(model, context) for as many sequences of as many tokens."""
    llama.llama_log_set(QUIET, None)
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(o.file.encode(), llama.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp cannot load {o.file}")
    p = llama.llama_context_default_params()
    p.n_ctx = o.sequences * ((o.length + 255) // 256 * 256)
    p.n_batch = p.n_ubatch = max(512, o.sequences)
    p.n_seq_max = o.sequences
    p.n_threads = p.n_threads_batch = o.threads
    context = llama.llama_init_from_model(model, p)
    if not context:
        raise SystemExit("llama.cpp has no memory for a context")
    return model, context


class Batch:
    """Tokens of one call, each with its position, its sequence, and whether its logits are wanted."""

    def __init__(self, size):
        self.data = llama.llama_batch_init(size, 0, 1)

    def fill(self, entries):
        self.data.n_tokens = len(entries)
        for i, (token, position, sequence, logits) in enumerate(entries):
            self.data.token[i], self.data.pos[i], self.data.logits[i] = token, position, logits
            self.data.n_seq_id[i], self.data.seq_id[i][0] = 1, sequence

    def decode(self, context):
        if llama.llama_decode(context, self.data) != 0:
            raise SystemExit("llama_decode failed")
        llama.llama_synchronize(context)


def forget(context):
    llama.llama_memory_clear(llama.llama_get_memory(context), True)


def prefill(o, context, token):
    batch = Batch(o.length)
    ids = [token() for _ in range(o.length)]

    def read():
        forget(context)
        for begin in range(0, o.length, 512):
            part = range(begin, min(begin + 512, o.length))
            batch.fill([(ids[t], t, 0, t == o.length - 1) for t in part])
            batch.decode(context)

    return o.length / best(read, o.rounds)


def decode(o, context, token):
    batch = Batch(o.sequences)
    ids = [[token() for _ in range(o.sequences)] for _ in range(o.length)]

    def write():
        forget(context)
        for t, row in enumerate(ids):
            batch.fill([(row[s], t, s, True) for s in range(o.sequences)])
            batch.decode(context)

    return o.sequences * o.length / best(write, o.rounds)


def arguments():
    parser = argparse.ArgumentParser(description="One measurement of llama.cpp.")
    parser.add_argument("what", choices=["prefill", "decode"])
    parser.add_argument("file")
    parser.add_argument("--length", type=int, default=512, help="tokens of a sequence")
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main():
    o = arguments()
    model, context = load(o)
    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    source = random.Random(1)
    rate = {"prefill": prefill, "decode": decode}[o.what](o, context, lambda: source.randrange(vocabulary))
    print(json.dumps({"tokens_per_second": rate, "peak_resident_bytes": peak_resident_bytes()}))


if __name__ == "__main__":
    main()
