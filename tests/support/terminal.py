"""Commands on a terminal of so many columns: what is drawn there."""

import fcntl
import os
import re
import struct
import subprocess
import termios

from support.command import CLORA

DRAWN = "\r\033[K"  # begins what is drawn over in the last line


def on_terminal(columns, *arguments, folder=None, **environment):
    """(exit status, all that came, with its escape sequences)."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([CLORA, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                               cwd=folder, env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment})
    os.close(theirs)
    text = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while piece := terminal.read(4096):
                text += piece
        except OSError:
            pass  # that is how the end of a terminal is told
    return process.wait(), text.decode().replace("\r\n", "\n")


def lines_of(text):
    """What stays in the end."""
    return [line.rpartition(DRAWN)[2] for line in text.split("\n")]


def drawn_of(text):
    """What was shown in the meantime, without what cleared it."""
    return [part for line in text.split("\n") for part in line.split(DRAWN)[1:-1] if part]


def widest(text):
    return max(len(re.sub("\033\\[\\d*m", "", part)) for part in lines_of(text) + drawn_of(text))
