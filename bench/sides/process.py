"""What a measured process tells of itself, and how it is started."""

import json
import os
import subprocess
import sys
import time


def peak_resident_bytes():
    """VmHWM of this process."""
    with open("/proc/self/status", encoding="utf-8") as stream:
        return next(int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM:"))


def best(action, rounds):
    """Shortest time of an action after a first one."""
    action()
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def environment(threads, extra=None):
    """So many threads for all of them: PyTorch and others through OpenMP, PoCL by its own names."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT", "POCL_CPU_MAX_CU_COUNT")
    return os.environ | dict.fromkeys(names, str(threads)) | {"TOKENIZERS_PARALLELISM": "false"} | (extra or {})


def run(command, threads, extra=None):
    """The JSON object that a fresh process prints last, with the seconds from its start to its exit."""
    begin = time.perf_counter()
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment(threads, extra))
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"process_seconds": seconds}
