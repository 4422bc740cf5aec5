#!/usr/bin/env python3
"""Runs a real ClickHouse (the listeners of clickhouse-local, inside libchdb.so) on loopback until it is told to stop.
usage: engine.py LIBCHDB.so DATA_DIR HTTP_PORT [--config-file=FILE ...]"""
import ctypes
import os
import sys

library, data, port, *more = sys.argv[1:]
os.makedirs(data, exist_ok=True)
query = (
    "SYSTEM START LISTEN HTTP; SELECT sleepEachRow(1) FROM numbers(100000000) SETTINGS max_block_size = 1, max_threads = 1,"
    " function_sleep_max_microseconds_per_block = 0 FORMAT Null"
)
tcp = [word for word in more if word.startswith("--tcp_port=")]
if tcp:
    query = "SYSTEM START LISTEN TCP; " + query
words = ["clickhouse", f"--path={data}", f"--http_port={port}", "--listen_host=127.0.0.1", *more, f"--query={query}"]
if not tcp:
    words.insert(3, "--tcp_port=0")
arguments = (ctypes.c_char_p * len(words))(*[word.encode() for word in words])
engine = ctypes.CDLL(library)
engine.chdb_query_cmdline.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
engine.chdb_query_cmdline.restype = ctypes.c_void_p
result = engine.chdb_query_cmdline(len(words), arguments)
engine.chdb_result_error.restype = ctypes.c_char_p
engine.chdb_result_error.argtypes = [ctypes.c_void_p]
print("ended:", engine.chdb_result_error(result), file=sys.stderr)
