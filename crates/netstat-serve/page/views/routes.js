// Interfaces, routes and the counters of the protocols.

import { api, h, number, table } from "../util.js";
import { limits } from "./process.js";

export function show(main) {
  const routes = h("section", { class: "card" }, h("p", {}, "Looking…"));
  const counters = h("section", { class: "card" }, h("p", {}, "Looking…"));
  const zeros = h("input", { type: "checkbox", onchange: () => draw() });
  main.append(h("h2", {}, "Routes and counters"), routes, h("div", { class: "row" }, h("label", {}, zeros, " counters that are 0, too"), h("button", { type: "button", onclick: () => load() }, "Read again")), counters);
  let before = null;
  let now = null;
  const failed = (box) => (error) => box.replaceChildren(h("p", { class: "empty" }, error.message));
  function load() {
    api("routes").then(({ routes: found, limits: missing }) => routes.replaceChildren(h("h2", {}, "Interfaces and routes"),
      table("Interfaces", [["Name", (one) => one.name], ["State", (one) => (one.up ? "up" : "down")], ["Addresses", (one) => h("span", { class: "mono" }, one.addresses.map((each) => `${each.address}/${each.prefix_length}`).join(", "))], ["MTU", (one) => number(one.mtu), "num"], ["MAC", (one) => h("span", { class: "mono" }, one.mac || "–")]], found.interfaces || []),
      table("Routes", [["Destination", (one) => h("span", { class: "mono" }, one.destination)], ["Gateway", (one) => h("span", { class: "mono" }, one.gateway || "–")], ["Interface", (one) => one.interface || "–"], ["Metric", (one) => number(one.metric), "num"], ["Kind", (one) => one.kind], ["Table", (one) => one.table_name || one.table]], found.rows || []), limits(missing) ?? ""), failed(routes));
    api("statistics", { verbose: "true" }).then((document) => { [before, now] = [now, document]; draw(); }, failed(counters));
  }
  function draw() {
    if (!now) return;
    const flat = (document) => {
      const out = new Map();
      const put = (block, name, value) => out.set(`${block} ${name}`, { block, name: name.replaceAll("_", " "), value });
      for (const [block, figures] of Object.entries(document?.statistics?.blocks || {})) {
        for (const [name, value] of Object.entries(figures || {})) {
          if (value !== null && typeof value === "object") for (const [way, one] of Object.entries(value)) put(block, `${name} ${way}`, one);
          else put(block, name, value);
        }
      }
      return out;
    };
    const [old, all] = [flat(before), flat(now)];
    const rows = [...all].filter(([, one]) => typeof one.value === "number" && (zeros.checked || one.value !== 0)).map(([key, one]) => ({ ...one, more: typeof old.get(key)?.value === "number" ? one.value - old.get(key).value : null }));
    const blocks = [...new Set(rows.map((row) => row.block))];
    counters.replaceChildren(h("h2", {}, "Counters since the start of the system, and since the last reading"), h("div", { class: "cards" }, blocks.map((block) => h("div", {}, table(block, [["Counter", (one) => one.name], ["Total", (one) => number(one.value), "num"], ["New", (one) => (one.more === null ? "–" : number(one.more)), "num"]], rows.filter((row) => row.block === block))))), limits(now.limits) ?? "");
  }
  load();
  return () => {};
}
