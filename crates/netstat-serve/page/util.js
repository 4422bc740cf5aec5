// Small helpers. Texts from outside reach the page as text nodes only.

export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

const UNITS = ["B", "KB", "MB", "GB", "TB", "PB"];

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  let unit = 0;
  let rest = Math.abs(value);
  while (rest >= 1000 && unit < UNITS.length - 1) { rest /= 1000; unit += 1; }
  return `${unit === 0 || rest >= 100 ? Math.round(rest) : rest.toFixed(1)} ${UNITS[unit]}`;
}

export const rate = (value) => (value === null || value === undefined ? "–" : `${bytes(value)}/s`);
export const number = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en"));
/** `1 finding`, `2 findings`. */
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
export const percent = (value) => (value === null || value === undefined ? "–" : `${value < 10 ? value.toFixed(1) : Math.round(value)} %`);

export function rtt(value) {
  if (value === null || value === undefined) return "–";
  return value < 1000 ? `${value} µs` : `${(value / 1000).toFixed(1)} ms`;
}

export function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return "0 s";
  const out = [];
  let rest = Math.floor(seconds);
  for (const [size, name] of parts.slice(at, at + 2)) { out.push(`${Math.floor(rest / size)} ${name}`); rest %= size; }
  return out.join(" ");
}

export const end = (address, port) => (address === null ? "" : address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);

export function notice(text) {
  const box = document.getElementById("notice");
  const line = h("p", {}, text);
  box.append(line);
  setTimeout(() => line.remove(), 8000);
}

/** A document of the API. Problems are errors with their detail. */
export async function api(path, parameters) {
  const query = new URLSearchParams(Object.entries(parameters || {}).filter(([, value]) => value !== "" && value !== null && value !== undefined));
  const text = query.toString();
  const response = await fetch(`/api/v1/${path}${text ? `?${text}` : ""}`, { headers: { Accept: "application/json" } });
  if (response.status === 401) { location.reload(); }
  const document = await response.json();
  if (!response.ok) throw new Error(document.detail || document.title || `status ${response.status}`);
  return document;
}

/** Lets the browser save a text as a file. */
export function save(name, kind, text) {
  const url = URL.createObjectURL(new Blob([text], { type: kind }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

export function csv(names, rows) {
  // A cell that begins like a formula would be one in a spreadsheet.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    let text = String(value);
    if (typeof value === "string" && /^\s*[=+\-@|%]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [names, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function table(caption, columns, rows, empty) {
  if (rows.length === 0) return h("p", { class: "empty" }, empty || "None.");
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, columns.map(([name, , kind]) => h("th", { class: kind, scope: "col" }, name)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map(([, value, kind]) => h("td", { class: kind }, value(row))))))));
}
