// What the audit finds, with its evidence. Acknowledgements are those of the audit's baseline; beside them, this browser can hide a finding.

import { act } from "./connections.js";
import { tree, limits } from "./process.js";
import { store } from "../store.js";
import { api, count, h, save } from "../util.js";

export const ORDER = ["critical", "high", "medium", "low", "info"];
export const CLASS = { critical: "bad", high: "bad", medium: "warn", low: "soft", info: "soft" };

const known = () => { try { return new Set(JSON.parse(localStorage.getItem("hidden-findings") || "[]")); } catch { return new Set(); } };
// Other evidence is another finding: it is shown again.
const key = (finding) => finding.id ?? JSON.stringify([finding.rule, finding.headline, finding.evidence]);

/** The program that a finding is about, with its script and process id; a finding about the computer has none. */
export function subject(finding) {
  if (!finding.program) return "this computer:";
  const name = (path) => path.split("/").pop() || path;
  const script = finding.script ? ` (${name(finding.script)})` : "";
  return [h("a", { href: `#/process?pid=${finding.pid}`, title: finding.program }, `${name(finding.program)}${script}`), finding.pid ? ` [${finding.pid}]` : ""];
}

export function show(main, parameters, remember) {
  const box = h("div", { class: "stack" }, h("p", { role: "status" }, "Examining programs…"));
  let document_ = null;
  const hidden = h("input", { type: "checkbox", checked: parameters.get("all") === "1", onchange: () => { remember({ all: hidden.checked ? "1" : "" }); draw(); } });
  const dialog = h("dialog", { "aria-label": "Acknowledge a finding" });
  main.append(dialog, h("h2", {}, "Findings"), h("div", { class: "row" }, h("label", {}, hidden, " Show acknowledged and hidden findings"),
    h("button", { type: "button", onclick: () => document_ && save("netstat-findings.json", "application/json", JSON.stringify(document_, null, 1)) }, "JSON")), box);
  function draw() {
    const seen = known();
    const all = [...document_.findings].sort((one, other) => ORDER.indexOf(one.severity) - ORDER.indexOf(other.severity));
    const shown = all.filter((finding) => hidden.checked || !(finding.acknowledged || seen.has(key(finding))));
    const acknowledged = all.filter((finding) => finding.acknowledged).length;
    box.replaceChildren(
      h("p", {}, `${count(document_.examined, "program")} examined: ${count(all.length, "finding")}, ${acknowledged} acknowledged${all.length > shown.length ? `, ${all.length - shown.length} not shown` : ""}.`),
      shown.length === 0 ? h("p", { class: "good" }, all.length === 0 ? "The audit found nothing." : "All findings are acknowledged or hidden.") : null ?? "",
      ...shown.map((finding) => {
        const id = key(finding);
        const { severity, headline, evidence, harmless, verify, ...rest } = finding;
        return h("section", { class: "card" }, h("h3", {}, h("span", { class: CLASS[severity] }, severity), " ", subject(finding), ` ${headline ?? ""}`),
          evidence ? h("ul", { class: "plain" }, [evidence].flat().map((line) => h("li", {}, typeof line === "string" ? line : tree(line)))) : null,
          harmless ? h("p", {}, h("span", { class: "soft" }, "Harmless if: "), harmless) : null,
          verify ? h("p", {}, h("span", { class: "soft" }, "Verify: "), h("code", { class: "mono" }, [verify].flat().join("; "))) : null,
          h("details", {}, h("summary", {}, "All fields"), tree(rest)),
          finding.acknowledged ? h("p", {}, h("span", { class: "soft" }, "Acknowledged: "), finding.acknowledged)
            : finding.id && !store.about.actions && h("p", {}, h("span", { class: "soft" }, "Acknowledge for all users: "), h("code", { class: "mono" }, `netstat audit --acknowledge ${finding.id} --why "..."`)),
          h("div", { class: "row" }, finding.id && !finding.acknowledged && store.about.actions && h("button", { type: "button", onclick: () => acknowledge(dialog, finding, load) }, "Acknowledge…"), h("button", { type: "button", "aria-pressed": seen.has(id), onclick: () => {
            const now = known();
            if (!now.delete(id)) now.add(id);
            localStorage.setItem("hidden-findings", JSON.stringify([...now].slice(-500)));
            draw();
          } }, seen.has(id) ? "Show again here" : "Hide in this browser")));
      }),
      document_.unexamined?.length ? h("details", {}, h("summary", {}, "What was not examined"), h("ul", { class: "plain" }, document_.unexamined.map((line) => h("li", {}, line)))) : "",
      limits(document_.limits) ?? "");
  }
  let here = true;
  const load = () => api("findings").then((document) => { document_ = document; if (here) draw(); }, (error) => box.replaceChildren(h("p", { class: "empty" }, error.message)));
  load();
  return () => { here = false; };
}

/** Asks why, and until when, a finding is harmless; writes that to the audit's baseline. */
function acknowledge(dialog, finding, done) {
  const why = h("input", { type: "text", id: "why", required: true, maxlength: "500", autocomplete: "off" });
  const until = h("input", { type: "date", id: "until", min: new Date().toISOString().slice(0, 10) });
  const submit = h("button", { type: "submit" }, "Acknowledge");
  const form = h("form", { method: "dialog", class: "stack", onsubmit: async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const asked = { action: "acknowledge", id: finding.id, why: why.value.trim(), until: until.value || null };
    if (await act(asked)) { dialog.close(); done(); }
    submit.disabled = false;
  } },
  h("h2", {}, finding.headline ?? finding.rule), h("p", { class: "soft" }, "The finding then counts as harmless for all users while program, script and peer stay the same."),
  h("p", { class: "row" }, h("label", { for: "why" }, "Why is it harmless?"), h("span", { class: "grow" }, why)), h("p", { class: "row" }, h("label", { for: "until" }, "Until (optional)"), until),
  h("p", { class: "row" }, submit, h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")));
  dialog.replaceChildren(form);
  dialog.showModal();
  why.focus();
}
