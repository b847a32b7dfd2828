"""The sidecar: python -m snakemake_executor_plugin_pbs PID STARTED."""

import sys

from .sidecar import main

sys.exit(main(sys.argv[1:]))
