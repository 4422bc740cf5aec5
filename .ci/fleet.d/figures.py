#!/usr/bin/env python3
"""Figures of a fleet's store: how fast it takes flows, what they need on disk, how long questions take, how it copes with many agents.
usage: figures.py NETSTAT ENGINE_COMMAND MILLIONS [AGENTS SECONDS]
ENGINE_COMMAND is NETSTAT_FLEET_ENGINE of .ci/fleet. Times are those that the engine counts itself (X-ClickHouse-Summary), the best of five.
The blocks whose inserting is measured are made before, so that making them does not count."""
import gzip
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

netstat, engine_command, millions, *rest = sys.argv[1:]
millions = int(millions)
agents, seconds = (int(word) for word in (rest + ["1000", "60"][len(rest):])[:2])
HOSTS = 1000
# Blocks that are made before they are inserted, and the rows of each.
PREPARED = 8
BLOCK = 250_000
DATABASE = "netstat"
generator = (Path(__file__).parent / "generator.sql").read_text()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


port = free_port()
work = tempfile.mkdtemp(prefix="netstat-figures.")
engine = subprocess.Popen([*engine_command.split(), f"{work}/data", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(query, body=b"", headers=None, connection=None, **parameters):
    """The answer, and what the engine counted."""
    connection = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    if body:
        parameters["query"] = query
    data = body if body else query.encode()
    connection.request("POST", "/?" + urlencode({"wait_end_of_query": "1", **parameters}), data, headers or {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200 or answer.headers.get("X-ClickHouse-Exception-Code"):
        raise RuntimeError(text[:400])
    return text, json.loads(answer.headers.get("X-ClickHouse-Summary", "{}"))


def cpu_seconds():
    """What the engine has used of the processors so far (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{engine.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rows(first, count):
    parameters = {"param_hosts": HOSTS, "param_span": 86400, "param_total": millions * 1_000_000, "param_from": first, "param_n": count}
    return generator.rstrip(), parameters


def main():
    for _ in range(600):
        try:
            ask("SELECT 1")
            break
        except OSError:
            time.sleep(0.1)
    subprocess.run([netstat, "fleet", "init", "--no-roles", "--at", f"clickhouse://127.0.0.1:{port}/{DATABASE}"], check=True)
    inserting()
    for step in range(PREPARED * BLOCK, millions * 1_000_000, 1_000_000):
        text, parameters = rows(step, min(1_000_000, millions * 1_000_000 - step))
        ask(f"INSERT INTO {DATABASE}.flow {text}", max_insert_block_size="1000000", max_threads="2", **parameters)
    ask(f"OPTIMIZE TABLE {DATABASE}.flow FINAL")
    ask(f"OPTIMIZE TABLE {DATABASE}.contact FINAL")
    text, _ = ask(f"SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{DATABASE}' GROUP BY table ORDER BY table")
    flows = millions * 1_000_000
    for line in text.decode().splitlines():
        table, count, size = line.split("\t")
        if int(count) > 100:
            print(f"disk: {table} {int(size) / flows:.1f} bytes a flow ({count} rows)")
    query = (
        f"SELECT name, data_compressed_bytes FROM system.columns WHERE database = '{DATABASE}' AND table = 'flow' "
        "ORDER BY data_compressed_bytes DESC LIMIT 12"
    )
    text, _ = ask(query)
    columns = (line.split("\t") for line in text.decode().splitlines())
    print("disk: flow by column, bytes a flow:", ", ".join(f"{name} {int(size) / flows:.2f}" for name, size in columns))
    address, _ = ask(f"SELECT foreign_address FROM {DATABASE}.flow WHERE direction = 'out' GROUP BY foreign_address HAVING count() BETWEEN 5 AND 20 LIMIT 1")
    address = address.decode().strip()
    common, _ = ask(f"SELECT foreign_address FROM {DATABASE}.flow WHERE protocol = 'TCP' GROUP BY foreign_address ORDER BY count() DESC LIMIT 1")
    for name, query in {
        "who talked to a rare address, flow FINAL": f"SELECT host, program, count() FROM {DATABASE}.flow FINAL WHERE foreign_address = toIPv6('{address}') GROUP BY host, program",
        "who talked to a rare address, contact": f"SELECT host, program, sum(flows) FROM {DATABASE}.contact WHERE foreign_address = toIPv6('{address}') GROUP BY host, program",
        "an address that nobody met, flow FINAL": f"SELECT host, program, count() FROM {DATABASE}.flow FINAL WHERE foreign_address = toIPv6('2001:db8::dead') GROUP BY host, program",
        "a popular address by host, contact": f"SELECT host, sum(flows) FROM {DATABASE}.contact WHERE foreign_address = toIPv6('{common.decode().strip()}') GROUP BY host",
        "one host, one hour, by program": f"SELECT program, count() FROM {DATABASE}.flow FINAL WHERE host LIKE 'web-00007%' AND first >= '2026-11-27 05:00:00' AND first < '2026-11-27 06:00:00' GROUP BY program",
    }.items():
        settings = {"do_not_merge_across_partitions_select_final": "1"}
        best = min(int(ask(query, **settings)[1]["elapsed_ns"]) for _ in range(5))
        print(f"question: {name}: {best / 1e6:.0f} ms at {millions} M flows")
    many_agents()


def inserting():
    """Blocks in the format Native that are there already, over two connections."""
    blocks = []
    for step in range(PREPARED):
        text, parameters = rows(step * BLOCK, BLOCK)
        block, _ = ask(f"{text} FORMAT Native", max_block_size=str(BLOCK), **parameters)
        blocks.append(block)
    # What others of this computer do meanwhile.
    begin, used = time.monotonic(), cpu_seconds()
    position, lock = iter(range(PREPARED)), threading.Lock()

    def work_off():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while True:
            with lock:
                number = next(position, None)
            if number is None:
                return
            ask(
                f"INSERT INTO {DATABASE}.flow FORMAT Native",
                blocks[number],
                connection=connection,
                insert_deduplication_token=f"figures-block-{number}",
                async_insert="0",
                min_insert_block_size_rows=str(BLOCK),
            )

    threads = [threading.Thread(target=work_off) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took, used, count = time.monotonic() - begin, cpu_seconds() - used, PREPARED * BLOCK
    load = os.getloadavg()[0]
    print(
        f"insert: {count / took:,.0f} flows/s in {took:.1f} s at load average {load:.1f}; the engine used {used:.1f} s of processors: "
        f"{2 * count / used:,.0f} flows/s of two processors; {count:,} flows in blocks of {BLOCK:,} that were there already, with two indexes and two views"
    )


def many_agents():
    """Each agent sends 450 rows every 45 seconds, at its own time."""
    period, count = 45.0, 450
    bodies = []
    for at in range(50):
        text, parameters = rows(at * count, count)
        body, _ = ask(f"{text} FORMAT Native", **parameters)
        bodies.append(gzip.compress(body, 4))
    before = int(ask(f"SELECT count() FROM {DATABASE}.flow")[0])
    latencies, errors, lock = [], [], threading.Lock()
    due = sorted(random.uniform(0, period) + turn * period for _ in range(agents) for turn in range(int(seconds / period) + 1))
    due = [moment for moment in due if moment < seconds]
    begin = time.monotonic()
    position = iter(enumerate(due))

    def work_off():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            with lock:
                number, moment = next(position, (None, None))
            if number is None:
                return
            time.sleep(max(0.0, begin + moment - time.monotonic()))
            start = time.monotonic()
            try:
                ask(
                    f"INSERT INTO {DATABASE}.flow FORMAT Native",
                    bodies[number % len(bodies)],
                    {"Content-Encoding": "gzip"},
                    connection,
                    insert_deduplication_token=f"figures-{number}",
                    async_insert="0",
                )
                with lock:
                    latencies.append(time.monotonic() - start)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                with lock:
                    errors.append(str(error))

    threads = [threading.Thread(target=work_off) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begin
    latencies.sort()
    after = int(ask(f"SELECT count() FROM {DATABASE}.flow")[0])
    print(
        f"agents: {agents} agents, {len(due)} inserts of {count} rows in {took:.0f} s ({len(due) / took:.1f}/s), {len(errors)} errors, "
        f"median {latencies[len(latencies) // 2] * 1e3:.0f} ms, 99 % {latencies[len(latencies) * 99 // 100] * 1e3:.0f} ms"
    )
    # These rows are in the table already, so that merges may have removed some of them again.
    print(f"agents: {after - before} rows more before merging")


try:
    main()
finally:
    engine.terminate()
    engine.wait()
