// The past, from the record: a time line to choose from, who talked to whom, what is new, regular callers, gaps.

import { chart } from "../chart.js";
import { Grid } from "../grid.js";
import { store } from "../store.js";
import { api, bytes, csv, end, h, number, save } from "../util.js";

const ROWS = 20000;
const QUESTIONS = [["", "connections"], ["new", "what programs did for the first time"], ["beacons", "regular callers"], ["gaps", "gaps of the record"], ["rare", "what one host alone does"]];
const SINCE = [["1h", "1 hour"], ["12h", "12 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"], ["all", "all"]];
const WIDTH = { host: 200, first: 190, last: 190, path: 260, foreign_address: 170, local_address: 170, program: 150, what: 180, value: 180 };

export function show(main, parameters, remember) {
  const choice = (list, value, usual) => (list.some(([name]) => name === value) ? value : usual);
  const { fleet } = store.about;
  const questions = QUESTIONS.filter(([name]) => name !== "rare" || fleet);
  const state = { host: (fleet && parameters.get("host")) || "", ask: choice(questions, parameters.get("ask"), ""), since: choice(SINCE, parameters.get("since"), "12h"), program: parameters.get("program") || "", foreign: parameters.get("foreign") || "", from: Number(parameters.get("from")) || null, to: Number(parameters.get("to")) || null };
  const select = (name, list, label) => { const box = h("select", { onchange: () => { state[name] = box.value; state.from = state.to = null; load(); } }, list.map(([value, text]) => h("option", { value, selected: value === state[name] }, text))); return h("label", {}, `${label} `, box); };
  const word = (name, label, hint) => { const box = h("input", { type: "search", value: state[name], placeholder: hint, size: "18", onchange: () => { state[name] = box.value.trim(); load(); } }); return h("label", {}, `${label} `, box); };
  const status = h("p", { role: "status", class: "soft" });
  const box = h("div", { class: "chart tall", "aria-hidden": "true" });
  const range = h("span", { class: "soft" });
  const clear = h("button", { type: "button", hidden: true, onclick: () => { state.from = state.to = null; draw(); } }, "Whole time");
  const grid = new Grid({ label: "History", open: () => {}, sorted: (name) => { sort = sort === name ? `-${name}` : name; draw(); } });
  main.append(h("h2", {}, "History"), h("div", { class: "row" }, select("ask", questions, "Show"), select("since", SINCE, "of the last"), fleet && word("host", "Host", "all hosts"), word("program", "Program", "curl, *ssh*"), word("foreign", "Talked to", "10.0.0.0/8, :443"),
    h("button", { type: "button", onclick: () => save("netstat-history.csv", "text/csv", csv(names, shown.map((row) => names.map((name) => row[name])))) }, "CSV")),
  h("section", { class: "card" }, h("div", { class: "row" }, h("h2", {}, "New connections over time"), range, clear), box, h("p", { class: "soft" }, "Drag across the bars to select a part of the time.")), status, grid.element);
  let rows = [];
  let shown = [];
  let names = [];
  let sort = "-first";
  let turn = 0;
  const plot = chart(box, [["beginnings", "--c1"]], (value) => number(value), { height: 190, bars: true, select: (from, to) => { state.from = Math.round(from); state.to = Math.round(to); draw(); } });

  function load() {
    turn += 1;
    const mine = turn;
    status.textContent = fleet ? "Asking the fleet's store…" : "Asking the record…";
    save_();
    const asked = { host: state.host, since: state.since, program: state.program, foreign: state.foreign };
    if (state.ask) { asked[state.ask] = "true"; } else { asked.limit = ROWS; asked.sort = "-first"; }
    api("history", asked).then((document) => {
      if (mine !== turn) return;
      rows = document.rows;
      status.textContent = rows.length === 0 ? "The record has no matching connections." : `${number(rows.length)} rows${rows.length >= ROWS ? "; there may be more: choose a shorter time or a program" : ""}`;
      draw();
    }, (error) => { if (mine !== turn) return; rows = []; draw(); status.textContent = fleet ? error.message : `${error.message} – netstat record keeps a history.`; });
  }
  function save_() { remember({ host: state.host, ask: state.ask, since: state.since === "12h" ? "" : state.since, program: state.program, foreign: state.foreign, from: state.from, to: state.to }); }
  const time = (row) => Date.parse(row.first ?? row.since ?? row.time ?? "") / 1000;
  function draw() {
    save_();
    const times = rows.map(time).filter((value) => !Number.isNaN(value));
    if (times.length > 0) {
      let [low, high] = times.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
      if (high - low < 60) high = low + 60;
      const count = 80;
      const size = (high - low) / count;
      const bins = Array(count + 1).fill(0);
      for (const value of times) bins[Math.floor((value - low) / size)] += 1;
      plot.set([bins.map((_, at) => low + at * size), bins]);
    } else plot.set([[], []]);
    clear.hidden = state.from === null;
    range.textContent = state.from === null ? "" : `${new Date(state.from * 1000).toLocaleString()} to ${new Date(state.to * 1000).toLocaleString()}`;
    shown = rows.filter((row) => state.from === null || (time(row) >= state.from && time(row) <= state.to));
    const hide = new Set(["begun", "learned", "uid", "path", "local_address", "local_port", "foreign_address", "foreign_port"]);
    names = rows.length > 0 ? Object.keys(rows[0]) : [];
    const wanted = names.filter((name) => !(hide.has(name) && !state.ask));
    const columns = wanted.map((name) => ({ name, label: name.replaceAll("_", " "), width: WIDTH[name] || 110, num: typeof rows[0][name] === "number", show: (row) => text(name, row[name]), value: (row) => row[name] }));
    if (!state.ask && names.includes("foreign_address")) {
      const both = (side) => ({ name: `${side}_address`, label: side, width: 210, num: false, show: (row) => (row[`${side}_address`] === null ? "–" : end(row[`${side}_address`], row[`${side}_port`])), value: (row) => row[`${side}_address`] });
      columns.splice(3, 0, both("local"), both("foreign"));
    }
    const by = sort.replace(/^-/, "");
    const down = sort.startsWith("-") ? -1 : 1;
    shown.sort((one, other) => { const [a, b] = [one[by], other[by]]; if (a === b) return 0; if (a === null || a === undefined) return 1; if (b === null || b === undefined) return -1; return a < b ? -down : down; });
    grid.setColumns(columns, by, down < 0);
    grid.setRows(shown, (row) => row, null);
  }
  load();
  return () => { turn += 1; plot.destroy(); grid.destroy(); };
}

function text(name, value) {
  if (value === null || value === undefined) return "–";
  if (name === "first" || name === "last" || name === "since" || name === "until") return String(value).replace("T", " ").replace(/\.\d+Z$/, "Z");
  if (name === "sent" || name === "received" || name === "bytes") return bytes(value);
  if (name === "duration") return value < 1000 ? `${value} ms` : `${(value / 1000).toFixed(1)} s`;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
