"""What a measured process tells of itself, and how it is started."""

import json
import os
import subprocess
import sys
import tempfile
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
    """The JSON object that a fresh process prints last, with the seconds from its start to its exit, and with its peak
    of resident memory where it does not tell it itself."""
    command = [*map(str, command)]
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, stdout=out, stderr=err, env=environment(threads, extra))
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{err.read()[-3000:]}")
        told = json.loads(out.read().strip().splitlines()[-1])
    return {"peak_resident_bytes": usage.ru_maxrss * 1024} | told | {"process_seconds": seconds}
