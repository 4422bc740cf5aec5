// The frame of the page: views by the part of the address behind #, theme, pause, report.

import { connect, onAbout, pause, store, watch } from "./store.js";
import { h, notice, save } from "./util.js";
import * as overview from "./views/overview.js";
import * as connections from "./views/connections.js";
import * as process from "./views/process.js";
import * as findings from "./views/findings.js";
import * as history from "./views/history.js";
import * as routes from "./views/routes.js";
import * as health from "./views/health.js";
import * as fleet from "./views/fleet.js";

const VIEWS = [["overview", "Overview", overview], ["connections", "Connections", connections], ["process", "Processes", process],
  ["findings", "Findings", findings], ["history", "History", history], ["routes", "Routes and counters", routes], ["health", "Health", health], ["fleet", "Fleet", fleet]];
const offered = ([name]) => name !== "fleet" || store.about.fleet;

const main = document.getElementById("main");
const nav = document.getElementById("nav");
let leave = null;
let shown = "";

/** The view and its parameters in the address. */
function where() {
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  return [VIEWS.some(([known]) => known === name) ? name : "overview", new URLSearchParams(query || "")];
}

/** Puts the parameters of a view into the address, so that it can be shared. */
function remember(parameters) {
  const [name] = where();
  const text = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined)).toString();
  const hash = `#/${name}${text ? `?${text}` : ""}`;
  if (location.hash !== hash) window.history.replaceState(null, "", hash);
  shown = hash;
}

function go() {
  if (location.hash === shown && leave) return;
  shown = location.hash;
  const [name, parameters] = where();
  leave?.();
  const [, title, view] = VIEWS.find(([known]) => known === name);
  nav.replaceChildren(...VIEWS.filter(offered).map(([known, label]) => h("li", {}, h("a", { href: `#/${known}`, "aria-current": known === name ? "page" : undefined }, label))));
  document.title = `${title} – netstat`;
  main.replaceChildren();
  try {
    leave = view.show(main, parameters, remember) || (() => {});
  } catch (error) {
    leave = () => {};
    notice(`This view failed: ${error.message}`);
    throw error;
  }
}

const badge = document.getElementById("link");
function status(text) { badge.textContent = text; badge.className = `badge ${text}`; }

const themes = ["system", "light", "dark"];
const themeButton = document.getElementById("theme");
function theme(name) {
  if (name === "system") document.documentElement.removeAttribute("data-theme"); else document.documentElement.dataset.theme = name;
  themeButton.textContent = `Theme: ${name}`;
  localStorage.setItem("theme", name);
  dispatchEvent(new Event("themechange"));
}
themeButton.addEventListener("click", () => theme(themes[(themes.indexOf(localStorage.getItem("theme") || "system") + 1) % themes.length]));
theme(themes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));

const pauseButton = document.getElementById("pause");
pauseButton.addEventListener("click", () => {
  const on = !store.paused;
  pause(on, status);
  pauseButton.setAttribute("aria-pressed", on);
});

document.getElementById("report").addEventListener("click", () => {
  const { columns, overview } = store;
  const rows = [...store.rows.values()].slice(0, 100000);
  const document_ = { made: new Date().toISOString(), page: location.hash, overview, columns, rows, recent: store.recent };
  save(`netstat-report-${Date.now()}.json`, "application/json", JSON.stringify(document_, null, 1));
});

// Links in the page change the part behind # themselves; a skip link must not.
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
addEventListener("hashchange", go);
// What the server can do changes what views offer.
onAbout(() => { shown = null; go(); });
watch(() => { const age = store.overview.sockets_age; document.getElementById("host").textContent = store.about.host + (age > 5 ? ` – sockets are ${Math.round(age)} s old` : ""); });
connect(status);
go();
