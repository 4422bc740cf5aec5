// The processes, and the card of one: what it is, its tree, graphs, connections, files.

import { chart } from "../chart.js";
import { store, watch } from "../store.js";
import { act } from "./connections.js";
import { add, api, bytes, end, h, percent, rate, table } from "../util.js";

export function show(main, parameters, remember) {
  const pid = Number(parameters.get("pid"));
  return pid > 0 ? card(main, pid) : list(main, parameters, remember);
}

function list(main, parameters, remember) {
  const input = h("input", { type: "search", id: "find", value: parameters.get("find") || "", placeholder: "name, user or unit" });
  const box = h("div", {});
  main.append(h("h2", {}, "Processes"), h("div", { class: "row" }, h("div", { class: "grow" }, h("label", { for: "find" }, "Find "), input)), box);
  const draw = () => {
    if (!store.overview) return;
    const word = input.value.trim().toLowerCase();
    const has = (process) => [process.program, process.user, process.unit, process.command, String(process.pid)].some((text) => text && text.toLowerCase().includes(word));
    const rows = store.overview.processes.filter((process) => word === "" || has(process));
    const left = store.overview.process_count - store.overview.processes.length;
    box.replaceChildren(table(`${rows.length} processes, the busiest first${left > 0 ? `; ${left} more are not shown` : ""}`, [
      ["Program", (one) => h("a", { href: `#/process?pid=${one.pid}` }, one.program)],
      ["PID", (one) => one.pid, "num"], ["User", (one) => one.user], ["Unit or container", (one) => one.unit || ""],
      ["CPU", (one) => percent(one.cpu), "num"], ["Memory", (one) => bytes(one.memory), "num"],
      ["Written", (one) => rate(one.disk[0]), "num"], ["Read", (one) => rate(one.disk[1]), "num"],
      ["Sent", (one) => rate(one.network[0]), "num"], ["Received", (one) => rate(one.network[1]), "num"],
      ["Sockets", (one) => one.sockets, "num"],
    ], rows));
  };
  // While somebody reads or has the focus in the table, its links stay where they are for a moment.
  const gentle = () => { if (!box.contains(document.activeElement)) draw(); };
  input.addEventListener("input", () => { remember({ find: input.value }); draw(); });
  draw();
  return watch(gentle);
}

