"""A static library that shows other objects only its interface: static_library.py OUTPUT CORE OBJCOPY AR LINK...

To a linker, the hidden symbols of a static library are like all others. LINK... puts all objects of CORE into one;
there they become local.
"""

import pathlib
import subprocess
import sys

output, core, objcopy, ar, *link = sys.argv[1:]
whole = pathlib.Path(output).with_suffix(".o")
pathlib.Path(output).unlink(missing_ok=True)  # ar would add to it
all_of_core = ["-Wl,--whole-archive", core, "-Wl,--no-whole-archive"]
subprocess.run([*link, "-r", "-nostdlib", *all_of_core, "-o", whole], check=True)
subprocess.run([objcopy, "--localize-hidden", whole], check=True)
subprocess.run([ar, "rcs", output, whole], check=True)
whole.unlink()
