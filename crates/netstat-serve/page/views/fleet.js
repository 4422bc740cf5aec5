// The computers whose flows are in the same store: which are late, what only a fleet can see.

import { Grid } from "../grid.js";
import { api, bytes, csv, h, number, save, span, table } from "../util.js";

const LATE = 1200; // seconds without a sign, as `netstat fleet hosts --late`
const SINCE = [["1h", "1 hour"], ["12h", "12 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"]];
const KINDS = {
  silent_host: ["Silent hosts", "Nothing has arrived from them for a while."],
  sudden_address: ["Addresses met by many hosts at once", "Several hosts met them for the first time within an hour."],
  regular_callers: ["Regular callers", "The same program calls the same address at regular times on several hosts."],
  rare_finding: ["Rare findings of audits", "One host alone has them."],
  rare_program: ["Rare programs", "One host alone runs them."],
  new_program: ["New programs", "No host ran them before."],
  new_listener: ["New listeners", "No host listened like that before."],
  new_port: ["New ports", "No program called them before."],
  new_address: ["New networks", "No host met them before."],
};
const HOST_COLUMNS = [
  { name: "host", label: "Host", width: 240, show: (row) => row.host, value: (row) => row.host },
  { name: "heard", label: "Heard", width: 190, show: (row) => time(row.heard), value: (row) => row.heard },
  { name: "silent_seconds", label: "Silent for", width: 110, num: true, show: (row) => span(row.silent_seconds), value: (row) => row.silent_seconds },
  { name: "spool_rows", label: "Rows waiting", width: 120, num: true, show: (row) => number(row.spool_rows), value: (row) => row.spool_rows },
  { name: "lost", label: "Rows lost", width: 100, num: true, show: (row) => number(row.lost), value: (row) => row.lost },
  { name: "version", label: "Version", width: 90, show: (row) => row.version, value: (row) => row.version },
  { name: "clock_ahead_ms", label: "Clock ahead", width: 110, num: true, show: (row) => `${row.clock_ahead_ms} ms`, value: (row) => Number(row.clock_ahead_ms) },
  { name: "host_id", label: "Number", width: 160, show: (row) => row.host_id, value: (row) => row.host_id },
];

const time = (value) => (value === null || value === undefined ? "–" : String(value).replace("T", " ").replace(/(\.\d+)?Z$/, "Z"));

