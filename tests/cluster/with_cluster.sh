#!/bin/bash
# Run a command on the Slurm that up.sh starts, and stop that however the command ends:
#
#     tests/cluster/with_cluster.sh pytest tests/cluster
set -euo pipefail
here=$(dirname "$0")
trap '"$here/down.sh"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
"$here/up.sh"
. "${CLUSTER_DIR:-/tmp/stronglens-cluster}/env.sh"
"$@"
