/** Many clients, a network that fails at random, and a count of what arrived. A failure prints its seed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoomClient } from '../sluice-rooms.js';
import { Clock, Network, seeded } from './fakes.mjs';
import { Relay } from './relay.mjs';

const RUNS = Number(process.env.RUNS ?? 100);

async function run(seed, { withGoaway = false } = {}) {
  const random = seeded(seed);
  const clock = new Clock();
  const relay = new Relay({ timers: clock, random });
  const network = new Network({ clock, relay, random });
  const rooms = [];
  const received = new Map();
  for (let n = 0; n < 3; n += 1) {
    const room = new RoomClient('wss://edge/rooms/r', {
      WebSocket: network.WebSocket, timers: clock, random, storage: null, window: undefined, name: `n${n}`, maxPending: 1000,
    });
    room.addEventListener('message', ({ detail: { from, data } }) => {
      const key = `${from}→${room.id}`;
      received.set(key, [...(received.get(key) ?? []), data]);
    });
    room.addEventListener('moved', () => assert.fail('taken for another tab'));
    room.join();
    rooms.push(room);
  }
  await clock.advance(3_000);
  assert.deepEqual(rooms.map(({ state }) => state), ['joined', 'joined', 'joined']);

  const expected = new Map();
  const expect = (from, to, data) => {
    const key = `${from.id}→${to.id}`;
    expected.set(key, [...(expected.get(key) ?? []), data]);
  };
  const answers = [];
  let count = 0;
  for (let step = 0; step < 60; step += 1) {
    for (let burst = Math.floor(random() * 4); burst > 0; burst -= 1) {
      const from = rooms[Math.floor(random() * 3)];
      const others = rooms.filter((room) => room !== from);
      const data = count += 1;
      if (random() < 0.5) {
        for (const to of others) expect(from, to, data);
        answers.push(from.broadcast(data));
      } else {
        const to = others[Math.floor(random() * 2)];
        expect(from, to, data);
        answers.push(from.send(to.id, data));
      }
    }
    if (random() < 0.2) network.cutSome(0.5);
    if (withGoaway && random() < 0.15) {
      for (const { server } of network.connections) {
        if (server.place) server.send(JSON.stringify({ type: 'goaway', after_ms: 300, reason: 'draining' }));
      }
    }
    network.isUp = random() > 0.1;
    await clock.advance(random() * 400);
  }
  network.isUp = true;
  await clock.advance(60_000);
  const results = await Promise.all(answers.map((answer) => Promise.race([
    answer.then(() => 'done', (error) => error.code), new Promise((resolve) => setImmediate(resolve, 'open'))])));
  assert.deepEqual(results.filter((result) => result !== 'done'), []);
  assert.deepEqual(received, new Map([...expected].sort(([a], [b]) => [...received.keys()].indexOf(a) - [...received.keys()].indexOf(b))));
  for (const room of rooms) assert.deepEqual([...room.peers.keys()].sort(), rooms.filter((other) => other !== room).map(({ id }) => id).sort());
}

test(`nothing is lost, doubled or out of order over ${RUNS} bad networks`, async () => {
  for (let seed = 1; seed <= RUNS; seed += 1) {
    await run(seed).catch((error) => { throw new Error(`seed ${seed}: ${error.message}`, { cause: error }); });
  }
});

test(`nor over ${RUNS} that drain as well`, async () => {
  for (let seed = 10_001; seed <= 10_000 + RUNS; seed += 1) {
    await run(seed, { withGoaway: true }).catch((error) => { throw new Error(`seed ${seed}: ${error.message}`, { cause: error }); });
  }
});
