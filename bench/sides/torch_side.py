"""One measurement of PyTorch with transformers and PEFT in a process of its own; prints a JSON object.

    torch_side.py train|prefill|decode|forward|dx MODEL [options]

forward and dx are those of one linear layer (N, K) with a low-rank term, over length rows; they do not look at MODEL.
"""

import argparse
import json
import time

import torch
import transformers
from process import best, peak_resident_bytes

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def load(o):
    torch.set_num_threads(o.threads)
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        o.model, dtype=DTYPES[o.dtype], attn_implementation="sdpa"
    )
    return model, torch.randint(0, model.config.vocab_size, (o.batch_size, o.length))


def adapted(model, o):
    import peft

    targets = o.target_modules if o.target_modules == "all-linear" else o.target_modules.split(",")
    config = peft.LoraConfig(
        r=o.rank, lora_alpha=16, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM"
    )
    if o.checkpointing:
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    return peft.get_peft_model(model, config)


def train(o):
    model, ids = load(o)
    model.config.use_cache = False
    if o.method == "lora":
        model = adapted(model, o)
    elif o.checkpointing:
        model.gradient_checkpointing_enable()
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, weight_decay=0.0)
    seconds = []
    for _ in range(o.rounds + o.warm_up):
        begin = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        if o.clip > 0:
            torch.nn.utils.clip_grad_norm_(parameters, o.clip)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
    seconds = seconds[o.warm_up :]
    return {"tokens_per_second": ids.numel() / min(seconds), "seconds": seconds}


def prefill(o):
    model, ids = load(o)
    model.eval()
    with torch.inference_mode():
        return {"tokens_per_second": ids.numel() / best(lambda: model(input_ids=ids, logits_to_keep=1), o.rounds)}


def decode(o):
    model, ids = load(o)
    model.eval()

    def write():
        cache = transformers.DynamicCache()
        for t in range(o.length):
            model(input_ids=ids[:, t : t + 1], past_key_values=cache, use_cache=True)

    with torch.inference_mode():
        return {"tokens_per_second": ids.numel() / best(write, o.rounds)}


def layer(o):
    """x (length, K), dy (length, N), W0 (N, K), A (rank, K), B (N, rank)."""
    torch.set_num_threads(o.threads)
    n, k = o.layer
    sizes = (o.length, k), (o.length, n), (n, k), (o.rank, k), (n, o.rank)
    return [torch.randn(size, dtype=DTYPES[o.dtype]) for size in sizes]


def forward(o):
    x, _, w, a, b = layer(o)
    with torch.inference_mode():
        seconds = best(lambda: torch.nn.functional.linear(x, w) + (x @ a.T) @ b.T * 2.0, o.rounds)
    return {"milliseconds": 1e3 * seconds}


def dx(o):
    _, dy, w, a, b = layer(o)
    with torch.inference_mode():
        seconds = best(lambda: dy @ w + ((dy * 2.0) @ b) @ a, o.rounds)
    return {"milliseconds": 1e3 * seconds}


WORK = {"train": train, "prefill": prefill, "decode": decode, "forward": forward, "dx": dx}


def arguments():
    parser = argparse.ArgumentParser(description="One measurement of PyTorch.")
    parser.add_argument("what", choices=WORK)
    parser.add_argument("model")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--method", choices=("lora", "full"), default="lora")
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--layer", type=int, nargs=2, metavar=("N", "K"))
    parser.add_argument("--target-modules", default="all-linear")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--warm-up", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    options = arguments()
    result = WORK[options.what](options)
    print(json.dumps(result | {"peak_resident_bytes": peak_resident_bytes()}))
