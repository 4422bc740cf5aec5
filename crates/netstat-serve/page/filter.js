// The filter language: the filter options of the command line, as words. "program:nginx port:443 -state:TIME_WAIT public 10.0.0.0/8"
// All words must hold; of values with commas between them, one; a dash in front turns a word round.

const PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "0.0.0.0/8",
  "224.0.0.0/4", "::1/128", "::/128", "fe80::/10", "fc00::/7", "ff00::/8"];

function v4(text) {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
}

/** An address as [bits, number]; null where it is none. */
export function address(text) {
  const plain = v4(text);
  if (plain !== null) return [32, plain];
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(":")) return null;
  let words = text;
  const tail = /:(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (tail) {
    const low = v4(tail[1]);
    if (low === null) return null;
    words = text.slice(0, -tail[1].length) + (low >> 16n).toString(16) + ":" + (low & 0xffffn).toString(16);
  }
  const halves = words.split("::");
  if (halves.length > 2) return null;
  const read = (half) => (half === "" ? [] : half.split(":"));
  const [front, back] = [read(halves[0]), read(halves[1] ?? "")];
  const missing = 8 - front.length - back.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = halves.length === 1 ? front : [...front, ...Array(missing).fill("0"), ...back];
  if (!all.every((word) => /^[0-9a-f]{1,4}$/i.test(word))) return null;
  const value = all.reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
  return value >> 32n === 0xffffn ? [32, value & 0xffffffffn] : [128, value];
}

function network(text) {
  const [base, length] = text.split("/");
  const parsed = address(base);
  if (parsed === null) return null;
  const [bits, value] = parsed;
  if (length !== undefined && !(/^\d+$/.test(length) && Number(length) <= bits)) return null;
  const shift = BigInt(bits - (length === undefined ? bits : Number(length)));
  return (text) => {
    const other = known(text);
    return other !== null && other[0] === bits && other[1] >> shift === value >> shift;
  };
}

const parsed = new Map();
function known(text) {
  if (text === null) return null;
  let value = parsed.get(text);
  if (value === undefined) {
    if (parsed.size > 200000) parsed.clear();
    value = address(text);
    parsed.set(text, value);
  }
  return value;
}

const privates = PRIVATE.map(network);
const publics = new Map();
export function isPublic(text) {
  let value = publics.get(text);
  if (value === undefined) {
    if (publics.size > 200000) publics.clear();
    value = text !== null && !privates.some((within) => within(text));
    publics.set(text, value);
  }
  return value;
}

function glob(text) {
  const pattern = text.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  const test = new RegExp(`^${pattern}$`, "i");
  return (value) => value !== null && value !== undefined && test.test(value);
}

function range(text) {
  const match = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text);
  if (!match) return null;
  const [low, high] = [Number(match[1]), Number(match[2] ?? match[1])];
  return (value) => value !== null && value >= low && value <= high;
}

function side(text) {
  const bracket = /^\[([^\]]+)\](?::(.+))?$/.exec(text);
  const simple = /^([^:]*):([\d-]+)$/.exec(text);
  const [host, port] = bracket ? [bracket[1], bracket[2]] : simple ? [simple[1], simple[2]] : [text, undefined];
  const ports = port === undefined ? () => true : range(port);
  const hosts = host === "" ? () => true : network(host);
  if (ports === null || hosts === null) return null;
  return (address, port) => hosts(address) && ports(port);
}

const C = { protocol: 1, local: 2, localPort: 3, foreign: 4, foreignPort: 5, state: 6, pid: 7, program: 9, user: 10, unit: 11, country: 21, system: 22 };
const listens = (row) => (row[C.protocol] === "UDP" ? row[C.foreignPort] === null : row[C.state] === "LISTENING");

