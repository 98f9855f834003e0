// How long a call takes over pipes, in a memory the size of many conversations, and beside the reference with what it can hold.
//
//   node cli/tests/reference/latency.mjs target/release/llmdb [--facts 100000] [--versions 5] [--entities 10000] [--rounds 5] [--folder FOLDER]
//
// Ours has the facts, several versions of each, loaded a thousand a call, and the entities; the reference has the entities. Then rounds,
// ours and the reference in turn, each with a server of its own: from its start to the first answers, and single calls with random
// keys. What is printed is the median of the rounds. With --folder what was loaded stays there, and the next run does not load.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { start } from './client.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: Object.fromEntries(['facts', 'versions', 'entities', 'rounds', 'folder'].map((name) => [name, { type: 'string' }])),
});
const program = positionals[0];
if (!program) throw new Error('which program? Give the path of llmdb, built with --release');
const [facts, versions, entities, rounds] = [['facts', 100000], ['versions', 5], ['entities', 10000], ['rounds', 5]]
  .map(([name, otherwise]) => Number(values[name] ?? otherwise));
const BATCH = 1000;
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'latency-'));
const say = (text) => process.stderr.write(`${text}\n`);
// The same keys in every run.
let seed = 7;
const random = (below) => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * below); };
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const words = 'prefers tea in the morning and reviews the draft of the week by Friday'.split(' ');
const sentence = (number, version) => `topic${number % 5003} ${words.map((_, index) => words[(index * 7 + number + version) % words.length]).join(' ')} ${version}`;
const keyOf = (number) => `person${Math.floor(number / 10)}/fact${number % 10}`;

async function must(server, name, args) {
  const result = await server.call(name, args);
  if (!result || result.isError) throw new Error(`${name}: ${JSON.stringify(result)}`);
  return result;
}

// Calls `one` for each batch of `count` things, and tells how far it is.
async function batches(what, count, one) {
  const began = performance.now();
  for (let from = 0; from < count; from += BATCH) {
    await one(from, Math.min(BATCH, count - from));
    if ((from / BATCH) % 20 === 19) say(`  ${what}: ${from + BATCH} of ${count}, ${((performance.now() - began) / 1000).toFixed(1)} s`);
  }
  return (performance.now() - began) / 1000;
}

const list = (count, make) => Array.from({ length: count }, (_, index) => make(index));

async function load(name, path) {
  const half = `${path}.half`;
  rmSync(half, { recursive: true, force: true });
  mkdirSync(half, { recursive: true });
  const server = await start(name, half);
  if (name !== 'reference') {
    let seconds = 0;
    for (let version = 0; version < versions; version++) {
      seconds += await batches(`version ${version + 1} of the facts`, facts, (from, count) => must(server, 'remember', {
        facts: list(count, (index) => ({ key: keyOf(from + index), text: sentence(from + index, version), source: 'a conversation', tags: ['load'] })),
      }));
    }
    console.log(`loaded ${facts} facts with ${versions} versions each in ${seconds.toFixed(1)} s: ${(seconds * 1e6 / facts / versions).toFixed(0)} us a version`);
  }
  const seconds = await batches('entities', entities, (from, count) => must(server, 'create_entities', {
    entities: list(count, (index) => ({ name: `entity${from + index}`, entityType: 'person', observations: list(5, (version) => sentence(from + index, version)) })),
  }));
  console.log(`${name === 'reference' ? 'reference' : 'ours'}: ${entities} entities with 5 observations each loaded in ${seconds.toFixed(1)} s`);
  await server.end();
  renameSync(half, path);
}

async function measure(server, times, name, calls, one) {
  const took = [];
  for (let call = 0; call < calls; call++) {
    const began = performance.now();
    await one(call);
    took.push(performance.now() - began);
  }
  took.sort((a, b) => a - b);
  const at = (share) => took[Math.min(calls - 1, Math.floor(calls * share))];
  add(times, `${name}, p50`, at(0.5));
  add(times, `${name}, p99`, at(0.99));
}

const add = (times, name, value) => (times[name] ??= []).push(value);
const status = (pid, what) => Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? NaN);

async function round(name, path, number, times) {
  const began = performance.now();
  const server = await start(name, path);
  add(times, 'start to the answer to initialize', server.started);
  const ours = name !== 'reference';
  await must(server, 'open_nodes', { names: ['entity1'] });
  add(times, 'start to the first entity', performance.now() - began);
  if (ours) {
    const fact = (call) => { const it = random(facts); return { key: keyOf(it), text: `${sentence(it, versions)} ${number} ${call}` }; };
    await measure(server, times, 'remember a fact', 400, (call) => must(server, 'remember', { facts: [fact(call)] }));
    await measure(server, times, 'recall a key', 400, () => must(server, 'recall', { keys: [keyOf(random(facts))] }));
    await measure(server, times, 'recall a subject (10 facts)', 400, () => must(server, 'recall', { subject: `person${random(facts / 10)}` }));
    await measure(server, times, 'recall by a rare and a common word', 100, () => must(server, 'recall', { text: `topic${random(5003)} tea`, max_results: 10 }));
  }
  await measure(server, times, 'add_observations', ours ? 400 : 40, (call) => must(server, 'add_observations', { observations: [{ entityName: `entity${random(entities)}`, contents: [`new ${number} ${call}`] }] }));
  await measure(server, times, 'open_nodes', ours ? 400 : 40, () => must(server, 'open_nodes', { names: [`entity${random(entities)}`] }));
  await measure(server, times, 'search_nodes', 10, () => must(server, 'search_nodes', { query: `entity${random(entities)}x` }));
  // What a process has of its own counts; pages of the file that it has mapped are the system's to take back.
  add(times, 'memory of its own (MiB)', status(server.pid, 'RssAnon') / 1024);
  add(times, 'memory with pages of the file (MiB)', status(server.pid, 'VmRSS') / 1024);
  await server.end();
}

const sides = [[program, join(folder, 'ours'), {}], ['reference', join(folder, 'reference'), {}]];
for (const [name, path] of sides) if (!existsSync(path)) await load(name, path);

function print(done) {
  const [ours, reference] = sides.map(([, , times]) => Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)])));
  console.log(`\n| median of ${done} rounds, in ms unless it says otherwise | ours | reference | reference / ours |\n|---|---|---|---|`);
  for (const [name, value] of Object.entries(ours)) {
    const other = reference[name];
    console.log(`| ${name} | ${value.toFixed(2)} | ${other?.toFixed(2) ?? ''} | ${other ? (other / value).toFixed(1) : ''} |`);
  }
  const size = (path) => `${(statSync(path).size / 1048576).toFixed(1)} MiB`;
  console.log(`\nfiles: ours ${size(join(sides[0][1], 'memory.llmdb'))}, reference ${size(join(sides[1][1], 'memory.jsonl'))}`);
}

let done = 0;
// Whoever is impatient gets what there is.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => { if (done) print(done); process.exit(1); });
while (done < rounds) {
  for (const [name, path, times] of sides) await round(name, path, done, times);
  done++;
  say(`  round ${done} of ${rounds}`);
}
if (done) print(done);
if (!values.folder) rmSync(folder, { recursive: true });
