// Twenty clients of five servers on one file, one server killed every second: is all there that was acknowledged?
//
//   node cli/tests/reference/killed-servers.mjs target/release/llmdb [seconds]
//
// Each server listens on a port of its own and has four clients over HTTP, each of which adds observations to an entity of its
// own as fast as it is answered. Killed means SIGKILL; the server is started again on the same port.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SERVERS = 5;
const CLIENTS = 4;
const program = process.argv[2] ?? 'target/release/llmdb';
const seconds = Number(process.argv[3] ?? 10);
const folder = mkdtempSync(join(tmpdir(), 'killed-servers-'));
const file = join(folder, 'memory.llmdb');
const until = Date.now() + seconds * 1000;

function serve(address) {
  const child = spawn(program, ['mcp', file, '--http', address, '--json'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ready = new Promise((resolve) => createInterface({ input: child.stderr }).on('line', (line) => {
    const url = line.startsWith('{') && JSON.parse(line).serving;
    if (url) resolve(url);
  }));
  return { child, ready, ended: new Promise((resolve) => child.on('exit', resolve)) };
}

async function post(url, session, message) {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
  if (session) headers['mcp-session-id'] = session;
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  if (!response.ok) throw new Error(`status ${response.status}`);
  const text = await response.text();
  const data = text.split('\n').filter((line) => line.startsWith('data: ') && line.length > 8).map((line) => line.slice(6));
  return { session: response.headers.get('mcp-session-id'), answer: data.length ? JSON.parse(data.at(-1)) : text ? JSON.parse(text) : null };
}

async function begin(url) {
  const clientInfo = { name: 'killed-servers', version: '1' };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo };
  return (await post(url, null, { id: 1, method: 'initialize', params })).session;
}

const call = async (url, session, name, args) =>
  (await post(url, session, { id: 2, method: 'tools/call', params: { name, arguments: args } })).answer?.result;

const acknowledged = [];
let refusals = 0;
async function client(url, name) {
  let session = null;
  for (let number = 0; Date.now() < until; number++) {
    try {
      session ??= await begin(url);
      if (number === 0) await call(url, session, 'create_entities', { entities: [{ name, entityType: 'client', observations: [] }] });
      const text = `${name} says ${number}`;
      const result = await call(url, session, 'add_observations', { observations: [{ entityName: name, contents: [text] }] });
      if (result && !result.isError) acknowledged.push([name, text]);
      else if (number === 0) number = -1;
    } catch {
      // The server was killed: what it had not answered may be there or not.
      refusals++;
      session = null;
      if (number === 0) number = -1;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

const servers = Array.from({ length: SERVERS }, () => serve('127.0.0.1:0'));
const urls = await Promise.all(servers.map((server) => server.ready));
let kills = 0;
const killer = setInterval(async () => {
  const victim = kills++ % SERVERS;
  servers[victim].child.kill('SIGKILL');
  await servers[victim].ended;
  servers[victim] = serve(new URL(urls[victim]).host);
}, 1000);
await Promise.all(urls.flatMap((url, server) => Array.from({ length: CLIENTS }, (_, number) => client(url, `client ${server}/${number}`))));
clearInterval(killer);
await Promise.all(servers.map(async (server) => { await server.ready; server.child.kill('SIGTERM'); await server.ended; }));

const last = serve('127.0.0.1:0');
const url = await last.ready;
const graph = (await call(url, await begin(url), 'read_graph', {})).structuredContent;
const kept = new Set(graph.entities.flatMap((entity) => entity.observations.map((text) => JSON.stringify([entity.name, text]))));
const lost = acknowledged.filter((one) => !kept.has(JSON.stringify(one)));
console.log(`${SERVERS * CLIENTS} clients, ${SERVERS} servers, ${kills} killed, ${seconds} s: ${acknowledged.length} acknowledged, ${lost.length} lost, ${refusals} calls without an answer`);
last.child.kill('SIGTERM');
await last.ended;
rmSync(folder, { recursive: true });
process.exit(lost.length ? 1 : 0);
