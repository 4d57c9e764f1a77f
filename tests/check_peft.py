"""Adapters and merged models that clora writes, read by PEFT and transformers: check_peft.py PEFT_EXCHANGE [FIXTURES]

Every directory that peft_exchange writes must load without a complaint and give clora's logits within 1e-4 relative
(the largest difference over the largest value). PEFT's own adapters, saved again by clora, must hold the same float32
values. Needs torch, transformers and peft: exits with 77 (skipped) without them.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.packages import need

TOLERANCE = 1e-4
REAL = (11, 8)  # what follows in a row is padding, which nobody compares


def relative(actual, expected):
    worst = 0.0
    for row, n in enumerate(REAL):
        a, b = actual[row, :n].double(), expected[row, :n].double()
        worst = max(worst, ((a - b).abs().max() / b.abs().max()).item())
    return worst


def check_case(folder, fixtures, ids):
    """Problems of one adapter, as texts."""
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    expected = load_file(folder / "logits.safetensors")["logits"]
    settings = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    base = AutoModelForCausalLM.from_pretrained(settings["base_model_name_or_path"], dtype=torch.float32).eval()
    with torch.no_grad(), warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        untouched = base(input_ids=ids).logits
        model = PeftModel.from_pretrained(base, folder / "adapter").eval()
        compared = {"adapter": model(input_ids=ids).logits[:, -ids.shape[1]:]}  # those of a prompt's rows come first
        if (folder / "merged").exists():
            merged = AutoModelForCausalLM.from_pretrained(folder / "merged", dtype=torch.float32).eval()
            compared["merged"] = merged(input_ids=ids).logits
    for complaint in complaints:
        if "adapter keys" in str(complaint.message):  # missing or unexpected
            yield str(complaint.message)
    for name, logits in compared.items():
        error = relative(logits, expected)
        print(f"{folder.name:20} {name:8} {error:.1e}")
        if not error <= TOLERANCE:
            yield f"{name}: relative error {error:g}"
    if relative(untouched, expected) < 1e-2:
        yield "the adapter changes nothing, so that the comparison says nothing"
    own = fixtures / folder.name / "adapter_model.safetensors"
    if own.exists():
        a = {k: v for k, v in load_file(own).items() if not k.endswith(".base_layer.weight")}  # the base's
        b = load_file(folder / "adapter" / "adapter_model.safetensors")
        if a.keys() != b.keys() or any(not torch.equal(a[k], b[k]) for k in a):
            yield "tensors differ from those of the file that was loaded"


def check_classifier(folder, fixtures, ids):
    """Problems of the adapter that tells labels."""
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import LlamaForSequenceClassification

    expected = load_file(fixtures / "reference" / "tiny-llama-classify.safetensors")["logits"]
    base = LlamaForSequenceClassification.from_pretrained(fixtures / "tiny-llama", dtype=torch.float32, pad_token_id=0,
                                                          num_labels=expected.shape[1])
    with torch.no_grad():
        logits = PeftModel.from_pretrained(base.eval(), folder / "adapter").eval()(input_ids=ids).logits
    error = ((logits - expected).abs().max() / expected.abs().max()).item()
    print(f"{folder.name:20} {'labels':8} {error:.1e}")
    if not error <= TOLERANCE:
        yield f"labels: relative error {error:g}"


def main():
    need("torch", "transformers", "peft")
    import torch

    tool = pathlib.Path(sys.argv[1]).resolve()
    default = pathlib.Path(__file__).resolve().parent / "fixtures"
    given = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("CLORA_TEST_FIXTURES", default)
    fixtures = pathlib.Path(given).resolve()
    ids = torch.tensor(json.loads((fixtures / "reference" / "tiny-llama.json").read_text())["input_ids"])
    torch.set_num_threads(1)
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        names = subprocess.run([tool, fixtures, scratch], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for name in names:
            for problem in check_case(pathlib.Path(scratch) / name, fixtures, ids):
                print(f"{name}: {problem}")
                failed += 1
        for problem in check_classifier(pathlib.Path(scratch) / "tiny-llama-classify", fixtures, ids):
            print(problem)
            failed += 1
    print(f"{len(names)} adapters, {failed} problems")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
