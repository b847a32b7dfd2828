#!/bin/bash
# Run a command on the Slurm that up.sh starts, and stop that however the command ends, unless it was up before:
#
#     tests/cluster/with_cluster.sh pytest tests/cluster
set -euo pipefail
here=$(dirname "$0")
dir=${CLUSTER_DIR:-/tmp/stronglens-cluster}
pid=$(cat "$dir/run/slurmctld.pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null || trap '"$here/down.sh"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
"$here/up.sh"
. "$dir/env.sh"
"$@"
