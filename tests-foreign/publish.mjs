// MQTT.js publishes what a job on standard input names, and prints what it heard as JSON.
//
//   {"url","cert","key","node","device","envelopes":[hex],"topics":[…],"listen":[…],"receipts":n,"proofs":n,"window":n}
//
// MQTT.js does not keep to the window a server names; without one of its own ("window": 0) it sends everything at
// once.
import { readFileSync } from 'node:fs';
import mqtt from 'mqtt';

const WAIT_MS = 10_000;
const job = JSON.parse(readFileSync(0, 'utf8'));
const pem = (file) => readFileSync(file);
const heard = { acks: [], receipts: [], proofs: [], window: null, putOut: null };

const client = mqtt.connect(job.url, {
  protocolVersion: 5, clientId: '', clean: true, reconnectPeriod: 0, keepalive: 30,
  ca: pem(job.node), cert: pem(job.cert), key: pem(job.key), minVersion: 'TLSv1.3',
  // The node's certificate names nobody; that it is this very certificate is checked through `ca`.
  checkServerIdentity: () => undefined,
});
let enough;
const over = new Promise((resolve) => { enough = resolve; });
const counted = () => {
  if (heard.receipts.length >= job.receipts && heard.proofs.length >= job.proofs) enough();
};
client.on('connect', (connack) => { heard.window = connack.properties?.receiveMaximum ?? null; });
client.on('disconnect', (packet) => { heard.putOut = packet.reasonCode; });
client.on('close', () => enough());
client.on('error', (error) => { console.error(error.message); enough(); });
client.on('message', (topic, payload) => {
  (topic.endsWith('/r') ? heard.receipts : heard.proofs).push(payload.toString('hex'));
  counted();
});

const publish = (at) => new Promise((resolve) => {
  client.publish(job.topics[at], Buffer.from(job.envelopes[at], 'hex'), { qos: 1 }, (error, packet) => {
    heard.acks[at] = { code: error?.code ?? packet?.reasonCode ?? 0, said: error?.message ?? '' };
    resolve();
  });
});
client.once('connect', async () => {
  if (job.listen.length) await client.subscribeAsync(job.listen, { qos: 1 });
  let next = 0;
  const lane = async () => { while (next < job.envelopes.length) await publish(next++); };
  await Promise.all(Array.from({ length: job.window || job.envelopes.length }, lane));
  counted();
});
const late = setTimeout(() => enough(), WAIT_MS);
await over;
clearTimeout(late);
client.end(true);
console.log(JSON.stringify(heard));
