// The live table of sockets: filter, order, groups, columns, all of it in the address.

import { complete, FIELD_COLUMNS, parse } from "../filter.js";
import { Grid } from "../grid.js";
import { store, watch } from "../store.js";
import { bytes, csv, end, h, notice, number, percent, rate, rtt, save } from "../util.js";

const text = (at) => (row) => (row[at] === null ? "" : String(row[at]));
const figure = (at, show) => (row) => show(row[at]);
const COLUMNS = [
  { name: "protocol", label: "Protocol", width: 80, show: text(1), value: (row) => row[1] },
  { name: "local", label: "Local address", width: 200, show: (row) => end(row[2], row[3]), value: (row) => row[2] },
  { name: "local_port", label: "Local port", width: 90, num: true, show: text(3), value: (row) => row[3] },
  { name: "foreign", label: "Foreign address", width: 200, show: (row) => end(row[4], row[5]), value: (row) => row[4] },
  { name: "foreign_port", label: "Foreign port", width: 100, num: true, show: text(5), value: (row) => row[5] },
  { name: "state", label: "State", width: 120, show: text(6), value: (row) => row[6] },
  { name: "pid", label: "PID", width: 80, num: true, show: text(7), value: (row) => row[7] },
  { name: "program", label: "Program", width: 160, show: (row) => row[9] ?? (row[12] ? `(${row[12]})` : ""), value: (row) => row[9] },
  { name: "user", label: "User", width: 110, show: text(10), value: (row) => row[10] },
  { name: "unit", label: "Unit or container", width: 180, show: text(11), value: (row) => row[11] },
  { name: "sent", label: "Sent", width: 100, num: true, show: figure(13, rate), value: (row) => row[13] },
  { name: "received", label: "Received", width: 100, num: true, show: figure(14, rate), value: (row) => row[14] },
  { name: "bytes_sent", label: "Bytes sent", width: 100, num: true, show: figure(15, bytes), value: (row) => row[15] },
  { name: "bytes_received", label: "Bytes received", width: 120, num: true, show: figure(16, bytes), value: (row) => row[16] },
  { name: "rtt", label: "Round trip", width: 100, num: true, show: figure(17, rtt), value: (row) => row[17] },
  { name: "loss", label: "Retransmitted", width: 110, num: true, show: (row) => (row[18] === null ? "–" : percent(row[18] * 100)), value: (row) => row[18] },
  { name: "recv_q", label: "Recv-Q", width: 80, num: true, show: text(19), value: (row) => row[19] },
  { name: "send_q", label: "Send-Q", width: 80, num: true, show: text(20), value: (row) => row[20] },
  { name: "country", label: "Country", width: 90, show: text(21), value: (row) => row[21] },
  { name: "as", label: "Autonomous system", width: 200, show: text(22), value: (row) => row[22] },
];
const USUAL = ["protocol", "local", "foreign", "state", "program", "pid", "user", "sent", "received", "rtt"];
const GROUPS = [["", "no groups"], ["program", "program"], ["foreign", "peer"], ["state", "state"], ["user", "user"], ["unit", "unit or container"], ["local_port", "local port"], ["country", "country"], ["as", "autonomous system"]];
/** Where the server has a database of them. */
const LOCATED = new Set(["country", "as"]);
const offered = (name) => !LOCATED.has(name) || store.about.locations;
const FRAME = 1000;

const compare = (one, other) => {
  if (one === other) return 0;
  if (one === null || one === undefined) return 1;
  if (other === null || other === undefined) return -1;
  return one < other ? -1 : 1;
};

