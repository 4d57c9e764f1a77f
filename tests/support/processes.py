"""Starting the command, waiting until it is somewhere, and stopping it at an exact point of its writing."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
import unittest

from support.command import preload

STOP_AT = os.environ.get("CLORA_TEST_STOP_AT", "")  # support/stop_at.c as a shared library
needs_stop_at = unittest.skipUnless(os.path.exists(STOP_AT), "no library to stop the command with")
needs_proc = unittest.skipUnless(os.path.exists("/proc/self/maps"), "no /proc")


def mind_signals():
    """As from a shell, also where the tests run under nohup or in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def start(*arguments, **options):
    """A process that does not outlive the block, so that a test that fails does not wait for it."""
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("preexec_fn", mind_signals)
    with subprocess.Popen([*map(str, arguments)], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process, condition):
    deadline = time.monotonic() + 120
    while not condition(process) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)


def proc(process, name):
    try:
        return pathlib.Path(f"/proc/{process.pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # it has just ended


def has_begun(process):
    """The command has a handler of its own for SIGTERM, or passes over it."""
    masks = [line.split()[1] for line in proc(process, "status").splitlines() if line.startswith(("SigCgt", "SigIgn"))]
    return any(int(mask, 16) >> (signal.SIGTERM - 1) & 1 for mask in masks)


def has_driver(process):
    """A driver that the OpenCL loader knows is there; with PoCL comes LLVM, which installs handlers."""
    vendors = pathlib.Path(os.environ.get("OCL_ICD_VENDORS", "/etc/OpenCL/vendors"))
    files = vendors.glob("*.icd") if vendors.is_dir() else [vendors]
    names = [pathlib.Path(file.read_text(encoding="utf-8").strip()).name for file in files if file.is_file()]
    maps = proc(process, "maps")
    return any(name in maps for name in names)


def has_steps(log):
    """A training has written a step to this log."""
    return lambda _: log.exists() and '"step"' in log.read_text(encoding="utf-8")


def cpu_seconds(process):
    """What it has used of the processors until now."""
    fields = proc(process, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def has_stopped(process):
    return "\nState:\tT" in proc(process, "status")


def stop_at(number, call, path, with_signal=signal.SIGKILL, after=False):
    """The environment in which the command meets the signal at this call for a path that holds `path`."""
    settings = {"LD_PRELOAD": preload(STOP_AT), "STOP_CALL": call, "STOP_PATH": str(path), "STOP_AT": str(number),
                "STOP_WITH": str(int(with_signal))}
    return os.environ | settings | ({"STOP_AFTER": "1"} if after else {})
