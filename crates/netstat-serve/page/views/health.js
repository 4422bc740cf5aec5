// Whether what is shown can be trusted: what could not be seen, how old the figures are, what this server costs, what the doctor says.

import { store, watch } from "../store.js";
import { api, h, number, span, table } from "../util.js";

const STATUS = { ok: "good", note: "soft", unknown: "soft", limited: "warn", failed: "bad" };

export function show(main) {
  const facts = h("section", { class: "card" });
  const missing = h("section", { class: "card" });
  const metrics = h("section", { class: "card" });
  const checks = h("section", { class: "card" }, h("p", {}, "Checking…"));
  main.append(h("h2", {}, "Health"), facts, missing, checks, metrics);
  const draw = () => {
    const now = store.overview;
    if (!now) return;
    const warn = now.sockets_age > 10;
    facts.replaceChildren(h("h2", {}, "This server"), h("dl", {}, [["Last sample", new Date(now.time).toLocaleTimeString()], ["Age of the sockets", h("span", { class: warn ? "warn" : "good" }, `${now.sockets_age.toFixed(1)} s`)], ["Sockets", number(now.sockets)], ["Processes", number(now.process_count)],
      ["Short connections", now.watched ? h("span", { class: "good" }, "are seen") : h("span", { class: "warn" }, "are not seen")], ["Pressure (processor, memory, disk)", now.pressure.map((value) => (value === null ? "–" : `${value} %`)).join(", ")], ["System up", span(now.uptime)]].map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
    missing.replaceChildren(h("h2", {}, "What could not be seen"), table("", [["What", (one) => one.what], ["Why", (one) => one.why], ["What would help", (one) => one.remedy || "–"]], now.limits, "Everything could be seen."));
  };
  fetch("/metrics").then((reply) => (reply.ok ? reply.text() : Promise.reject(new Error(`status ${reply.status}`)))).then((text) => {
    const value = (name) => { const line = text.split("\n").find((line) => line.startsWith(name) && !line.startsWith("#")); return line ? line.split(" ").at(-1) : "–"; };
    const seconds = (name) => `${(Number(value(name)) * 1000).toFixed(1)} ms`;
    metrics.replaceChildren(h("h2", {}, "Metrics"), h("dl", {}, [["Version", (/netstat_build_info\{version="([^"]*)"/.exec(text) || [])[1] ?? "–"], ["Series", value("netstat_series ")], ["Last sample took", seconds("netstat_sample_duration_seconds")], ["This scrape took", seconds("netstat_scrape_duration_seconds")], ["Events lost", value("netstat_lost_events_total")]].map(([name, shown]) => [h("dt", {}, name), h("dd", {}, shown)])),
      h("p", {}, h("a", { href: "/metrics" }, "/metrics"), " · ", h("a", { href: "/api/v1/openapi.json" }, "/api/v1/openapi.json")));
  }, (error) => metrics.replaceChildren(h("p", { class: "empty" }, error.message)));
  api("doctor").then((document) => {
    const areas = new Map();
    for (const one of document.checks) areas.set(one.area, [...(areas.get(one.area) ?? []), one]);
    const troubled = document.checks.filter((one) => one.status === "limited" || one.status === "failed").length;
    checks.replaceChildren(h("h2", {}, "What netstat can see here"),
      h("p", {}, troubled === 0 ? h("span", { class: "good" }, "Nothing is missing.") : `${troubled} of ${document.checks.length} checks found something missing.`),
      ...[...areas].map(([area, list]) => table(area, [
        ["Status", (one) => h("span", { class: STATUS[one.status] ?? "soft" }, one.status)],
        ["Check", (one) => one.id.replaceAll("_", " ")],
        ["Found", (one) => [one.found, one.reason, one.effect].filter(Boolean).join("; ")],
        ["What would help", (one) => (one.remedy ? h("code", { class: "mono" }, one.remedy) : "–")],
      ], list)));
  }, (error) => checks.replaceChildren(h("p", { class: "empty" }, error.message)));
  draw();
  return watch(draw);
}