export function show(main, parameters, remember) {
  const state = { find: parameters.get("find") || "", late: parameters.get("late") === "1", sort: parameters.get("sort") || "host", since: SINCE.some(([name]) => name === parameters.get("since")) ? parameters.get("since") : "7d" };
  const status = h("section", { class: "card" }, h("p", {}, "Asking the fleet's store…"));
  const summary = h("p", { class: "soft", role: "status" });
  const input = h("input", { type: "search", id: "find-host", value: state.find, placeholder: "name", oninput: () => { state.find = input.value; draw(); } });
  const late = h("input", { type: "checkbox", checked: state.late, onchange: () => { state.late = late.checked; draw(); } });
  const grid = new Grid({ label: "Hosts", open: (row) => { location.hash = `#/history?host=${encodeURIComponent(row.host)}`; }, sorted: (name) => { state.sort = state.sort === name ? `-${name}` : name; draw(); } });
  grid.element.classList.add("short");
  const since = h("select", { onchange: () => { state.since = since.value; remember_(); findings(); } }, SINCE.map(([value, text]) => h("option", { value, selected: value === state.since }, text)));
  const found = h("div", { class: "stack" });
  main.append(h("h2", {}, "Fleet"), status,
    h("section", { class: "card stack" }, h("div", { class: "row" }, h("h2", {}, "Hosts"), h("div", { class: "grow" }, h("label", { for: "find-host" }, "Find "), input), h("label", {}, late, " late ones only"),
      h("button", { type: "button", onclick: () => save("netstat-hosts.csv", "text/csv", csv(HOST_COLUMNS.map((one) => one.name), shown.map((row) => HOST_COLUMNS.map((one) => one.value(row))))) }, "CSV")), summary, grid.element,
    h("p", { class: "soft" }, "Open a host to see its history.")),
    h("section", { class: "card stack" }, h("div", { class: "row" }, h("h2", {}, "Findings across hosts"), h("label", {}, "of the last ", since)), found));
  let here = true;
  let hosts = [];
  let shown = [];
  const remember_ = () => remember({ find: state.find, late: state.late ? "1" : "", sort: state.sort === "host" ? "" : state.sort, since: state.since === "7d" ? "" : state.since });
  function draw() {
    remember_();
    const word = state.find.trim().toLowerCase();
    const by = state.sort.replace(/^-/, "");
    const turn = state.sort.startsWith("-") ? -1 : 1;
    const column = HOST_COLUMNS.find((one) => one.name === by) || HOST_COLUMNS[0];
    shown = hosts.filter((row) => (!state.late || row.silent_seconds > LATE) && row.host.toLowerCase().includes(word));
    shown.sort((one, other) => { const [a, b] = [column.value(one), column.value(other)]; return a === b ? 0 : a < b ? -turn : turn; });
    const behind = hosts.filter((row) => row.silent_seconds > LATE).length;
    summary.textContent = `${number(shown.length)} of ${number(hosts.length)} hosts; nothing heard for ${LATE / 60} minutes from ${number(behind)}`;
    grid.setColumns(HOST_COLUMNS, by, turn < 0);
    grid.setRows(shown, (row) => row.host_id, (row) => (row.silent_seconds > LATE ? "late" : ""));
  }
  function findings() {
    found.replaceChildren(h("p", { role: "status" }, "Asking the fleet's store…"));
    api("fleet-findings", { since: state.since }).then((document) => {
      if (!here) return;
      const kinds = new Map();
      for (const row of document.rows) kinds.set(row.kind, [...(kinds.get(row.kind) || []), row]);
      if (kinds.size === 0) { found.replaceChildren(h("p", { class: "good" }, "Nothing is new, rare or silent.")); return; }
      found.replaceChildren(...[...kinds].map(([kind, rows]) => {
        const [title, about] = KINDS[kind] || [kind.replaceAll("_", " "), ""];
        return h("details", { open: rows.length <= 20 }, h("summary", {}, h("strong", {}, title), ` ${number(rows.length)} `, h("span", { class: "soft" }, about)),
          table(rows.length > 200 ? `The first 200 of ${number(rows.length)}` : title, [
            ["Subject", (row) => h("span", { class: "mono" }, row.subject ?? "–")], ["Detail", (row) => row.detail ?? ""],
            ["Hosts", (row) => `${number(row.hosts)} of ${number(row.of)}`, "num"],
            ["First", (row) => time(row.first)], ["Last", (row) => time(row.last)],
            ["On", (row) => (row.host ? h("a", { href: `#/history?host=${encodeURIComponent(row.host)}` }, row.host) : "–")],
          ], rows.slice(0, 200)));
      }));
    }, (error) => { if (here) found.replaceChildren(h("p", { class: "empty" }, error.message)); });
  }
  api("fleet-status").then((document) => {
    if (!here) return;
    const facts = [["Store", h("span", { class: "mono" }, document.store)], ["Engine", `ClickHouse ${document.engine}`], ["Hosts", `${number(document.hosts)}, ${number(document.late)} of them late`], ["Rows waiting on hosts", number(document.waiting_rows)],
      ["Rows lost", h("span", { class: document.lost_rows > 0 ? "warn" : "good" }, number(document.lost_rows))], ["Rows of connections", number(document.flow_rows)], ["On the engine's disk", `${bytes(document.bytes)}, ${bytes(document.free_bytes)} free`], ["Versions", Object.entries(document.versions).map(([name, count]) => `${name || "not known"}: ${number(count)}`).join(", ") || "–"]];
    status.replaceChildren(h("h2", {}, "Store"), h("dl", {}, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
  }, (error) => { if (here) status.replaceChildren(h("p", { class: "bad", role: "alert" }, error.message)); });
  api("fleet-hosts").then((document) => { if (here) { hosts = document.rows; draw(); } }, (error) => { if (here) summary.textContent = error.message; });
  findings();
  return () => { here = false; grid.destroy(); };
}
