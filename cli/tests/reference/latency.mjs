// How long a call takes over pipes, in a memory the size of many conversations; beside it the reference, with what it can hold.
//
//   node cli/tests/reference/latency.mjs target/release/llmdb [facts] [versions]
//   node cli/tests/reference/latency.mjs reference [entities]
//
// Ours: facts with several versions each, loaded a thousand a call, then single calls of `remember` (another version) and
// `recall` (one subject) with random keys. Both: `add_observations` and `open_nodes` on a graph of as many entities.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start } from './client.mjs';

const program = process.argv[2] ?? 'reference';
const count = Number(process.argv[3] ?? (program === 'reference' ? 10000 : 100000));
const versions = Number(process.argv[4] ?? 5);
const BATCH = 1000;
const folder = mkdtempSync(join(tmpdir(), 'latency-'));
// The same keys in every run.
let seed = 7;
const random = (below) => { seed = (seed * 1103515245 + 12345) % 2147483648; return seed % below; };
const milliseconds = (value) => `${value.toFixed(2)} ms`;

async function measure(name, calls, one) {
  const times = [];
  for (let call = 0; call < calls; call++) {
    const began = performance.now();
    const result = await one(call);
    times.push(performance.now() - began);
    if (!result || result.isError) throw new Error(`${name}: ${JSON.stringify(result)}`);
  }
  times.sort((a, b) => a - b);
  const at = (share) => milliseconds(times[Math.min(times.length - 1, Math.floor(times.length * share))]);
  console.log(`  ${name}: p50 ${at(0.5)}, p99 ${at(0.99)} of ${calls} calls`);
}

const resident = (pid) => /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

let server = await start(program, folder);
console.log(`${program}: an empty memory answers after ${milliseconds(server.started)}`);
const words = 'prefers tea in the morning and reviews the draft of the week by Friday'.split(' ');
const sentence = (number, version) => `${words.map((_, index) => words[(index * 7 + number + version) % words.length]).join(' ')} ${version}`;
let began = performance.now();
if (program !== 'reference') {
  for (let version = 0; version < versions; version++) {
    for (let from = 0; from < count; from += BATCH) {
      const facts = Array.from({ length: Math.min(BATCH, count - from) }, (_, index) => ({
        key: `person${Math.floor((from + index) / 10)}/fact${(from + index) % 10}`, text: sentence(from + index, version), source: 'a conversation', tags: ['load'],
      }));
      const result = await server.call('remember', { facts });
      if (result.isError) throw new Error(result.content[0].text);
    }
  }
  console.log(`  ${count} facts with ${versions} versions each: loaded in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}
began = performance.now();
const entities = Math.min(count, program === 'reference' ? count : 10000);
for (let from = 0; from < entities; from += BATCH) {
  const batch = Array.from({ length: Math.min(BATCH, entities - from) }, (_, index) => ({
    name: `entity${from + index}`, entityType: 'person', observations: [0, 1, 2, 3, 4].map((version) => sentence(from + index, version)),
  }));
  await server.call('create_entities', { entities: batch });
}
console.log(`  ${entities} entities with 5 observations each: loaded in ${((performance.now() - began) / 1000).toFixed(1)} s`);
await server.end();
server = await start(program, folder);
console.log(`  a full memory answers after ${milliseconds(server.started)}`);
if (program !== 'reference') {
  await measure('remember', 2000, (call) => {
    const number = random(count);
    return server.call('remember', { facts: [{ key: `person${Math.floor(number / 10)}/fact${number % 10}`, text: `${sentence(number, versions)} ${call}` }] });
  });
  await measure('recall of a subject', 2000, () => server.call('recall', { subject: `person${random(count / 10)}` }));
  await measure('recall of a key', 2000, () => {
    const number = random(count);
    return server.call('recall', { keys: [`person${Math.floor(number / 10)}/fact${number % 10}`] });
  });
}
const calls = program === 'reference' ? 200 : 2000;
await measure('add_observations', calls, (call) => server.call('add_observations', { observations: [{ entityName: `entity${random(entities)}`, contents: [`new ${call}`] }] }));
await measure('open_nodes', calls, () => server.call('open_nodes', { names: [`entity${random(entities)}`] }));
await measure('search_nodes', 20, () => server.call('search_nodes', { query: `entity${random(entities)}x` }));
const file = join(folder, program === 'reference' ? 'memory.jsonl' : 'memory.llmdb');
console.log(`  resident: ${resident(server.pid)} KiB; file: ${(statSync(file).size / 1048576).toFixed(1)} MiB`);
await server.end();
rmSync(folder, { recursive: true });
