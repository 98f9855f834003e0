// The page of a memory: facts and their history in two times, the graph, live. Everything stored is hostile: it is only ever set
// as text, never as markup.
"use strict";

const POLL_MS = 1500;
const LIST_MAX = 40;
const VERSIONS_DRAWN_MAX = 80;
const SVG = "http://www.w3.org/2000/svg";

const at = (id) => document.getElementById(id);
const state = { txid: null, seen: 0, view: "facts", facts: [], cursor: null, chosen: null, entity: null, asking: 0 };

// An element with attributes and children; strings become text.
function make(tag, attributes = {}, ...children) {
  const isDrawing = ["svg", "g", "rect", "line", "text", "circle", "title", "path"].includes(tag);
  const element = isDrawing ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  return fill(element, ...children);
}

// Puts children into an element in place of what it has.
function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

// How wide a drawing may be, so that its letters are as large as others.
const room = (element, most) => Math.max(300, Math.min(most, element.clientWidth || document.querySelector("main").clientWidth - 34));

// ---- asking the server ----

function token() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem("token");
}

class Refused extends Error {}

async function ask(path, parameters = {}) {
  const url = new URL(path, location.href);
  for (const [name, value] of Object.entries(parameters)) if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  const key = token();
  const answer = await fetch(url, { headers: key ? { authorization: `Bearer ${key}` } : {}, cache: "no-store", credentials: "omit" });
  if (answer.status === 401) {
    if (!at("key-dialog").open) at("key-dialog").showModal();
    throw new Refused("The server asks for its token.");
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(body.error ?? `The server answered ${answer.status}.`);
  return body;
}

function fail(error) {
  at("failure").hidden = false;
  at("failure").textContent = error instanceof Refused ? error.message : `The server does not answer (${error.message}).`;
}

const point = () => ({ valid: at("valid").value.trim(), known: at("known").value.trim() });

// ---- times ----

// Microseconds since 1970 of an RFC 3339 text in UTC; infinite for no end.
function micros(text, none) {
  if (text === null || text === undefined) return none;
  const parts = /^(.*?)(?:\.(\d+))?Z$/.exec(text);
  if (!parts) return Date.parse(text) * 1000;
  return Date.parse(`${parts[1]}Z`) * 1000 + Number((parts[2] ?? "").padEnd(6, "0").slice(0, 6));
}

function stamp(us) {
  const seconds = new Date(Math.floor(us / 1e6) * 1000).toISOString().slice(0, 19);
  const rest = us - Math.floor(us / 1e6) * 1e6;
  return `${seconds}${rest ? `.${String(rest).padStart(6, "0")}` : ""}Z`;
}

// As people read it: no midnight, no fractions unless they tell moments apart.
function short(text) {
  if (text === null || text === undefined) return "";
  return text.replace("T00:00:00Z", "").replace("T", " ").replace(/(:\d\d)(\.\d+)?Z$/, "$1");
}

function span(period) {
  if (!period.from && !period.to) return "always";
  if (!period.to) return `since ${short(period.from)}`;
  if (!period.from) return `until ${short(period.to)}`;
  return `${short(period.from)} to ${short(period.to)}`;
}

// ---- facts ----

const said = (fact) => fact.text ?? (fact.value === undefined ? "" : JSON.stringify(fact.value));

function meta(fact) {
  const parts = [];
  if (fact.valid) parts.push(span(fact.valid));
  if (fact.source) parts.push(`source: ${fact.source}`);
  if (typeof fact.confidence === "number") parts.push(`confidence: ${fact.confidence}`);
  return parts.join(" · ");
}

function row(fact) {
  const isNew = state.seen && fact.learned && fact.learned.txid > state.seen;
  const open = make("button", { type: "button", "data-key": fact.key, "aria-current": fact.key === state.chosen, class: isNew ? "is-new" : null, on: { click: () => choose(fact.key) } },
    make("span", { class: "key" }, fact.key),
    make("span", { class: "said" }, said(fact)),
    make("span", { class: "meta" }, meta(fact)),
    (fact.tags ?? []).map((tag) => make("span", { class: "tag" }, tag)));
  return make("li", {}, open);
}

async function listFacts(cursor = null) {
  const mine = ++state.asking;
  const found = await ask("api/facts", { query: at("query").value.trim(), ...point(), limit: LIST_MAX, cursor });
  if (mine !== state.asking) return;
  state.facts = cursor ? [...state.facts, ...found.facts] : found.facts;
  state.cursor = found.cursor ?? null;
  const focused = document.activeElement?.dataset?.key;
  at("list").replaceChildren(...state.facts.map(row));
  if (!state.facts.length) at("list").append(make("li", { class: "meta" }, at("query").value.trim() ? "Nothing says so." : "Nothing is known there."));
  at("more").hidden = !state.cursor;
  if (focused) entry(focused)?.focus();
}

const entry = (key) => [...at("list").querySelectorAll("button")].find((button) => button.dataset.key === key);

async function choose(key) {
  state.chosen = key;
  for (const button of at("list").querySelectorAll("button")) button.setAttribute("aria-current", button.dataset.key === key);
  const told = await ask("api/history", { key }).catch((error) => fail(error));
  if (told && state.chosen === key) showFact(told);
}

function showFact(told) {
  const asked = point();
  const versions = told.versions.map((version, index) => ({
    ...version, index,
    box: [micros(version.valid.from, -Infinity), micros(version.valid.to, Infinity), micros(version.known.from, -Infinity), micros(version.known.to, Infinity)],
  }));
  const moment = [asked.valid ? Date.parse(asked.valid) * 1000 : Date.now() * 1000, asked.known ? Date.parse(asked.known) * 1000 : Infinity];
  const holds = ({ box }) => box[0] <= moment[0] && moment[0] < box[1] && box[2] <= moment[1] && (moment[1] < box[3] || box[3] === Infinity);
  const chosen = versions.find(holds);
  const colours = palette(versions);
  const drawn = versions.slice(-VERSIONS_DRAWN_MAX);
  open();
  fill(at("fact"),
    closer(),
    make("h2", {}, told.key),
    make("p", { class: "said" }, chosen ? said(chosen) : "Nothing is believed of this at that point."),
    make("p", { class: "meta" }, chosen ? meta(chosen) : ""),
    make("h3", {}, "When it was true, and when that was known"),
    drawn.length < versions.length ? make("p", { class: "hint" }, `The drawing shows the last ${drawn.length} of ${versions.length} versions.`) : null,
    make("div", { class: "chart" }, chart(drawn, colours, moment, chosen)),
    make("h3", {}, "Versions, the newest first"),
    table([...versions].reverse(), colours, chosen),
    told.cursor ? make("p", { class: "hint" }, "There are older or newer versions that this page does not show.") : null,
  );
}

// Makes room for one thing.
function open() {
  const wasHidden = at("fact").hidden;
  at("fact").hidden = false;
  document.querySelector("main").classList.add("has-fact");
  if (wasHidden && matchMedia("(max-width: 57.99rem)").matches) requestAnimationFrame(() => at("fact").scrollIntoView({ block: "nearest" }));
}

const closer = () => make("button", { type: "button", class: "close", "aria-label": "Close", on: { click: close } }, "×");

// Each thing that was said has its colour.
function palette(versions) {
  const colours = new Map();
  const shade = matchMedia("(prefers-color-scheme: dark)").matches ? "38% 34%" : "58% 76%";
  for (const version of versions) if (!colours.has(said(version))) colours.set(said(version), `hsl(${(205 + colours.size * 137.5) % 360} ${shade})`);
  return colours;
}

function table(versions, colours, chosen) {
  const cells = (version) => [
    ["Said", make("span", {}, make("span", { class: "swatch", "data-colour": colours.get(said(version)) }), said(version))],
    ["True", span(version.valid)],
    ["Known", span(version.known)],
    ["From", [version.source, version.agent].filter(Boolean).join(", ")],
  ];
  const line = (version) => make("tr", { class: version === chosen ? "is-chosen" : null }, cells(version).map(([label, cell]) => make("td", { "data-label": label }, cell)));
  const drawn = make("table", {}, make("thead", {}, make("tr", {}, ["Said", "True", "Known", "From"].map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, versions.map(line)));
  for (const swatch of drawn.querySelectorAll(".swatch")) swatch.style.background = swatch.dataset.colour;
  return drawn;
}

// Valid time from left to right, known time upwards. Moments at which something changes stand at even distances, so that corrections
// of a second and facts of a century are both seen.
function chart(versions, colours, moment, chosen) {
  const [width, left, right, top, bottom] = [room(at("fact"), 760) - 32, 104, 10, 26, 42];
  const edges = (from, to) => [...new Set(versions.flatMap(({ box }) => [box[from], box[to]]).filter(Number.isFinite))].sort((a, b) => a - b);
  const [valid, known] = [edges(0, 1), edges(2, 3)];
  const height = top + bottom + Math.max(120, Math.min(420, (known.length + 1) * 34));
  // What has no beginning takes a step before the first mark; otherwise the first mark is the beginning.
  const scale = (marks, hasBefore, start, length) => (value) => {
    const step = length / Math.max(1, marks.length + (hasBefore ? 1 : 0));
    if (value === -Infinity) return start;
    if (value === Infinity) return start + length;
    const after = marks.findIndex((mark) => mark > value);
    const index = after < 0 ? marks.length : after;
    const [low, high] = [marks[index - 1], marks[index]];
    const part = low === undefined || high === undefined ? (value === low ? 0 : 0.5) : (value - low) / (high - low);
    return Math.max(start, start + (index - (hasBefore ? 0 : 1) + part) * step);
  };
  const [isAlways, isEver] = [0, 2].map((edge) => versions.some(({ box }) => box[edge] === -Infinity) || !(edge ? known : valid).length);
  const x = scale(valid, isAlways, left, width - left - right);
  const upwards = scale(known, isEver, 0, height - top - bottom);
  const y = (value) => height - bottom - upwards(value);
  const drawing = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${versions.length} versions by valid time and known time; the table below says the same` });
  const label = (us) => short(stamp(us));
  const every = (marks, most) => Math.ceil(marks.length / most);
  known.forEach((mark, index) => {
    drawing.append(make("line", { class: "grid", x1: left, x2: width - right, y1: y(mark), y2: y(mark) }));
    if (index % every(known, 12) === 0) drawing.append(make("text", { class: "tick", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, brief(label(mark), known.map(label))));
  });
  valid.forEach((mark, index) => {
    drawing.append(make("line", { class: "grid", x1: x(mark), x2: x(mark), y1: top, y2: height - bottom }));
    if (index % every(valid, Math.floor((width - left) / 76)) === 0) drawing.append(make("text", { class: "tick", x: x(mark), y: height - bottom + 14, "text-anchor": index ? "middle" : "start" }, brief(label(mark), valid.map(label))));
  });
  for (const version of versions) {
    const [x1, x2, y1, y2] = [x(version.box[0]), x(version.box[1]), y(version.box[3]), y(version.box[2])];
    const shape = make("rect", { class: version === chosen ? "version is-chosen" : "version", x: x1, y: y1, width: Math.max(1, x2 - x1), height: Math.max(1, y2 - y1), rx: 2, fill: colours.get(said(version)) },
      make("title", {}, `${said(version)}\ntrue ${span(version.valid)}\nknown ${span(version.known)}`));
    shape.addEventListener("click", () => goTo(version));
    drawing.append(shape);
    const letters = Math.floor((x2 - x1 - 8) / 6);
    if (letters > 3 && y2 - y1 > 13) drawing.append(make("text", { x: x1 + 5, y: y1 + 14, "pointer-events": "none" }, clip(said(version), letters)));
  }
  drawing.append(
    make("line", { class: "point", x1: x(moment[0]), x2: x(moment[0]), y1: top, y2: height - bottom }),
    make("text", { class: "tick", x: left + (width - left - right) / 2, y: height - 6, "text-anchor": "middle" }, "true in the world →"),
    make("text", { class: "tick", x: left - 6, y: 14, "text-anchor": "end" }, "↑ known"));
  if (Number.isFinite(moment[1])) drawing.append(make("line", { class: "point", x1: left, x2: width - right, y1: y(moment[1]), y2: y(moment[1]) }));
  return drawing;
}

const clip = (text, room) => (text.length > room ? `${text.slice(0, Math.max(1, room - 1))}…` : text);

// A label without the day that all labels share.
function brief(label, all) {
  const day = all[0]?.slice(0, 10);
  return all.length > 1 && label.length > 10 && all.every((other) => other.slice(0, 10) === day) ? label.slice(11) : label.slice(0, 16);
}

function goTo(version) {
  at("times").open = true;
  at("valid").value = version.valid.from ?? (version.valid.to ? stamp(micros(version.valid.to) - 1) : "");
  at("known").value = version.known.to ? stamp(micros(version.known.to) - 1) : "";
  refresh();
}

// ---- the graph ----

async function showGraph() {
  const mine = ++state.asking;
  const found = await ask("api/graph", { query: at("query").value.trim(), known: point().known });
  if (mine !== state.asking) return;
  const section = at("graph");
  const names = new Set(found.entities.map((entity) => entity.name));
  const relations = found.relations.filter((relation) => names.has(relation.from) && names.has(relation.to));
  fill(section,
    make("p", { class: "hint" }, `${found.entities.length} entities, ${relations.length} relations${found.is_cut ? `; ${found.total} in all: search to see others` : ""}.`),
    found.entities.length ? drawGraph(found.entities, relations) : null);
  const chosen = found.entities.find((entity) => entity.name === state.entity);
  if (chosen) showEntity(chosen, relations);
}

function drawGraph(entities, relations) {
  const width = room(at("graph"), 1100);
  const height = Math.max(360, Math.min(1400, (entities.length * 11000) / width + 160));
  const places = arrange(entities, relations, width, height);
  const drawing = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-label": "Entities and how they are related" });
  for (const relation of relations) {
    const [from, to] = [places.get(relation.from), places.get(relation.to)];
    drawing.append(make("line", { class: "edge", x1: from.x, y1: from.y, x2: to.x, y2: to.y }, make("title", {}, `${relation.from} ${relation.relationType} ${relation.to}`)));
    if (relations.length <= 60) drawing.append(make("text", { class: "edge-label", x: (from.x + to.x) / 2, y: (from.y + to.y) / 2, "text-anchor": "middle" }, clip(relation.relationType, 24)));
  }
  for (const entity of entities) {
    const place = places.get(entity.name);
    const tell = () => { state.entity = entity.name; showEntity(entity, relations); };
    const node = make("g", { class: entity.name === state.entity ? "node is-chosen" : "node", tabindex: 0, role: "button", "aria-label": `${entity.name}, ${entity.entityType}` },
      make("circle", { cx: place.x, cy: place.y, r: 7 + Math.min(9, entity.observations.length) }),
      make("text", { x: place.x, y: place.y - 14 - Math.min(9, entity.observations.length) / 2, "text-anchor": "middle" }, clip(entity.name, 22)),
      make("title", {}, `${entity.name} (${entity.entityType})`));
    node.addEventListener("click", tell);
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); tell(); } });
    drawing.append(node);
  }
  return drawing;
}

// Springs between the related, distance between all; the same picture each time.
function arrange(entities, relations, width, height) {
  const places = entities.map((entity, index) => {
    const angle = index * 2.399963;
    const radius = 30 + 14 * Math.sqrt(index * 8);
    return { name: entity.name, x: width / 2 + radius * Math.cos(angle), y: height / 2 + radius * Math.sin(angle), dx: 0, dy: 0 };
  });
  const byName = new Map(places.map((place) => [place.name, place]));
  const ideal = Math.sqrt((width * height) / Math.max(1, places.length)) * 0.6;
  for (let round = 0; round < 260; round++) {
    const heat = (1 - round / 260) * (width / 14);
    for (const place of places) [place.dx, place.dy] = [(width / 2 - place.x) * 0.16, (height / 2 - place.y) * 0.16];
    for (let i = 0; i < places.length; i++) {
      for (let j = i + 1; j < places.length; j++) {
        const [a, b] = [places[i], places[j]];
        const [x, y] = [a.x - b.x || 0.1, a.y - b.y || 0.1];
        // Those that are far from each other leave each other alone, or everything would stand at the edges.
        const squared = x * x + y * y;
        if (squared > 9 * ideal * ideal) continue;
        const push = (ideal * ideal) / squared;
        a.dx += x * push; a.dy += y * push; b.dx -= x * push; b.dy -= y * push;
      }
    }
    for (const relation of relations) {
      const [a, b] = [byName.get(relation.from), byName.get(relation.to)];
      if (a === b) continue;
      const [x, y] = [a.x - b.x, a.y - b.y];
      const pull = Math.hypot(x, y) / ideal;
      a.dx -= x * pull; a.dy -= y * pull; b.dx += x * pull; b.dy += y * pull;
    }
    for (const place of places) {
      const length = Math.hypot(place.dx, place.dy) || 1;
      place.x = Math.min(width - 60, Math.max(60, place.x + (place.dx / length) * Math.min(length, heat)));
      place.y = Math.min(height - 30, Math.max(40, place.y + (place.dy / length) * Math.min(length, heat)));
    }
  }
  return byName;
}

function showEntity(entity, relations) {
  const mine = relations.filter((relation) => relation.from === entity.name || relation.to === entity.name);
  open();
  fill(at("fact"),
    closer(),
    make("h2", {}, entity.name),
    make("p", { class: "meta" }, entity.entityType),
    make("ul", {}, entity.observations.map((observation) => make("li", { class: "said" }, observation))),
    mine.length ? make("h3", {}, "Relations") : null,
    make("ul", {}, mine.map((relation) => make("li", {}, `${relation.from} ${relation.relationType} ${relation.to}`))));
  for (const node of at("graph").querySelectorAll(".node")) node.classList.toggle("is-chosen", node.getAttribute("aria-label") === `${entity.name}, ${entity.entityType}`);
}

// ---- moving about ----

function show(view) {
  state.view = view;
  at("show-facts").setAttribute("aria-pressed", view === "facts");
  at("show-graph").setAttribute("aria-pressed", view === "graph");
  at("facts").hidden = view !== "facts";
  at("graph").hidden = view !== "graph";
  close();
  refresh();
}

function close() {
  [state.chosen, state.entity] = [null, null];
  at("fact").hidden = true;
  document.querySelector("main").classList.remove("has-fact");
  for (const button of at("list").querySelectorAll("button")) button.setAttribute("aria-current", "false");
}

async function refresh() {
  try {
    if (state.view === "graph") await showGraph();
    else {
      await listFacts();
      if (state.chosen) await choose(state.chosen);
    }
    at("failure").hidden = true;
  } catch (error) {
    fail(error);
  }
}

async function poll() {
  if (document.hidden) return;
  try {
    const now = await ask("api/state");
    const isFirst = state.txid === null;
    if (now.txid !== state.txid) {
      state.seen = isFirst ? now.txid : state.txid;
      state.txid = now.txid;
      if (!isFirst) await refresh();
    }
    at("state").textContent = `tx${now.txid}${point().valid || point().known ? ", another time" : ", live"}`;
    if (at("failure").dataset.from === "poll") [at("failure").hidden, at("failure").dataset.from] = [true, ""];
  } catch (error) {
    at("state").textContent = "not connected";
    at("failure").dataset.from = "poll";
    fail(error);
  }
}

function step(by) {
  const buttons = [...at("list").querySelectorAll("button")];
  if (!buttons.length || state.view !== "facts") return;
  const index = buttons.indexOf(document.activeElement);
  buttons[Math.min(buttons.length - 1, Math.max(0, index < 0 ? 0 : index + by))].focus();
}

function toNow() {
  [at("valid").value, at("known").value] = ["", ""];
  refresh();
}

const KEYS = { "/": () => at("query").focus(), j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1), g: () => show("graph"), f: () => show("facts"), n: toNow };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("key-dialog").open) return;
  const isTyping = event.target instanceof HTMLInputElement;
  if (event.key === "Escape") {
    if (isTyping) event.target.blur();
    else close();
  } else if (isTyping && event.key === "ArrowDown") {
    event.preventDefault();
    step(0);
  } else if (!isTyping && KEYS[event.key] && !(event.target.closest?.("#graph") && event.key.startsWith("Arrow"))) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

let typing = 0;
at("query").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refresh, 180); });
at("ask").addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
at("more").addEventListener("click", () => listFacts(state.cursor).catch(fail));
at("to-now").addEventListener("click", toNow);
at("show-facts").addEventListener("click", () => show("facts"));
at("show-graph").addEventListener("click", () => show("graph"));
at("key-form").addEventListener("submit", () => {
  sessionStorage.setItem("token", at("key").value);
  at("key").value = "";
  refresh();
});
document.addEventListener("visibilitychange", poll);

token();
poll();
refresh();
setInterval(poll, POLL_MS);
