#!/bin/bash
# Start a Slurm of one node on this machine, with Torque's commands (qsub, qstat, qdel) and two pretended GPUs:
#
#     apt-get install -y --no-install-recommends munge slurmctld slurmd slurm-client slurm-wlm-torque
#     tests/cluster/up.sh && . /tmp/stronglens-cluster/env.sh
#     pytest tests/cluster
#     tests/cluster/down.sh
#
# make test-system does all but the first. Needs root, but neither systemd nor a database. All its files lie in
# $CLUSTER_DIR; it listens on $CLUSTER_PORT and the next one. up.sh --check only says what is missing.
#
# CLUSTER_ACCOUNTING=1 keeps accounts in a database, too (apt-get install slurmdbd mariadb-server), and listens on a
# third port.
set -euo pipefail
dir=${CLUSTER_DIR:-/tmp/stronglens-cluster}
port=${CLUSTER_PORT:-16817}
node=$(hostname -s)
accounting=${CLUSTER_ACCOUNTING:-}

missing=$(for command in munged slurmctld slurmd sinfo qsub ${accounting:+slurmdbd mariadbd}; do command -v "$command" > /dev/null || echo "$command"; done)
if [ -n "$missing" ]; then
    echo "up.sh: not here:" $missing >&2
    echo "    apt-get install -y --no-install-recommends munge slurmctld slurmd slurm-client slurm-wlm-torque" \
        "${accounting:+slurmdbd mariadb-server}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "up.sh: expected to be run by root: Slurm's daemons start jobs as any user" >&2
    exit 1
fi
[ "${1:-}" = --check ] && exit

mkdir -p "$dir"/{bin,etc,run,log,state,spool,dev,munge,db}
chmod 755 "$dir" "$dir"/*/

# slurmd wants character devices; nothing opens these copies of /dev/null.
for i in 0 1; do
    [ -c "$dir/dev/nvidia$i" ] || mknod "$dir/dev/nvidia$i" c 1 3
done
echo "NodeName=$node Name=gpu Type=fake File=$dir/dev/nvidia[0-1]" > "$dir/etc/gres.conf"
# Gives jobs PBS_JOBID and the like.
echo "optional spank_pbs.so" > "$dir/etc/plugstack.conf"

storage=AccountingStorageType=accounting_storage/none
if [ -n "$accounting" ]; then
    storage="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$dir/run/munge.socket"
    (umask 077; cat > "$dir/etc/slurmdbd.conf") <<EOF
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
DbdAddr=127.0.0.1
DbdHost=$node
DbdPort=$((port + 2))
SlurmUser=root
PidFile=$dir/run/slurmdbd.pid
LogFile=$dir/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=accounts
EOF
fi

# The node says it has 64 cores and 400 GB, so that the rules' requests fit.
cat > "$dir/etc/slurm.conf" <<EOF
ClusterName=stronglens
SlurmctldHost=$node(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort=$port
SlurmdPort=$((port + 1))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,sched_min_interval=100000
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=5
JobAcctGatherParams=OverMemoryKill
$storage
JobCompType=jobcomp/none
ReturnToService=2
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
KillWait=15
MinJobAge=300
PlugStackConfig=$dir/etc/plugstack.conf
NodeName=$node NodeAddr=127.0.0.1 CPUs=64 Boards=1 SocketsPerBoard=2 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=400000 Gres=gpu:fake:2 State=UNKNOWN
PartitionName=DEFAULT Nodes=$node MaxTime=2-00:00:00 DefaultTime=01:00:00 DefMemPerCPU=1000 GraceTime=10 State=UP
PartitionName=long Default=YES MaxTime=7-00:00:00
PartitionName=gpu
PartitionName=urgent PriorityTier=10 PreemptMode=OFF
EOF

# Snakemake's Slurm plugin drops all SLURM variables before it calls srun, which then looks in /etc/slurm.
printf '#!/bin/sh\nSLURM_CONF=%q exec /usr/bin/srun "$@"\n' "$dir/etc/slurm.conf" > "$dir/bin/srun"
chmod +x "$dir/bin/srun"
printf 'export CLUSTER_DIR=%q SLURM_CONF=%q\nexport PATH=%q:$PATH\n' "$dir" "$dir/etc/slurm.conf" "$dir/bin" > "$dir/env.sh"
. "$dir/env.sh"

alive() {
    [ -s "$1" ] && kill -0 "$(cat "$1")" 2> /dev/null
}

if ! alive "$dir/run/munged.pid"; then
    [ -s "$dir/munge/munge.key" ] || (umask 077; head -c 1024 /dev/urandom > "$dir/munge/munge.key")
    rm -f "$dir"/run/munge.socket*
    munged --force --key-file="$dir/munge/munge.key" --socket="$dir/run/munge.socket" \
        --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
fi
if [ -n "$accounting" ]; then
    # The client library of slurmdbd reads this.
    export MYSQL_UNIX_PORT=$dir/run/mariadb.socket
    if ! alive "$dir/run/mariadbd.pid"; then
        [ -d "$dir/db/mysql" ] || mariadb-install-db --no-defaults --user=root --datadir="$dir/db" > "$dir/log/mariadb.log" 2>&1
        setsid mariadbd --no-defaults --user=root --datadir="$dir/db" --socket="$MYSQL_UNIX_PORT" --skip-networking \
            --pid-file="$dir/run/mariadbd.pid" --innodb-buffer-pool-size=32M >> "$dir/log/mariadb.log" 2>&1 < /dev/null &
        for _ in $(seq 100); do [ -S "$MYSQL_UNIX_PORT" ] && break; sleep 0.2; done
    fi
    alive "$dir/run/slurmdbd.pid" || slurmdbd > /dev/null 2>&1 < /dev/null
    for _ in $(seq 100); do timeout 5 sacctmgr -n list cluster > /dev/null 2>&1 && break; sleep 0.2; done
    timeout 20 sacctmgr -i add cluster stronglens > /dev/null 2>&1 || true # it may be there
fi
alive "$dir/run/slurmctld.pid" || slurmctld > /dev/null 2>&1 < /dev/null
alive "$dir/run/slurmd.pid" || slurmd > /dev/null 2>&1 < /dev/null

for _ in $(seq 60); do
    case "$(timeout 2 sinfo -h -N -n "$node" -p long -o %T 2> /dev/null)" in
        idle | mixed | allocated) exit 0 ;;
    esac
    sleep 0.3
done
echo "up.sh: Slurm did not come up; its logs are in $dir/log" >&2
grep -hE 'fatal|error' "$dir"/log/slurm*.log | tail -5 >&2
exit 1
