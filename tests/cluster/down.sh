#!/bin/bash
# Stop what up.sh has started, by its process ids, and remove its files.
dir=${CLUSTER_DIR:-/tmp/stronglens-cluster}
export SLURM_CONF=$dir/etc/slurm.conf

[ -s "$dir/run/slurmctld.pid" ] && timeout 5 scancel --me 2> /dev/null
for _ in $(seq 25); do
    [ -z "$(timeout 2 squeue -h 2> /dev/null)" ] && break
    sleep 0.2
done
for daemon in slurmd slurmctld slurmdbd mariadbd munged; do
    [ -s "$dir/run/$daemon.pid" ] || continue
    pid=$(cat "$dir/run/$daemon.pid")
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$daemon" ] || continue
    kill "$pid" 2> /dev/null
    for _ in $(seq 50); do
        kill -0 "$pid" 2> /dev/null || break
        sleep 0.2
    done
    kill -9 "$pid" 2> /dev/null
done
rm -rf "$dir"/{bin,etc,run,log,state,spool,dev,munge,db,env.sh}
