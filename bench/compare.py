#!/usr/bin/env python3
"""Compare clora with PyTorch + PEFT, transformers and llama.cpp on this machine, and with the bounds clora is held to.

    bench/compare.py MODEL [--only training,memory,...] [--rounds 5] [--out result.json] [--picture result.svg]

MODEL is a Hugging Face llama directory, such as scripts/get-smollm2.py makes. Every measurement is a fresh process; the
sides take turns, so that a busy moment falls on all of them, and the median of the rounds counts. A comparison whose
packages (torch, transformers, peft; llama-cpp-python, gguf, numpy) are not installed is left out, and said. Exits 1
when a bound does not hold.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import statistics
import subprocess
import sys
import tempfile

from sides import picture
from sides.jobs import Bench
from sides.sections import SECTIONS, USUAL

PACKAGES = ["torch", "transformers", "peft", "llama-cpp-python"]


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:
            return next(line.split(":", 1)[1].strip() for line in stream if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def versions(clora):
    found = {"clora": subprocess.run([clora, "--version"], capture_output=True, text=True).stdout.split()[-1]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def choose(bench, names):
    """(section, line) of everything that can be measured here; says what cannot."""
    for name in names:
        lines = list(SECTIONS[name](bench.o))
        reasons = {reason for line in lines for job in line.jobs() if (reason := bench.lacks(job))}
        for reason in sorted(reasons):
            print(f"{name}: left out in part or whole: {reason}")
        yield from ((name, line) for line in lines if not any(bench.lacks(job) for job in line.jobs()))


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:48s}\r", end="", file=sys.stderr, flush=True)


def measure(bench, lines, rounds):
    """Rounds of results, each job -> dictionary. Jobs that several lines share run once a round."""
    jobs = list(dict.fromkeys(job for _, line in lines for job in line.jobs()))
    done = []
    for number in range(rounds):
        results = {}
        for at, job in enumerate(jobs):
            progress(f"round {number + 1}/{rounds}, process {at + 1}/{len(jobs)}")
            results[job] = add_plan(bench.run(job))
        done.append(results)
    progress("")
    return done


def add_plan(result):
    """How far the peak of memory is above the plan and a tenth."""
    if "planned_bytes" in result:
        result["over_plan_bytes"] = result["peak_resident_bytes"] - 1.1 * result["planned_bytes"]
    return result


def middle(rounds, job, key):
    return statistics.median(results[job][key] for results in rounds)


def number(value):
    return f"{value / 1e6:,.0f} MB" if abs(value) >= 1e5 else f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def judge(section, line, rounds):
    """What one line came to."""
    values = [line.value(results) for results in rounds]
    value = statistics.median(values)
    result = {
        "section": section,
        "text": line.text,
        "value": value,
        "values": values,
        "least": line.least,
        "most": line.most,
        "aim": line.aim,
        "holds": line.holds(value),
        "shown": number(value),
        "clora": middle(rounds, line.a, line.key),
    }
    if line.b:
        result["other"] = middle(rounds, line.b, line.b_key or line.key)
    if result["holds"] is False and "profile" in rounds[-1][line.a]:
        result["profile"] = rounds[-1][line.a]["profile"]
    return result


def bound(line):
    if line["holds"] is None:
        return ""
    limit = f"at least {line['least']}" if line["most"] is None else f"at most {number(line['most'])}"
    aim = f" (aim {line['aim']})" if line["aim"] else ""
    return f"{limit}{aim}: {'holds' if line['holds'] else 'FALLS SHORT'}"


def print_lines(lines):
    print(f"{'':60s} {'clora':>9s} {'other':>9s} {'ratio':>7s} {'from':>7s} {'to':>7s}")
    for line in lines:
        spread = f"{number(min(line['values'])):>7s} {number(max(line['values'])):>7s}"
        other = number(line["other"]) if "other" in line else ""
        ratio = line["shown"] if other else ""
        print(f"{line['text']:60s} {number(line['clora']):>9s} {other:>9s} {ratio:>7s} {spread}  {bound(line)}")
        if "profile" in line:
            parts = ", ".join(f"{e['kernel']} {1e3 * e['seconds']:.0f} ms" for e in line["profile"][:5])
            print(f"{'':60s} a step: {parts}")


def numbers(text):
    return [int(part) for part in text.split(",")]


def shapes(text):
    return [tuple(int(n) for n in part.split("x", 1)) for part in text.split(",")]


def arguments():
    parser = argparse.ArgumentParser(description="Compare clora with PyTorch + PEFT and llama.cpp.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--only", default=",".join(USUAL),
                        help=f"sections of {','.join(SECTIONS)} (default all but family)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--steps", type=int, default=4, help="steps of a process after its first; the best counts")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of every side")
    parser.add_argument("--shapes", type=shapes, default="4x256,1x512", help="training steps (default 4x256,1x512)")
    parser.add_argument("--ranks", type=numbers, default="8,64", help="of the adapters (default 8,64)")
    parser.add_argument("--prompt", type=int, default=512, help="tokens that are read (default 512)")
    parser.add_argument("--new-tokens", type=int, default=64, help="tokens that are written (default 64)")
    parser.add_argument("--clora", default="build/src/clora", help="(default build/src/clora)")
    parser.add_argument("--clora-bench", default="build/bench/clora-bench", help="(default build/bench/clora-bench)")
    parser.add_argument("--out", help="write everything here as JSON")
    parser.add_argument("--picture", help="write the lines here as SVG")
    options = parser.parse_args()
    options.sections = options.only.split(",")
    for name in options.sections:
        if name not in SECTIONS:
            parser.error(f"--only {name}: the sections are {', '.join(SECTIONS)}")
    if options.rounds < 1 or options.steps < 1 or options.threads < 1:
        parser.error("--rounds, --steps and --threads start at 1")
    return options


def report(options, lines, rounds):
    machine = f"{processor()}, {options.threads} threads"
    found = versions(options.clora)
    jobs = [[{"job": vars(job), "result": result} for job, result in results.items()] for results in rounds]
    everything = {"machine": machine, "versions": found, "model": pathlib.Path(options.model).name}
    everything |= {"rounds": options.rounds, "steps": options.steps, "lines": lines, "processes": jobs}
    title = f"{machine}; " + ", ".join(f"{name} {version}" for name, version in found.items())
    print_lines(lines)
    print(title)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    if options.picture:
        pathlib.Path(options.picture).write_text(picture.svg(title, lines), encoding="utf-8")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))  # and the process that is measured with it
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="clora-compare-") as work:
        bench = Bench(options, work)
        if os.getloadavg()[0] > 0.5:
            print(f"note: the load average is {os.getloadavg()[0]:.1f}; numbers of a busy machine mean little")
        chosen = list(choose(bench, options.sections))
        if not chosen:
            sys.exit("nothing can be compared here")
        rounds = measure(bench, chosen, options.rounds)
    lines = [judge(section, line, rounds) for section, line in chosen]
    report(options, lines, rounds)
    sys.exit(any(line["holds"] is False for line in lines))


if __name__ == "__main__":
    main()
