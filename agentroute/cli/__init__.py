"""The command line: ``agentroute check | ask | route | explain | collect | train | evaluate``."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command that ``sys.argv`` names, and exit with its code."""
    try:
        from agentroute.cli.app import app

        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by whoever started us: there is nobody to tell
                setattr(sys, name, open(os.devnull, "w"))
        for stream in (sys.stdout, sys.stderr):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="replace")  # an answer may hold what the terminal cannot show
        app(prog_name="agentroute")
    except KeyboardInterrupt:  # while something was still being imported
        sys.exit(130)
