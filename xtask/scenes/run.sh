#!/usr/bin/env bash
# Runs one scene on a copy of the machine: run.sh FILE SCENE NETSTAT WORK. It has namespaces of its own for network, processes and mounts; all
# that it writes goes to a memory file system. Prints the document of `netstat audit --json`.
set -euo pipefail
file=$1 scene=$2 netstat=$3 work=$4
here=$(cd "$(dirname "$0")" && pwd)
case "${SCENE_STAGE:-}" in
"") # A network with another computer on it.
    SCENE_STAGE=network exec unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$@" ;;
network)
    ip link set lo up
    unshare --net bash -c "touch $work/up; until ip link show peer >/dev/null 2>&1; do sleep 0.01; done
        ip link set lo up; ip addr add 203.0.113.1/24 dev peer; for n in 7 8 9; do ip addr add 203.0.113.\$n/24 dev peer; done; ip addr add 10.9.0.9/16 dev peer
        ip link set peer up; exec python3 $here/peer.py" >"$work/peer.out" 2>&1 &
    until [ -e "$work/up" ]; do sleep 0.01; done
    until ip link add eth0 type veth peer name peer netns $! 2>/dev/null; do sleep 0.01; done
    ip addr add 203.0.113.50/24 dev eth0; ip addr add 10.9.0.50/16 dev eth0; ip link set eth0 up
    until grep -q ready "$work/peer.out"; do sleep 0.02; done
    SCENE_STAGE=files exec unshare --mount --pid --fork --kill-child "$0" "$@" ;;
files) # The machine's files, with a memory file system above them.
    mkdir -p "$work/top"
    mount -t tmpfs scene "$work/top"
    mkdir "$work/top/u" "$work/top/w" "$work/top/root"
    mount -t overlay scene -o "lowerdir=/,upperdir=$work/top/u,workdir=$work/top/w" "$work/top/root"
    root=$work/top/root
    mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t tmpfs shm "$root/dev/shm"; mount -t tmpfs run "$root/run"; mount -t tmpfs tmp "$root/tmp"
    mount -t sysfs sys "$root/sys" 2>/dev/null || true
    chmod 1777 "$root/tmp" "$root/dev/shm"
    install -m 755 "$work/agent" "$root/.agent"; install -m 755 "$netstat" "$root/usr/local/bin/netstat"; install -m 644 "$file" "$root/.scene"
    mkdir -p "$root/old" "$root/home/dev"; chown 1000:1000 "$root/home/dev"
    cd "$root"; pivot_root . old; umount -l /old; rmdir /old
    export SCENE_STAGE= PEER=203.0.113.9 NEAR=10.9.0.9 AGENT=/.agent PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    unset SCENE_STAGE PYENV_ROOT PYENV_VERSION
    setsid bash -c '. /.scene; "$1"' scene "scene_$scene" </dev/null >/tmp/.scene.out 2>&1 &
    starter=$!
    wait=0.7; case "$scene" in *java*) wait=5 ;; *node*|*slow*) wait=1.6 ;; esac
    sleep "$wait"
    /usr/local/bin/netstat audit --json --min info ${SCENE_AUDIT:---no-digests} >/tmp/.document 2>/tmp/.audit.err || true
    cat /tmp/.document
    { echo "--- scene"; head -c 3000 /tmp/.scene.out; echo "--- audit"; head -c 2000 /tmp/.audit.err; } >&2
    exit 0 ;;
esac
