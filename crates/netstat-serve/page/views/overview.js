// Graphs of the four resources, what is new, what was found.

import { chart } from "../chart.js";
import { store, watch } from "../store.js";
import { CLASS, ORDER, subject } from "./findings.js";
import { add, api, end, h, number, percent, rate, span, table } from "../util.js";

export function show(main) {
  const cards = [
    ["Processor", [["busy", "--c1"]], ["cpu"], percent, 100],
    ["Memory", [["used", "--c1"]], ["memory"], percent, 100],
    ["Disk: written and read", [["written", "--c1"], ["read", "--c2"]], ["diskOut", "diskIn"], rate],
    ["Network: sent and received", [["sent", "--c1"], ["received", "--c2"]], ["netOut", "netIn"], rate],
  ].map(([title, lines, names, format, most]) => {
    const now = h("p", { class: "now" }, "–");
    const box = h("div", { class: "chart", "aria-hidden": "true" });
    return { title, lines, names, format, most, now, box, element: h("section", { class: "card" }, h("h2", {}, title), now, box) };
  });
  const facts = h("dl", {});
  const recent = h("div", {});
  const busy = h("div", {});
  const found = h("div", {}, h("p", { class: "empty" }, "Examining programs…"));
  const fleet = h("div", {}, h("p", { class: "empty" }, "Asking the fleet's store…"));
  main.append(h("h2", {}, "Overview"), h("div", { class: "cards four" }, cards.map((card) => card.element)),
    h("div", { class: "cards" },
      h("section", { class: "card" }, h("h2", {}, "Connections"), facts),
      store.about.fleet && h("section", { class: "card" }, h("h2", {}, "Fleet"), fleet),
      h("section", { class: "card" }, h("h2", {}, "Findings"), found)),
    h("div", { class: "cards" },
      h("section", { class: "card" }, h("h2", {}, "Recently opened and closed"), recent),
      h("section", { class: "card" }, h("h2", {}, "Busiest programs"), busy)));
  const charts = cards.map((card) => chart(card.box, card.lines, card.format, { most: card.most, least: 10 }));

  const draw = () => {
    const points = store.points;
    cards.forEach((card, at) => {
      charts[at].set([points.time, ...card.names.map((name) => points[name])]);
      card.now.replaceChildren();
      add(card.now, card.names.map((name, place) => [place ? " · " : "", card.names.length > 1 ? h("span", { class: "soft" }, `${card.lines[place][0]} `) : "", card.format(points[name].at(-1))]));
    });
    const now = store.overview;
    if (!now) return;
    const states = new Map();
    for (const row of store.rows.values()) { const name = row[6] || row[1]; states.set(name, (states.get(name) || 0) + 1); }
    facts.replaceChildren();
    const fact = (name, value) => add(facts, [h("dt", {}, name), h("dd", {}, value)]);
    fact("TCP connections", number(now.connections));
    fact("Opened, closed", `${now.turnover.map((value) => (value === null ? "–" : value.toFixed(1))).join(", ")} a second${now.watched ? "" : " (short ones are not seen)"}`);
    fact("Sockets", [...states].sort((one, other) => other[1] - one[1]).map(([name, count], at) => [at ? ", " : "", h("a", { href: `#/connections?filter=${name === "UDP" ? "protocol" : "state"}:${name}` }, `${number(count)} ${name}`)]));
    fact("Up since", span(now.uptime));
    recent.replaceChildren(table("Newest first", [
      ["", (one) => h("span", { class: one.kind === "opened" ? "good" : "soft" }, one.kind)],
      ["Program", (one) => one.row[9] || "–"],
      ["Foreign address", (one) => h("span", { class: "mono" }, end(one.row[4], one.row[5]) || `${end(one.row[2], one.row[3])} (listens)`)],
    ], store.recent.slice(0, 10), "Nothing has opened or closed since this page was opened."));
    busy.replaceChildren(table("By processor, disk and network", [
      ["Program", (one) => h("a", { href: `#/process?pid=${one.pid}` }, one.program)],
      ["CPU", (one) => percent(one.cpu), "num"],
      ["Sent", (one) => rate(one.network[0]), "num"],
      ["Received", (one) => rate(one.network[1]), "num"],
    ], now.processes.slice(0, 8)));
  };
  const stop = watch(draw);
  draw();
  if (store.about.fleet) {
    api("fleet-status").then((status) => fleet.replaceChildren(h("p", {}, h("a", { href: "#/fleet" }, `${number(status.hosts)} hosts`), status.late > 0 ? [", ", h("a", { class: "warn", href: "#/fleet?late=1" }, `${number(status.late)} late`)] : ""),
      h("p", {}, `${number(status.flow_rows)} connections, ${number(status.waiting_rows)} rows waiting, `, h("span", { class: status.lost_rows > 0 ? "warn" : "" }, `${number(status.lost_rows)} lost`))),
    (error) => fleet.replaceChildren(h("p", { class: "bad" }, error.message)));
  }
  api("findings").then((document) => {
    const counts = new Map();
    const open = document.findings.filter((one) => !one.acknowledged).sort((one, other) => ORDER.indexOf(one.severity) - ORDER.indexOf(other.severity));
    for (const finding of open) counts.set(finding.severity, (counts.get(finding.severity) || 0) + 1);
    found.replaceChildren(counts.size === 0 ? h("p", { class: "good" }, "No findings, or all are acknowledged.") : h("p", {}, h("a", { href: "#/findings" }, [...counts].map(([name, count]) => `${count} ${name}`).join(", "))),
      h("ul", { class: "plain" }, open.slice(0, 6).map((finding) => h("li", {}, h("span", { class: CLASS[finding.severity] }, finding.severity), " ", subject(finding), ` ${finding.headline ?? ""}`))));
  }, (error) => found.replaceChildren(h("p", { class: "empty" }, error.message)));
  return () => { stop(); charts.forEach((one) => one.destroy()); };
}
