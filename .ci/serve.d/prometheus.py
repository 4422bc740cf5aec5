#!/usr/bin/env python3
"""Runs every expression of the dashboard and of the rules against a Prometheus: prometheus.py URL DASHBOARD RULES.

Fails when one is refused, or when one that must have a value has none."""
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

url, dashboard, rules = sys.argv[1:]
# There is nothing of these in a short test: no connection was recorded as ended, nothing was sent again.
MAY_BE_EMPTY = ("histogram_quantile", "segments_retransmitted", "retransmitted_segments")


def query(expression):
    for name, value in (("$job", ".*"), ("$instance", ".*"), ("$__rate_interval", "20s")):
        expression = expression.replace(name, value)
    answer = urllib.request.urlopen(f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
    return json.load(answer)["data"]["result"]


failed = 0
expressions = [target["expr"] for panel in json.load(open(dashboard))["panels"] for target in panel["targets"]]
alerts = re.findall(r"expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", open(rules).read())
for expression in expressions + [one or other for one, other in alerts]:
    try:
        found = query(expression)
    except urllib.error.HTTPError as error:
        print("refused:", expression, error.read().decode())
        failed += 1
        continue
    if not found and expression in expressions and not any(word in expression for word in MAY_BE_EMPTY):
        print("no value:", expression)
        failed += 1
print(f"{len(expressions)} expressions of the dashboard, {len(alerts)} of the rules, {failed} failed")
sys.exit(failed > 0)
