#!/usr/bin/env python3
"""Delete jobs.

Usage: cancel.py EXTERNAL_ID...
"""

import signal
import sys

import pbs_server
from pbs_records import ExternalId


def main(arguments: list[str]) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not stop the first
    pbs_server.delete([ExternalId.parse(text).job_id for text in arguments])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
