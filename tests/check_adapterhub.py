"""Bottleneck adapters against AdapterHub's library: check_adapterhub.py CLORA [FIXTURES]

Each golden adapter, and each that clora trains, must load in `adapters` without a complaint; the golden ones must give
there the logits of the fixtures, and clora's the loss that clora measures, within 1e-4. What AdapterHub saves of them
again must have the same tensors and settings. Needs torch and adapters, whose versions of transformers read no RoPE of
transformers 5: it is set here. Exits with 77 (skipped) without them.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from support.packages import need

TOLERANCE = 1e-4
REAL = (11, 8)  # what follows in a row is padding, which nobody compares


def base_of(folder):
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(folder)
    config.rope_theta = json.loads((folder / "config.json").read_text())["rope_parameters"]["rope_theta"]
    return transformers.AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32)


def hub_logits(base, directory, ids, saved):
    """Logits with the adapter, and problems that loading or saving it showed."""
    import adapters
    import torch

    model = base_of(base)
    adapters.init(model)
    info = {}
    name = model.load_adapter(str(directory), use_safetensors=True, loading_info=info, set_active=True)
    model.save_adapter(str(saved), name, use_safetensors=True)
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor(ids)).logits
    return logits, [f"{key}: {value}" for key, value in info.items() if value]


def differences(a, b):
    """Of two directories of adapters: what AdapterHub saves is what it read."""
    import torch
    from safetensors.torch import load_file

    x, y = load_file(a / "adapter.safetensors"), load_file(b / "adapter.safetensors")
    if x.keys() != y.keys() or any(not torch.equal(x[k], y[k]) for k in x):
        yield "tensors differ from those that were loaded"
    x, y = (json.loads((folder / "adapter_config.json").read_text()) for folder in (a, b))
    for key in ("config", "hidden_size", "model_class", "model_type", "name"):
        if x[key] != y[key]:
            yield f"{key} was {x[key]} and is {y[key]}"


def check_golden(fixtures, case, scratch):
    from safetensors.torch import load_file

    reference = json.loads((fixtures / "reference" / f"{case}.json").read_text())
    expected = load_file(fixtures / "reference" / f"{case}.safetensors")["logits_adapter"]
    logits, problems = hub_logits(fixtures / reference["model"], fixtures / case, reference["input_ids"],
                                  scratch / "saved")
    worst = max(((logits[row, :n] - expected[row, :n]).abs().max() / expected[row, :n].abs().max()).item()
                for row, n in enumerate(REAL))
    print(f"{case:22} {worst:.1e}")
    if not worst <= TOLERANCE:
        problems.append(f"relative error {worst:g}")
    return problems + list(differences(fixtures / case, scratch / "saved"))


def output(*arguments):
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE).stdout


def check_trained(clora, model, style, scratch):
    """A pair's loss by clora and by AdapterHub, with an adapter that clora trained."""
    import torch

    data = scratch / "pairs.jsonl"
    data.write_text('{"context":"once upon a time","target":" there was a lion"}\n')
    output(clora, "train", model, "--method", "adapter", "--bottleneck", "7", "--bottleneck-style", style, "--lr",
           "0.02", "--steps", "6", "--data", data, "--out", scratch / "adapter", "--quiet")
    loss = json.loads(output(clora, "eval", model, "--adapter", scratch / "adapter", "--data", data, "--eos", "never",
                             "--json"))["loss"]
    short, ids = (json.loads(output(clora, "tokenize", model, "--special", text))
                  for text in ("once upon a time", "once upon a time there was a lion"))
    logits, problems = hub_logits(model, scratch / "adapter", [ids], scratch / "saved")
    rows = torch.log_softmax(logits[0].double(), -1)[len(short) - 1:-1]
    hub = -rows[torch.arange(len(rows)), torch.tensor(ids[len(short):])].mean().item()
    print(f"trained, {style:13} {abs(hub - loss):.1e}")
    if not abs(hub - loss) <= TOLERANCE * abs(loss):
        problems.append(f"a loss of {hub:g} there and of {loss:g} here")
    return problems + list(differences(scratch / "adapter", scratch / "saved"))


def main():
    need("torch", "adapters")
    import torch

    clora = pathlib.Path(sys.argv[1]).resolve()
    default = pathlib.Path(__file__).resolve().parent / "fixtures"
    fixtures = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else os.environ.get("CLORA_TEST_FIXTURES", default))
    tiny = pathlib.Path(__file__).resolve().parent.parent / "models" / "tiny"
    torch.set_num_threads(1)
    failed = 0
    checks = [(check_golden, fixtures.resolve(), f"tiny-{kind}-{style}") for kind in ("llama", "qwen2")
              for style in ("pfeiffer", "houlsby")]
    checks += [(check_trained, clora, tiny, style) for style in ("pfeiffer", "houlsby")]
    for check, *arguments in checks:
        with tempfile.TemporaryDirectory() as scratch:
            for problem in check(*arguments, pathlib.Path(scratch)):
                failed += 1
                print(f"{arguments[-1]}: {problem}")
    sys.exit(1 if failed else 0)


main()