/** Fields with values: a test of a row from one value, or null. */
const FIELDS = {
  state: (text) => { const test = glob(text); return (row) => test(row[C.state]); },
  protocol: (text) => { const test = glob(text); return (row) => test(row[C.protocol]); },
  port: (text) => { const test = range(text); return test && ((row) => test(row[C.localPort]) || test(row[C.foreignPort])); },
  local: (text) => { const test = side(text); return test && ((row) => test(row[C.local], row[C.localPort])); },
  foreign: (text) => { const test = side(text); return test && ((row) => row[C.foreign] !== null && test(row[C.foreign], row[C.foreignPort])); },
  pid: (text) => { const test = range(text); return test && ((row) => test(row[C.pid])); },
  program: (text) => { const test = glob(text); return (row) => test(row[C.program]); },
  user: (text) => { const test = glob(text); return (row) => test(row[C.user]); },
  unit: (text) => { const test = glob(text); return (row) => test(row[C.unit]); },
  country: (text) => { const test = glob(text); return (row) => test(row[C.country]); },
  // "13335", "AS13335" or a part of the name.
  as: (text) => { const test = /^(?:AS)?\d+$/i.test(text) ? glob(`AS${text.replace(/^AS/i, "")}*`) : glob(`*${text}*`); const number = /^(?:AS)?\d+$/i.test(text) ? `AS${text.replace(/^AS/i, "")}` : null; return (row) => test(row[C.system]) && (number === null || row[C.system].split(" ")[0].toUpperCase() === number); },
};

const FLAGS = {
  listening: listens,
  established: (row) => row[C.state] === "ESTABLISHED",
  public: (row) => row[C.foreign] !== null && isPublic(row[C.foreign]),
  exposed: (row) => listens(row) && !(row[C.local].startsWith("127.") || row[C.local] === "::1"),
};

/** A filter from its text: { test, error }. */
export function parse(text) {
  const tests = [];
  for (const typed of text.split(/\s+/).filter(Boolean)) {
    const turned = typed.startsWith("-") && typed.length > 1;
    const word = turned ? typed.slice(1) : typed;
    const match = /^([a-z]+):(.*)$/i.exec(word);
    const name = match && match[1].toLowerCase();
    let test = null;
    if (match && Object.hasOwn(FIELDS, name)) {
      const each = match[2].split(",").filter(Boolean).map((value) => [value, FIELDS[name](value)]);
      if (each.length === 0) return { test: () => true, error: `${name}: a value is expected` };
      const wrong = each.find(([, one]) => one === null);
      if (wrong) return { test: () => true, error: `${name}: ${wrong[0]} is not valid` };
      test = (row) => each.some(([, one]) => one(row));
    } else if (match && /^[a-z]+$/i.test(name) && !/^[0-9a-f]+$/i.test(name)) {
      return { test: () => true, error: `${name} is no field; there are ${Object.keys(FIELDS).join(", ")}` };
    } else if (Object.hasOwn(FLAGS, word)) {
      test = FLAGS[word];
    } else {
      const within = network(word);
      const low = word.toLowerCase();
      test = within
        ? (row) => within(row[C.local]) || (row[C.foreign] !== null && within(row[C.foreign]))
        : (row) => [C.program, C.unit, C.user, C.local, C.foreign, C.state].some((at) => row[at] !== null && String(row[at]).toLowerCase().includes(low));
    }
    tests.push(turned ? (row) => !test(row) : test);
  }
  return { test: (row) => tests.every((test) => test(row)), error: "" };
}

/** What may follow the text: [shown, whole text]. `values` gives the values of a field among the present rows. */
export function complete(text, values) {
  const at = text.lastIndexOf(" ") + 1;
  const [before, word] = [text.slice(0, at), text.slice(at)];
  const dash = word.startsWith("-") ? "-" : "";
  const bare = word.slice(dash.length).toLowerCase();
  const colon = bare.indexOf(":");
  if (colon < 0) {
    const names = [...Object.keys(FIELDS).map((name) => `${name}:`), ...Object.keys(FLAGS)];
    return names.filter((name) => name.startsWith(bare) && name !== bare).map((name) => [dash + name, before + dash + name]);
  }
  const name = bare.slice(0, colon);
  if (!Object.hasOwn(FIELDS, name)) return [];
  const list = word.slice(dash.length + colon + 1);
  const comma = list.lastIndexOf(",") + 1;
  const start = list.slice(comma).toLowerCase();
  return values(name).filter((value) => value.toLowerCase().startsWith(start) && value.toLowerCase() !== start && !/\s/.test(value)).slice(0, 12)
    .map((value) => [value, `${before}${dash}${name}:${list.slice(0, comma)}${value}`]);
}

export const FIELD_COLUMNS = { state: C.state, protocol: C.protocol, port: C.localPort, local: C.local, foreign: C.foreign, pid: C.pid, program: C.program, user: C.user, unit: C.unit, country: C.country, as: C.system };
