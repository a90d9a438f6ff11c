#!/bin/sh
# A Slurm cluster of two nodes on this machine, over loopback, without systemd, cgroups or root: for tests.
#
#   cluster.sh start DIR    writes DIR/slurm.conf and starts munged, slurmctld and two slurmd; waits until all answer
#   cluster.sh stop DIR     ends them
#   cluster.sh controller DIR, cluster.sh node DIR NAME    start one of them again
#
# Programs find the cluster by SLURM_CONF=DIR/slurm.conf. Its parts are Debian's packages slurmctld, slurmd,
# slurm-client and munge, or those of another system.
set -eu
command=$1
dir=$(mkdir -p "$2" && cd "$2" && pwd)
export SLURM_CONF="$dir/slurm.conf"
export PATH="$PATH:/usr/sbin:/sbin"
user=$(id -un)
nodes="n1 n2"

ports() {
    python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))'
}

write_conf() {
    set -- $(ports)
    cat > "$SLURM_CONF" << CONF
ClusterName=camflow
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$1
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=2,defer_batch
MaxArraySize=8
MinJobAge=300
KillWait=5
SlurmdTimeout=20
SlurmctldTimeout=20
MessageTimeout=20
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
NodeName=n1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$2 CPUs=4 RealMemory=8000 State=UNKNOWN
NodeName=n2 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$3 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=spare Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=n[1-2] MaxTime=INFINITE State=UP PriorityTier=10
CONF
}

start_munge() {
    if ! [ -s "$dir/munge.key" ]; then
        head -c 1024 /dev/urandom > "$dir/munge.key"
        chmod 400 "$dir/munge.key"
    fi
    munged --force --socket="$dir/munge.sock" --key-file="$dir/munge.key" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/munge.seed"
}

start_controller() { slurmctld "$@"; }

start_node() { slurmd -N "$1"; }

wait_for_nodes() {
    for _ in $(seq 100); do
        ready=$(sinfo --noheader --Node --partition=main --format='%N %t' 2> /dev/null | grep -c -E ' (idle|mix|alloc)$' || true)
        [ "$ready" = 2 ] && return
        sleep 0.2
    done
    echo "cluster.sh: the nodes do not answer; see $dir/*.log" >&2
    exit 1
}

end() {
    for pid in "$dir"/slurmd.*.pid "$dir/slurmctld.pid" "$dir/munged.pid"; do
        [ -s "$pid" ] && kill "$(cat "$pid")" 2> /dev/null || true
    done
}

case $command in
start)
    for program in munged slurmctld slurmd sbatch; do
        command -v $program > /dev/null || {
            echo "cluster.sh: $program is not installed; on Debian: apt install slurmctld slurmd slurm-client munge" >&2
            exit 2
        }
    done
    mkdir -p "$dir/state"
    chmod 755 "$dir"
    [ -s "$SLURM_CONF" ] || write_conf
    start_munge
    start_controller -c
    for node in $nodes; do start_node $node; done
    wait_for_nodes
    ;;
stop) end ;;
controller) start_controller ;;
node) start_node "$3" ;;
*)
    echo "cluster.sh: start, stop, controller or node" >&2
    exit 2
    ;;
esac
