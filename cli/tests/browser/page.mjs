// Looks at the page of a memory in a real browser: at the size of a desk and of a phone, by day and by night, with hostile facts.
//
//     npm install && LLMDB=path/to/llmdb CHROMIUM=/usr/bin/chromium node page.mjs [FOLDER FOR SCREENSHOTS]
//
// Ends with an error at the first promise that the page breaks.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer from "puppeteer-core";

const program = process.env.LLMDB ?? "llmdb";
const folder = mkdtempSync(join(tmpdir(), "llmdb-page-"));
const shots = process.argv[2] ?? join(folder, "shots");
mkdirSync(shots, { recursive: true });
const HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";
const TOKEN = "0123456789abcdef0123456789abcdef";

const run = (...words) => execFileSync(program, [...words, "--db", join(folder, "a.llmdb")], { encoding: "utf8" });

function fill() {
  run("remember", "ada/city", "London", "--from", "2019-03-01", "--source", "a letter", "--tag", "home");
  run("remember", "ada/city", "Paris", "--from", "2019-06-01");
  run("correct", "ada/city", "Paris", "--from", "2019-05-01", "--to", "2019-06-01", "--because", "the stamp says May");
  run("remember", "mallory/<b>note</b>", HOSTILE, "--source", HOSTILE);
  for (let number = 0; number < 60; number++) run("remember", `bob/note-${number}`, `Note ${number} about ${number % 2 ? "gardens" : "trains"}`);
}

// A server and its address.
function serve(token) {
  const env = { ...process.env, LLMDB_TOKEN: token ?? "" };
  if (!token) delete env.LLMDB_TOKEN;
  const child = spawn(program, ["mcp", join(folder, "a.llmdb"), "--http", "127.0.0.1:0", "--json"], { env, stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    let said = "";
    child.stderr.on("data", (piece) => {
      said += piece;
      if (said.includes("\n")) resolve({ child, address: JSON.parse(said.split("\n")[0]).serving.replace(/mcp$/, "") });
    });
  });
}

async function open(browser, address, size, scheme, problems) {
  const page = await browser.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("request", (request) => !request.url().startsWith(address) && !request.url().startsWith("data:") && problems.push(`asked ${request.url()}`));
  await page.setViewport({ ...size, isMobile: size.width < 600, hasTouch: size.width < 600 });
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.goto(address, { waitUntil: "networkidle0" });
  return page;
}

const texts = (page, selector) => page.$$eval(selector, (found) => found.map((element) => element.textContent));
const until = (page, check, ...values) => page.waitForFunction(check, { timeout: 8000 }, ...values);

async function look(browser, address, name, size, scheme) {
  const problems = [];
  const page = await open(browser, address, size, scheme, problems);
  await until(page, () => document.querySelectorAll("#list button").length === 40);
  await page.screenshot({ path: join(shots, `${name}-facts.png`) });
  await page.click("#more");
  await until(page, () => document.querySelectorAll("#list button").length === 62);

  // Search, by keyboard alone; then the history of what was found.
  await page.keyboard.press("/");
  await page.keyboard.type("paris");
  await until(page, () => document.querySelectorAll("#list button").length === 1);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelectorAll("svg .version").length >= 3);
  assert.deepEqual((await texts(page, "#fact h2")), ["ada/city"]);
  await page.screenshot({ path: join(shots, `${name}-history.png`) });

  // A click into the drawing asks for what was believed there.
  const old = await page.evaluateHandle(() => [...document.querySelectorAll("svg .version")].find((box) => box.textContent.includes("London")));
  await old.asElement().click();
  await until(page, () => document.querySelector("#fact .said").textContent === "London");
  assert.notEqual(await page.$eval("#valid", (input) => input.value), "");
  await page.screenshot({ path: join(shots, `${name}-then.png`) });
  await page.$eval("#to-now", (button) => button.click());
  await page.keyboard.press("Escape");

  // What is stored stays text.
  await page.$eval("#query", (input) => { input.value = "mallory"; input.dispatchEvent(new Event("input")); });
  await until(page, () => document.querySelector("#list .key")?.textContent.startsWith("mallory"));
  await page.$eval("#list button", (button) => button.click());
  await until(page, () => document.querySelector("#fact h2")?.textContent.startsWith("mallory"));
  assert.equal(await page.title(), "LLMDB memory");
  assert.equal((await page.$$("main img, main script")).length, 0);
  await page.$eval("#query", (input) => { input.value = ""; input.dispatchEvent(new Event("input")); });
  await page.$eval("#fact .close", (button) => button.click());

  // Another process learns something: the page shows it by itself.
  await until(page, () => document.querySelectorAll("#list button").length === 40);
  run("remember", "aaa/live", `told beside the page, ${name}`);
  await until(page, (said) => document.querySelector("#list .said")?.textContent.endsWith(said), name);
  run("forget", "aaa/live");
  await until(page, () => document.querySelector("#list .key")?.textContent !== "aaa/live");

  await page.$eval("#show-graph", (button) => button.click());
  await until(page, () => document.querySelectorAll("svg .node").length === 3);
  await page.$eval("svg .node", (node) => node.dispatchEvent(new MouseEvent("click")));
  await until(page, () => !document.querySelector("#fact").hidden);
  await page.screenshot({ path: join(shots, `${name}-graph.png`) });
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, "nothing hangs over the edge");
  assert.deepEqual(problems, []);
  await page.close();
}

async function askForToken(browser, address) {
  const problems = [];
  const page = await open(browser, address, { width: 1280, height: 900 }, "light", problems);
  await until(page, () => document.querySelector("#key-dialog").open);
  assert.equal((await page.$$("#list button")).length, 0);
  await page.type("#key", TOKEN);
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelectorAll("#list button").length === 40);
  await page.close();
}

async function tell(address) {
  const entities = ["Ada", HOSTILE, "Engine"].map((name) => ({ name, entityType: "thing", observations: [`about ${name}`] }));
  const relations = [{ from: "Ada", to: "Engine", relationType: "wrote_for" }, { from: HOSTILE, to: "Ada", relationType: HOSTILE }];
  let session;
  const send = async (message) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream", ...(session && { "mcp-session-id": session }) };
    const answer = await fetch(`${address}mcp`, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", ...message }) });
    session ??= answer.headers.get("mcp-session-id");
    await answer.text();
  };
  await send({ id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "page", version: "1" } } });
  await send({ method: "notifications/initialized" });
  await send({ id: 2, method: "tools/call", params: { name: "create_entities", arguments: { entities } } });
  await send({ id: 3, method: "tools/call", params: { name: "create_relations", arguments: { relations } } });
}

fill();
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const { child, address } = await serve();
  await tell(address);
  await look(browser, address, "desk", { width: 1280, height: 900 }, "light");
  await look(browser, address, "desk-night", { width: 1280, height: 900 }, "dark");
  await look(browser, address, "phone", { width: 390, height: 844 }, "dark");
  child.removeAllListeners("exit");
  child.kill();
  const guarded = await serve(TOKEN);
  await askForToken(browser, guarded.address);
  guarded.child.removeAllListeners("exit");
  guarded.child.kill();
  console.log(`the page keeps its promises; screenshots in ${shots}`);
} finally {
  await browser.close();
  if (process.argv[2]) rmSync(folder, { recursive: true, force: true });
}
