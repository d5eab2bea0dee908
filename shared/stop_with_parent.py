"""`python -m shared.stop_with_parent MODULE ARGUMENTS`: runs a module as a program that ends when its parent does.

Standard input is a pipe from the parent. When the parent closes it, or ends in whatever way, the program gets the
signal to stop. This works alike on Linux, macOS and Windows, and leaves no server behind on a taken port.
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    """Runs the module in this process, as its main program."""
    threading.Thread(target=_watch, name="stop-with-parent", daemon=True).start()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _watch() -> None:
    # Not sys.stdin: a thread that waits inside a buffered reader when the interpreter ends is a fatal error.
    while os.read(0, 4096):
        pass
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGTERM)  # never ignored, as SIGINT may be


if __name__ == "__main__":
    main()
