"""Starts a command that ends when its parent does, even if the parent is killed: `python -m cavs.stream.tether PID COMMAND...`

PID is the parent's. The kernel sends SIGTERM to what runs here when the thread that started it is gone (Linux;
elsewhere the command is started without that).
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>; it holds across exec."""
EXIT_ORPHAN = 125


def main(argv: list[str]) -> NoReturn:
    """Becomes the command."""
    parent, *command = argv
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != int(parent):  # it died before we asked
            sys.exit(EXIT_ORPHAN)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
