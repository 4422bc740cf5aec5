// Charts by uPlot, in the colours of the page.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A time in seconds since 1970 as an axis with steps of `step` seconds shows it: 17:09:30, 17:09 or 2026-11-28, in local time. */
function clock(time, step) {
  const date = new Date(time * 1000);
  const two = (value) => String(value).padStart(2, "0");
  if (step >= 86400) return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${two(date.getHours())}:${two(date.getMinutes())}${step < 60 ? `:${two(date.getSeconds())}` : ""}`;
}

/** A chart of lines over time. `lines` are [label, colour name]; `show` formats a value. */
export function chart(box, lines, show, options = {}) {
  const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 }, font: "11px system-ui, sans-serif" };
  const bars = options.bars ? { paths: globalThis.uPlot.paths.bars({ size: [0.9, 100] }), fill: () => colour("--c1") } : {};
  const plot = new globalThis.uPlot({
    width: Math.max(200, box.clientWidth), height: options.height || 130,
    legend: { show: false }, cursor: options.select ? { drag: { x: true, y: false, setScale: false } } : { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (u, low, high) => [0, options.most || Math.max(high * 1.1, options.least || 1)] } },
    series: [{}, ...lines.map(([label, name]) => ({ label, stroke: () => colour(name), width: 1.5, spanGaps: false, points: { show: false }, ...bars }))],
    axes: [{ ...axis, space: 70, values: (u, ticks, at, space, step) => ticks.map((tick) => clock(tick, step)) }, { ...axis, size: 76, values: (u, ticks) => ticks.map(show), space: 28 }],
    hooks: options.select ? { setSelect: [(u) => { if (u.select.width > 2) options.select(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")); }] } : {},
  }, [[], ...lines.map(() => [])], box);
  const resized = new ResizeObserver(() => { if (box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: options.height || 130 }); });
  resized.observe(box);
  const themed = () => plot.redraw(false, true);
  addEventListener("themechange", themed);
  return { set: (data) => plot.setData(data), destroy: () => { resized.disconnect(); removeEventListener("themechange", themed); plot.destroy(); } };
}