export function show(main, parameters, remember) {
  const state = {
    filter: parameters.get("filter") || "",
    columns: (parameters.get("columns") || "").split(",").filter((name) => offered(name) && COLUMNS.some((column) => column.name === name)),
    sort: parameters.get("sort") || "program",
    group: GROUPS.some(([name]) => offered(name) && name === parameters.get("group")) ? parameters.get("group") : "",
  };
  if (state.columns.length === 0) state.columns = [...USUAL];
  let filter = parse(state.filter);

  const count = h("span", { class: "soft", role: "status" });
  const wrong = h("p", { class: "bad", role: "alert" });
  const list = h("ul", { role: "listbox", id: "suggestions", hidden: true, "aria-label": "Completions" });
  const input = h("input", { type: "text", id: "filter", value: state.filter, autocomplete: "off", spellcheck: "false", role: "combobox", "aria-expanded": "false", "aria-controls": "suggestions", "aria-autocomplete": "list", placeholder: "program:nginx port:443 -state:TIME_WAIT public" });
  const groups = h("select", { id: "group", onchange: () => { state.group = groups.value; layout(); } }, GROUPS.filter(([name]) => offered(name)).map(([name, label]) => h("option", { value: name, selected: name === state.group }, label)));
  const grid = new Grid({ label: "Sockets", open, sorted: (name) => { const down = state.sort === name; state.sort = down ? `-${name}` : name; layout(); } });
  const chosen = h("fieldset", {}, h("legend", {}, "Columns"), COLUMNS.filter((column) => offered(column.name)).map((column) => h("label", {}, h("input", { type: "checkbox", checked: state.columns.includes(column.name), onchange: (event) => {
    state.columns = COLUMNS.map((one) => one.name).filter((name) => (name === column.name ? event.target.checked : state.columns.includes(name)));
    if (state.columns.length === 0) state.columns = ["program"];
    layout();
  } }), ` ${column.label}`)));
  const details = h("dialog", { "aria-label": "Socket" });
  main.append(h("h2", {}, "Connections"),
    h("div", { class: "row" }, h("div", { class: "grow complete" }, h("label", { for: "filter" }, "Filter "), input, list),
      h("label", {}, "Group by ", groups),
      h("button", { type: "button", onclick: () => exported("csv") }, "CSV"), h("button", { type: "button", onclick: () => exported("json") }, "JSON"), count),
    wrong, h("details", {}, h("summary", {}, "Columns"), chosen), grid.element, details);

  let sorted = [];
  // Rows in the order that they had last: nearly sorted already, which sorting takes much less time for.
  let order = new Map();
  let columns = [];
  function layout() {
    const down = state.sort.startsWith("-");
    const name = state.sort.replace(/^-/, "");
    columns = state.group ? grouped() : COLUMNS.filter((column) => state.columns.includes(column.name));
    grid.setColumns(columns, name, down);
    refresh();
    remember({ filter: state.filter, sort: state.sort === "program" ? "" : state.sort, group: state.group, columns: state.columns.join() === USUAL.join() ? "" : state.columns.join() });
  }
  function grouped() {
    const by = COLUMNS.find((column) => column.name === state.group);
    return [
      { name: state.group, label: GROUPS.find(([name]) => name === state.group)[1].replace(/^./, (letter) => letter.toUpperCase()), width: 280, show: (row) => row.shown, value: (row) => row.key, by },
      { name: "count", label: "Sockets", width: 100, num: true, show: (row) => number(row.count), value: (row) => row.count },
      { name: "sent", label: "Sent", width: 110, num: true, show: (row) => rate(row.sent), value: (row) => row.sent },
      { name: "received", label: "Received", width: 110, num: true, show: (row) => rate(row.received), value: (row) => row.received },
    ];
  }
  function refresh() {
    let rows = [];
    if (!state.group) for (const id of order.keys()) { const row = store.rows.get(id); if (row !== undefined && filter.test(row)) rows.push(row); }
    for (const [id, row] of store.rows) if ((state.group || !order.has(id)) && filter.test(row)) rows.push(row);
    const open = rows.length;
    if (state.group) {
      const by = columns[0].by;
      const all = new Map();
      for (const row of rows) {
        const key = by.value(row);
        let sum = all.get(key);
        if (!sum) { sum = { key, shown: key === null || key === undefined ? "–" : String(key), count: 0, sent: null, received: null }; all.set(key, sum); }
        sum.count += 1;
        if (row[13] !== null) sum.sent = (sum.sent || 0) + row[13];
        if (row[14] !== null) sum.received = (sum.received || 0) + row[14];
      }
      rows = [...all.values()];
    } else {
      for (const { row } of store.gone.values()) if (filter.test(row)) rows.push(row);
    }
    const name = state.sort.replace(/^-/, "");
    const by = columns.find((column) => column.name === name) || COLUMNS.find((column) => column.name === name) || columns[0];
    const turn = state.sort.startsWith("-") ? -1 : 1;
    const value = by.value;
    // What is not known comes last in both orders; equal ones keep the order they have.
    sorted = rows.sort((first, second) => {
      const [one, other] = [value(first), value(second)];
      if (one === null || other === null || one === undefined || other === undefined) return compare(one, other);
      return turn * compare(one, other);
    });
    if (!state.group) { order = new Map(); for (const row of sorted) order.set(row[0], true); }
    grid.setRows(sorted, state.group ? (row) => row.key : (row) => row[0], state.group ? null : (row) => (store.gone.has(row[0]) ? "gone" : store.born.has(row[0]) ? "new" : ""));
    count.textContent = `${number(open)} of ${number(store.rows.size)} sockets${state.group ? `, ${number(rows.length)} groups` : ""}`;
  }

  let due = 0;
  let timer = null;
  const later = () => {
    if (timer !== null) return;
    timer = setTimeout(() => { timer = null; due = performance.now() + FRAME; refresh(); }, Math.max(0, due - performance.now()));
  };

  let options = [];
  let at = -1;
  const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); at = -1; };
  function suggest() {
    const values = (name) => {
      const counts = new Map();
      for (const row of store.rows.values()) { const value = row[FIELD_COLUMNS[name]]; if (value !== null) counts.set(String(value), (counts.get(String(value)) || 0) + 1); }
      return [...counts].sort((one, other) => other[1] - one[1]).map(([value]) => value);
    };
    options = complete(input.value, values);
    list.replaceChildren(...options.map(([shown, whole], place) => h("li", { role: "option", id: `option-${place}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); accept(whole); } }, shown)));
    list.hidden = options.length === 0;
    input.setAttribute("aria-expanded", options.length > 0);
    at = -1;
  }
  function accept(whole) { input.value = whole; apply(); if (whole.endsWith(":")) suggest(); else close(); }
  function mark() {
    [...list.children].forEach((item, place) => item.setAttribute("aria-selected", place === at));
    if (at >= 0) { input.setAttribute("aria-activedescendant", `option-${at}`); list.children[at].scrollIntoView({ block: "nearest" }); }
  }
  function apply() {
    state.filter = input.value.trim();
    const next = parse(state.filter);
    wrong.textContent = next.error;
    if (!next.error) { filter = next; layout(); }
  }
  input.addEventListener("input", () => { apply(); suggest(); });
  input.addEventListener("focus", suggest);
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (list.hidden) { if (event.key === "ArrowDown") { suggest(); event.preventDefault(); } return; }
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { at = (at + (event.key === "ArrowDown" ? 1 : -1) + options.length) % options.length; mark(); event.preventDefault(); }
    else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) { accept(options[at][1]); event.preventDefault(); }
    else if (event.key === "Escape") close();
  });

  function open(row) {
    if (state.group) {
      const field = { local_port: "port" }[state.group] || state.group;
      if (row.key === null || row.key === undefined) return;
      const key = state.group === "as" ? String(row.key).split(" ")[0] : String(row.key);
      if (/\s/.test(key)) return;
      input.value = `${state.filter} ${field}:${key}`.trim();
      groups.value = "";
      state.group = "";
      apply();
      return;
    }
    socket(details, row);
  }
  function exported(kind) {
    const shown = columns;
    if (kind === "csv") save("netstat-sockets.csv", "text/csv", csv(shown.map((column) => column.name), sorted.map((row) => shown.map((column) => column.value(row)))));
    else save("netstat-sockets.json", "application/json", JSON.stringify(sorted.map((row) => (state.group ? { [state.group]: row.key, sockets: row.count, sent: row.sent, received: row.received } : Object.fromEntries(store.columns.map((name, place) => [name, row[place]]))))));
  }

  const stop = watch(later);
  layout();
  return () => { stop(); clearTimeout(timer); grid.destroy(); };
}

/** One socket with all that is known, and what can be done. */
function socket(dialog, row) {
  const value = (at) => (row[at] === null ? "–" : row[at]);
  const pairs = [["Protocol", value(1)], ["Local", end(row[2], row[3])], ["Foreign", end(row[4], row[5]) || "–"], ["State", value(6)],
    ["Program", row[9] ?? `– (${row[12] ?? "not known"})`], ["PID", row[7] === null ? "–" : h("a", { href: `#/process?pid=${row[7]}` }, row[7])], ["User", value(10)], ["Unit or container", value(11)],
    ["Sent", `${rate(row[13])}, ${bytes(row[15])} in all`], ["Received", `${rate(row[14])}, ${bytes(row[16])} in all`], ["Round trip", rtt(row[17])], ["Sent again", row[18] === null ? "–" : percent(row[18] * 100)], ["Recv-Q, Send-Q", `${value(19)}, ${value(20)}`]];
  if (store.about.locations) pairs.splice(3, 0, ["Country", value(21)], ["Autonomous system", value(22)]);
  dialog.replaceChildren(h("h2", {}, `${end(row[2], row[3])} ${row[4] === null ? "" : `→ ${end(row[4], row[5])}`}`),
    h("dl", {}, pairs.map(([name, shown]) => [h("dt", {}, name), h("dd", { class: "mono" }, shown)])),
    h("p", { class: "row" },
      h("button", { type: "button", onclick: () => dialog.close(), autofocus: true }, "Close this"),
      store.about.actions && h("button", { type: "button", class: "danger", onclick: () => act({ action: "close", id: row[0] }) }, "Close the connection…")));
  dialog.showModal();
  dialog.querySelectorAll("a").forEach((link) => link.addEventListener("click", () => dialog.close()));
}

/** Asks the server what an action would do, asks the user, does it. Whether it was done. */
export async function act(asked) {
  const post = async (path, body) => {
    const reply = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const document = await reply.json();
    if (!reply.ok) throw new Error(document.detail);
    return document;
  };
  try {
    const { summary, confirmation } = await post("/api/v1/actions", asked);
    if (!confirm(`Really ${summary}?`)) return false;
    await post(`/api/v1/actions/${confirmation}`, {});
    notice(`Done: ${summary}`);
    return true;
  } catch (error) {
    notice(error.message);
    return false;
  }
}