function card(main, pid) {
  const title = h("h2", {}, `Process ${pid}`);
  const facts = h("div", { class: "card" }, h("p", {}, "Looking…"));
  const sockets = h("section", { class: "card" });
  const tree = h("section", { class: "card" });
  const boxes = [["Processor", [["CPU", "--c1"]], ["cpu"], percent], ["Network", [["sent", "--c1"], ["received", "--c2"]], ["netOut", "netIn"], rate], ["Memory", [["memory", "--c1"]], ["memory"], bytes]]
    .map(([name, lines, names, format]) => { const box = h("div", { class: "chart", "aria-hidden": "true" }); const now = h("p", { class: "now" }); return { name, lines, names, format, box, now, element: h("section", { class: "card" }, h("h2", {}, name), now, box) }; });
  const ending = (signal) => () => { const one = store.overview?.processes.find((process) => process.pid === pid); if (one) act({ action: "end", pid, process_start: one.process_start, signal }); };
  main.append(title, h("p", { class: "row" }, h("a", { href: "#/process" }, "All processes"), h("a", { href: `#/connections?filter=pid:${pid}` }, "Its connections"),
    store.about.actions && [h("button", { type: "button", class: "danger", onclick: ending("SIGTERM") }, "End…"), h("button", { type: "button", class: "danger", onclick: ending("SIGKILL") }, "Kill…")]),
  h("div", { class: "cards" }, boxes.map((one) => one.element)), facts, h("div", { class: "cards" }, sockets, tree));
  const charts = boxes.map((one) => chart(one.box, one.lines, one.format));

  const draw = () => {
    const past = store.points.byProcess.get(pid);
    boxes.forEach((one, at) => {
      const data = past ? one.names.map((name) => past[name]) : one.names.map(() => []);
      charts[at].set([past ? past.time : [], ...data]);
      one.now.textContent = past ? data.map((values) => one.format(values.at(-1))).join(" · ") : "–";
    });
    const rows = [...store.rows.values()].filter((row) => row[7] === pid);
    sockets.replaceChildren(h("h2", {}, `Sockets: ${rows.length}`), table(rows.length > 200 ? "The first 200" : "All", [
      ["State", (row) => row[6] || row[1]], ["Local", (row) => h("span", { class: "mono" }, end(row[2], row[3]))], ["Foreign", (row) => h("span", { class: "mono" }, end(row[4], row[5]))],
      ["Sent", (row) => rate(row[13]), "num"], ["Received", (row) => rate(row[14]), "num"],
    ], rows.slice(0, 200), "It holds no TCP or UDP socket."));
    const all = store.overview?.processes || [];
    const one = all.find((process) => process.pid === pid);
    if (one) title.textContent = `${one.program} (${pid})`;
    const children = all.filter((process) => process.parent === pid);
    const parents = [];
    for (let at = one; at && parents.length < 12; at = all.find((process) => process.pid === at.parent)) parents.unshift(at);
    const link = (process) => h("a", { href: `#/process?pid=${process.pid}` }, `${process.program} (${process.pid})`);
    const nest = (list) => (list.length === 0 ? null : h("ul", { class: "tree" }, h("li", {}, link(list[0]), list.length > 1 ? nest(list.slice(1)) : h("ul", { class: "tree" }, children.map((child) => h("li", {}, link(child)))))));
    tree.replaceChildren(h("h2", {}, "Parents and children"), nest(parents) || h("p", { class: "empty" }, "It is not among the busiest processes."));
  };
  const stop = watch(draw);
  draw();
  api("inspect", { target: `pid:${pid}` }).then((document) => facts.replaceChildren(h("h2", {}, "What is known"), ...document.cards.map(inspected), limits(document.limits)),
    (error) => facts.replaceChildren(h("p", { class: "empty" }, error.message)));
  return () => { stop(); charts.forEach((one) => one.destroy()); };
}

/** A part of a document as nested lists, with the names of its fields. */
export function tree(value) {
  if (value === null || value === undefined) return h("span", { class: "soft" }, "–");
  if (Array.isArray(value)) return value.length === 0 ? h("span", { class: "soft" }, "none") : value.every((one) => typeof one !== "object") ? h("span", { class: "mono" }, value.join(", ")) : h("ul", { class: "plain" }, value.map((one) => h("li", {}, tree(one))));
  if (typeof value === "object") {
    const entries = Object.entries(value).filter(([name, one]) => name !== "unknown" && one !== null && !(Array.isArray(one) && one.length === 0));
    const why = value.unknown && Object.entries(value.unknown);
    return h("div", {}, h("dl", {}, entries.map(([name, one]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, tree(one))])),
      why && why.length > 0 ? h("details", {}, h("summary", { class: "soft" }, `${why.length} not known`), h("ul", { class: "plain" }, why.map(([name, reason]) => h("li", {}, `${name.replaceAll("_", " ")}: ${reason}`)))) : null);
  }
  return h("span", { class: "mono" }, String(value));
}

function inspected(card) {
  const parts = Object.entries(card).filter(([name, value]) => name !== "targets" && name !== "sockets" && value !== null && !(Array.isArray(value) && value.length === 0));
  return h("div", {}, parts.map(([name, value]) => h("details", { open: name !== "files" }, h("summary", {}, name.replaceAll("_", " ")), tree(value))));
}

export function limits(list) {
  if (!list || list.length === 0) return null;
  return add(h("details", {}, h("summary", {}, `${list.length} things could not be seen`)), [h("ul", { class: "plain" }, list.map((one) => h("li", {}, `${one.what}: ${one.why}${one.remedy ? ` (try ${one.remedy})` : ""}`)))]);
}
