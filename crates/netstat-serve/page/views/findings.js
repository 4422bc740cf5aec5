// What the audit finds, with its evidence. What was acknowledged here is remembered by this browser.

import { tree, limits } from "./process.js";
import { api, h, save } from "../util.js";

const ORDER = ["critical", "high", "medium", "low", "info"];
const CLASS = { critical: "bad", high: "bad", medium: "warn", low: "soft", info: "soft" };

const known = () => { try { return new Set(JSON.parse(localStorage.getItem("acknowledged") || "[]")); } catch { return new Set(); } };
const key = (finding, programs) => JSON.stringify([finding.rule, finding.headline, programs]);

export function show(main, parameters, remember) {
  const box = h("div", { class: "stack" }, h("p", { role: "status" }, "The audit runs…"));
  let document_ = null;
  const hidden = h("input", { type: "checkbox", checked: parameters.get("all") === "1", onchange: () => { remember({ all: hidden.checked ? "1" : "" }); draw(); } });
  main.append(h("h2", {}, "Findings"), h("div", { class: "row" }, h("label", {}, hidden, " show acknowledged ones, too"),
    h("button", { type: "button", onclick: () => document_ && save("netstat-findings.json", "application/json", JSON.stringify(document_, null, 1)) }, "JSON")), box);
  function draw() {
    const seen = known();
    const all = [...document_.findings].sort((one, other) => ORDER.indexOf(one.severity) - ORDER.indexOf(other.severity));
    const shown = all.filter((finding) => hidden.checked || !seen.has(key(finding)));
    box.replaceChildren(
      h("p", {}, `${document_.examined} programs examined; ${all.length} findings, ${all.length - shown.length} of them acknowledged and not shown.`),
      shown.length === 0 ? h("p", { class: "good" }, all.length === 0 ? "The audit found nothing." : "Everything is acknowledged.") : null ?? "",
      ...shown.map((finding) => {
        const id = key(finding);
        const { severity, headline, evidence, harmless, verify, ...rest } = finding;
        return h("section", { class: "card" }, h("h3", {}, h("span", { class: CLASS[severity] }, severity), ` ${headline ?? ""}`),
          evidence ? h("ul", { class: "plain" }, [evidence].flat().map((line) => h("li", {}, typeof line === "string" ? line : tree(line)))) : null,
          harmless ? h("p", {}, h("span", { class: "soft" }, "Harmless when: "), harmless) : null,
          verify ? h("p", {}, h("span", { class: "soft" }, "Look yourself: "), h("code", { class: "mono" }, [verify].flat().join("; "))) : null,
          h("details", {}, h("summary", {}, "All of it"), tree(rest)),
          h("div", {}, h("button", { type: "button", "aria-pressed": seen.has(id), onclick: () => {
            const now = known();
            if (!now.delete(id)) now.add(id);
            localStorage.setItem("acknowledged", JSON.stringify([...now].slice(-500)));
            draw();
          } }, seen.has(id) ? "Acknowledged" : "Acknowledge")));
      }),
      document_.unexamined?.length ? h("details", {}, h("summary", {}, "What was not examined"), h("ul", { class: "plain" }, document_.unexamined.map((line) => h("li", {}, line)))) : "",
      limits(document_.limits) ?? "");
  }
  let here = true;
  api("findings").then((document) => { document_ = document; if (here) draw(); }, (error) => box.replaceChildren(h("p", { class: "empty" }, error.message)));
  return () => { here = false; };
}
