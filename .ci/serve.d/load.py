#!/usr/bin/env python3
"""50 clients for a while, beside 10,000 open sockets that never finish a request: load.py URL TOKEN PID SECONDS. Fails when one of the
50 is refused, or when the memory grows after it has settled."""
import http.client
import resource
import socket
import sys
import threading
import time

url, token, pid, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
host = url.removeprefix("http://")
paths = ["/metrics", "/api/v1/sockets?limit=100", "/api/v1/statistics", "/api/v1/routes", "/", "/app.js", "/healthz"]
end = time.monotonic() + seconds
counts = {"requests": 0, "failed": 0}
lock = threading.Lock()


def client(number):
    connection = http.client.HTTPConnection(host, timeout=60)
    at = number
    while time.monotonic() < end:
        at += 1
        try:
            connection.request("GET", paths[at % len(paths)], headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            failed = answer.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            failed = True
        with lock:
            counts["requests"] += 1
            counts["failed"] += failed


def resident():
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


# As many as the limit on descriptors allows: ordinary users often have 4,096 only.
SILENT = 10_000
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
wanted = SILENT + 200
allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
address, port = host.rsplit(":", 1)
silent = []
for number in range(allowed - 200):
    one = socket.create_connection((address, int(port)), timeout=60)
    one.setblocking(False)
    try:
        one.send(b"GET /healthz HTTP/1.1\r\nHost: loc" if number % 2 else b"")
    except OSError:
        pass  # closed already, to make room
    silent.append(one)

threads = [threading.Thread(target=client, args=(number,)) for number in range(50)]
for thread in threads:
    thread.start()
time.sleep(seconds / 3)
first = resident()
for thread in threads:
    thread.join()
last = resident()
print(f"{len(silent)} sockets open beside them, none of which finishes a request")
print(f"{counts['requests']} requests, {counts['failed']} failed; {first} kB after a third of the time, {last} kB in the end")
sys.exit(counts["failed"] > 0 or last > first * 1.25 + 4096)
