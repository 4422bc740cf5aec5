#!/bin/busybox sh
# The first process of the guest: prepares the case that the kernel's command line names (netstat.case=NAME), runs the programs
# of /tests in order, reports to the second serial line, and switches the machine off. See docs/kernels.md.
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/root TERM=dumb LC_ALL=C.UTF-8 TMPDIR=/tmp USER=root
mount -t proc proc /proc
word() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1=//p" | tail -n 1; }
case_name=$(word netstat.case)
export NETSTAT_KERNELS_CASE="${case_name:-plain}"
# Emulation is slow.
export NETSTAT_TESTKIT_PATIENCE=10
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs run /run
mount -t securityfs security /sys/kernel/security 2>/dev/null
if [ "$NETSTAT_KERNELS_CASE" != notracefs ]; then
    mount -t tracefs tracing /sys/kernel/tracing 2>/dev/null
    mount -t debugfs debug /sys/kernel/debug 2>/dev/null
    mount -t bpf bpf /sys/fs/bpf 2>/dev/null
fi
mkdir -p /sys/fs/cgroup
if [ "$NETSTAT_KERNELS_CASE" = cgroup1 ]; then
    mount -t tmpfs cgroup /sys/fs/cgroup
    mkdir /sys/fs/cgroup/pids /sys/fs/cgroup/systemd
    mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
case $NETSTAT_KERNELS_CASE in
nomodules)
    # What the tests themselves need.
    modprobe veth
    echo 1 >/proc/sys/kernel/modules_disabled
    ;;
nobtf) mount -t tmpfs none /sys/kernel/btf ;;
hidepid) mount -o remount,hidepid=2 /proc ;;
esac
ip link set lo up
# As service managers set it; the kernel's own limit is 4096. That of locked memory stays the kernel's.
ulimit -n 1048576

report=/dev/ttyS1
# The 8250 driver makes device nodes for lines that are not there.
if [ "$(uname -m)" = aarch64 ]; then
    modprobe virtio_pci
    modprobe virtio_console
    report=/dev/vport0p1
    tries=0
    # The port is there before it can be opened. A failed redirection of exec would end this process, a failed one of a subshell does not.
    until (: <>$report) 2>/dev/null || [ $tries -ge 300 ]; do usleep 100000; tries=$((tries + 1)); done
fi
# Stays open, so that the settings hold.
exec 9<>$report
stty -F $report raw -echo -opost 2>/dev/null

for program in /tests/*; do
    echo "@@ begin $(sed -n 's/^# //p' "$program" | head -n 1)" >&9
    cd /root || exit
    sh "$program" >&9 2>&1
    echo "@@ status $?" >&9
done
dmesg | grep -E 'BUG|Oops|WARNING|Call Trace' >&9
echo "@@ end" >&9
sync
# The line is drained before the power goes.
stty -F $report 2>/dev/null
sleep 1
poweroff -f
