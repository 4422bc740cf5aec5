// The page in a real browser: page.mjs URL TOKEN PICTURES. Every view, a filter, a live change, the keyboard; no console error, no
// request outside, no serious finding of axe.
import { createServer } from "node:net";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [base, token, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const faults = [];
const check = (holds, what) => { if (!holds) { faults.push(what); console.log("FAULT", what); } };
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });

for (const [name, options] of [["light", { viewport: { width: 1280, height: 800 } }], ["dark", { viewport: { width: 1280, height: 800 }, colorScheme: "dark" }], ["phone", { viewport: { width: 390, height: 800 } }]]) {
  // The policy of the page would keep the checker out.
  const context = await browser.newContext({ ...options, bypassCSP: true });
  const page = await context.newPage();
  page.on("console", (message) => check(message.type() !== "error", `${name}: console: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `${name}: ${error.stack}`));
  page.on("request", (request) => check(request.url().startsWith(base) || request.url().startsWith("blob:"), `${name}: outside: ${request.url()}`));
  await page.goto(`${base}/?token=${token}`);
  await page.waitForFunction(() => document.querySelector("#link").textContent === "live");
  check(!page.url().includes("token"), "the token stays in the address");
  for (const view of ["overview", "connections", "process", "findings", "history", "routes", "health"]) {
    await page.goto(`${base}/#/${view}`);
    await page.waitForFunction((view) => document.querySelector("nav [aria-current=page]")?.getAttribute("href") === `#/${view}`, view);
    await page.waitForTimeout(view === "overview" ? 6000 : 2500);
    if (view === "health") await page.waitForFunction(() => document.querySelector("main").textContent.includes("What netstat can see here"), null, { timeout: 60000 }).catch(() => check(false, `${name}: the doctor does not answer`));
    await page.screenshot({ path: `${pictures}/${name}-${view}.png` });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(wide <= 1, `${name} ${view}: ${wide} pixels too wide`);
    await page.evaluate(axe);
    const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of result.violations.filter((one) => one.impact === "serious" || one.impact === "critical")) {
      check(false, `${name} ${view}: axe ${violation.id}: ${violation.nodes.length} times, ${violation.nodes[0].html.slice(0, 160)} ${violation.nodes[0].failureSummary?.slice(0, 300)}`);
    }
  }
  await context.close();
}

// What people do, once.
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const page = await context.newPage();
// The page that asks for the token comes with status 401, which the browser logs.
let signedOut = false;
page.on("console", (message) => check(message.type() !== "error" || signedOut, `use: console: ${message.text()}`));
page.on("pageerror", (error) => check(false, `use: ${error.stack}`));
await page.goto(`${base}/?token=${token}`);
await page.goto(`${base}/#/connections`);
const server = createServer().listen(0, "127.0.0.1");
await new Promise((done) => server.once("listening", done));
const port = server.address().port;
await page.fill("#filter", `port:${port} listening`);
await page.waitForFunction((port) => document.querySelector(".grid .line")?.textContent.includes(`127.0.0.1:${port}`), port, { timeout: 30000 }).catch(() => check(false, "a new listener is not shown"));
check(page.url().includes(`filter=port%3A${port}`), "the filter is not in the address");
const other = await context.newPage();
await other.goto(page.url());
await other.waitForFunction((port) => document.querySelector(".grid .line")?.textContent.includes(`:${port}`), port, { timeout: 30000 }).catch(() => check(false, "the address does not bring the filter back"));
await other.close();
server.close();
await page.waitForSelector(".grid .line.gone", { timeout: 30000 }).catch(() => check(false, "a closed listener is not marked"));
await page.fill("#filter", "stat");
check((await page.locator("#suggestions li").allTextContents()).includes("state:"), "no completion of a field");
await page.keyboard.press("ArrowDown");
await page.keyboard.press("Enter");
check((await page.inputValue("#filter")) === "state:", "a completion is not taken over");
check((await page.locator("#suggestions li").count()) > 0, "no completion of a value");
await page.fill("#filter", "colour:red");
check((await page.locator("p[role=alert]").textContent()).includes("colour"), "a wrong word is not named");
await page.fill("#filter", "");
await page.focus(".grid");
for (const key of ["Home", "ArrowDown", "ArrowDown", "PageDown", "End", "Home"]) await page.keyboard.press(key);
check((await page.getAttribute(".grid", "aria-activedescendant")) === "line-0", "the keyboard does not move in the table");
await page.keyboard.press("Enter");
check(await page.locator("dialog[open] dl").isVisible(), "Enter does not open a row");
await page.keyboard.press("Escape");
await page.selectOption("#group", "program");
await page.waitForFunction(() => document.querySelectorAll(".grid .line").length > 0);
check((await page.locator(".grid [role=columnheader]").count()) === 4, "no groups");
const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
check(readFileSync(await download.path(), "utf8").startsWith("program,count,sent,received"), "the export is not what is seen");
// A group opens as the rows that it stands for.
await page.locator(".grid .line", { hasNotText: "–" }).first().click();
await page.waitForFunction(() => document.querySelectorAll(".grid [role=columnheader]").length > 4 && document.querySelectorAll(".grid .line").length > 0, null, { timeout: 10000 }).catch(() => check(false, "a group does not open"));
check((await page.inputValue("#filter")).startsWith("program:"), "a group does not become a filter");
await page.goto(`${base}/`);
signedOut = true;
await page.getByRole("button", { name: "Sign out" }).click();
await page.waitForSelector("input[name=token]");
await browser.close();
console.log(faults.length === 0 ? "the page holds" : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
