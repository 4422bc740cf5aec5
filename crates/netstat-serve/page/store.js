// What the stream tells: the table of sockets, the computer as a whole, the last minutes.

const KEEP_GONE = 4000;
const KEEP_NEW = 4000;
const KEEP_POINTS = 450;

export const store = {
  about: { host: "", version: "", actions: false, locations: false, fleet: false },
  columns: [],
  rows: new Map(),
  gone: new Map(),
  born: new Map(),
  overview: null,
  points: { time: [], cpu: [], memory: [], diskOut: [], diskIn: [], netOut: [], netIn: [], connections: [], byProcess: new Map() },
  recent: [],
  paused: false,
  ready: false,
  version: 0,
};

const listeners = new Set();
/** Calls `tell` after every sample, until the function it gives is called. */
export function watch(tell) { listeners.add(tell); return () => listeners.delete(tell); }

/** Called when the server has said what it can do. */
let introduced = () => {};
export function onAbout(tell) { introduced = tell; }

function tellAll() { store.version += 1; for (const tell of [...listeners]) tell(); }

const note = (kind, row) => {
  store.recent.unshift({ kind, row, time: Date.now() });
  if (store.recent.length > 60) store.recent.length = 60;
};

let resetting = false;
const handlers = {
  about(data) {
    const changed = ["actions", "locations", "fleet"].some((name) => data[name] !== store.about[name]);
    store.about = data;
    if (changed) introduced();
  },
  columns(data) { store.columns = data; },
  reset() { store.rows = new Map(); store.born.clear(); store.gone.clear(); resetting = true; },
  rows(data) {
    const now = performance.now();
    for (const row of data) {
      const before = store.rows.get(row[0]);
      // In TIME_WAIT nobody holds a connection any more: it has closed, and the row before knows its program.
      const closed = row[6] === "TIME_WAIT" && before?.[6] !== "TIME_WAIT";
      if (!resetting && !before) store.born.set(row[0], now);
      if (!resetting && (closed || !before)) note(closed ? "closed" : "opened", before ?? row);
      store.rows.set(row[0], row);
    }
  },
  gone(data) {
    const now = performance.now();
    for (const row of data) {
      store.rows.delete(row[0]);
      store.born.delete(row[0]);
      store.gone.set(row[0], { row, at: now });
      if (row[6] !== "TIME_WAIT") note("closed", row);
    }
  },
  overview(data) {
    resetting = false;
    const now = performance.now();
    for (const [id, { at }] of store.gone) if (now - at > KEEP_GONE) store.gone.delete(id);
    for (const [id, at] of store.born) if (now - at > KEEP_NEW) store.born.delete(id);
    store.overview = data;
    store.ready = true;
    const points = store.points;
    const used = data.memory_total && data.memory_available !== null ? 100 * (1 - data.memory_available / data.memory_total) : null;
    const values = { time: data.time / 1000, cpu: data.cpu, memory: used, diskOut: data.disk[0], diskIn: data.disk[1], netOut: data.network[0], netIn: data.network[1], connections: data.connections };
    for (const [name, value] of Object.entries(values)) { points[name].push(value); if (points[name].length > KEEP_POINTS) points[name].shift(); }
    for (const process of data.processes) {
      let past = points.byProcess.get(process.pid);
      if (!past || past.start !== process.process_start) { past = { start: process.process_start, time: [], cpu: [], netOut: [], netIn: [], memory: [] }; points.byProcess.set(process.pid, past); }
      past.seen = store.version;
      for (const [name, value] of [["time", data.time / 1000], ["cpu", process.cpu], ["netOut", process.network[0]], ["netIn", process.network[1]], ["memory", process.memory]]) {
        past[name].push(value); if (past[name].length > 150) past[name].shift();
      }
    }
    for (const [pid, past] of points.byProcess) if (store.version - past.seen > 60) points.byProcess.delete(pid);
    tellAll();
  },
};

let source = null;
export function connect(status) {
  source = new EventSource("/api/v1/live");
  source.onopen = () => status("live");
  source.onerror = () => {
    status("lost");
    // EventSource tries again by itself, except after an answer that says no.
    if (source.readyState === EventSource.CLOSED) {
      fetch("/api/v1/openapi.json", { method: "HEAD" }).then((reply) => { if (reply.status === 401) location.reload(); }, () => {});
      setTimeout(() => connect(status), 5000);
    }
  };
  for (const [name, handle] of Object.entries(handlers)) source.addEventListener(name, (event) => { if (!store.paused) handle(JSON.parse(event.data)); });
}

/** Pausing closes the stream, so that the server can rest; going on begins with a whole table. */
export function pause(on, status) {
  store.paused = on;
  if (on) { source?.close(); status("paused"); } else { connect(status); }
}
