import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RoomClient, RoomError } from '../sluice-rooms.js';
import { Clock, Storage, Window, scriptedSockets, seeded, settle } from './fakes.mjs';

const URL_ = 'wss://edge.example/rooms/standup';

/** A client with scripted sockets, and a log of its events. */
function setUp(options = {}) {
  const clock = new Clock();
  const sockets = scriptedSockets();
  const window = new Window();
  const storage = new Storage();
  const room = new RoomClient(URL_, {
    WebSocket: sockets.WebSocket, timers: clock, random: () => 0.5, window, storage, ...options,
  });
  const log = [];
  for (const type of ['state', 'welcome', 'peerjoin', 'peerleave', 'peerupdate', 'message', 'signal', 'room',
    'iceservers', 'error', 'goaway', 'moved', 'closed']) {
    room.addEventListener(type, ({ detail }) => log.push([type, detail]));
  }
  const seen = (type) => log.filter(([name]) => name === type).map(([, detail]) => detail);
  return { clock, sockets, window, storage, room, log, seen };
}

async function joined(options, welcome) {
  const all = setUp(options);
  const join = all.room.join();
  await settle();
  all.sockets.last.welcome(welcome);
  await join;
  return all;
}

// MARK: Joining

test('the URL has no secret, the join message has', async () => {
  const { room, sockets } = setUp({ name: 'Ada', meta: { a: 1 }, password: 'pw', token: async () => 'jwt' });
  room.join();
  await settle();
  assert.equal(sockets.last.url, `${URL_}?join=message`);
  assert.deepEqual(sockets.last.protocols, ['sluice.rooms.v1', 'bearer', 'jwt']);
  sockets.last.open();
  assert.deepEqual(sockets.last.sent, [{ type: 'join', name: 'Ada', meta: { a: 1 }, password: 'pw' }]);
});

test('http and https become ws and wss', () => {
  const { WebSocket } = scriptedSockets();
  assert.equal(new RoomClient('https://h/rooms/a?x=1#y', { WebSocket }).url, 'wss://h/rooms/a?x=1&join=message');
  assert.equal(new RoomClient('http://h/rooms/a', { WebSocket }).url, 'ws://h/rooms/a?join=message');
});

test('what the welcome says is there when join() is fulfilled', async () => {
  const { room, seen } = await joined({}, {
    peer: 'b', role: 'host', can: ['moderate'], ice_servers: [{ urls: 'stun:s' }], ice_expires_at: 9,
    room: { name: 'standup', version: 3, locked: true, max_peers: 5, meta: { topic: 't' } },
    peers: [{ peer: 'a', name: 'A', role: 'member', polite: false }], limits: { message_size: 100, messages_per_second: 7 },
  });
  assert.equal(room.id, 'b');
  assert.equal(room.state, 'joined');
  assert.equal(room.role, 'host');
  assert.deepEqual(room.can, ['moderate']);
  assert.deepEqual(room.iceServers, [{ urls: 'stun:s' }]);
  assert.deepEqual(room.info, { name: 'standup', version: 3, locked: true, maxPeers: 5, meta: { topic: 't' } });
  assert.deepEqual(room.limits, { messageSize: 100, messagesPerSecond: 7 });
  assert.equal(room.peers.get('a').name, 'A');
  assert.deepEqual(seen('peerjoin').map(({ peer, isNew }) => [peer.id, isNew]), [['a', false]]);
});

test('a final close rejects join() with code and words', async () => {
  const { room, sockets, seen } = setUp();
  const join = room.join();
  await settle();
  sockets.last.open();
  sockets.last.say({ type: 'error', code: 'wrong_password', message: 'not the password' });
  sockets.last.end(4002);
  await assert.rejects(join, (error) => error instanceof RoomError && error.code === 'wrong_password'
    && error.closeCode === 4002 && error.message === 'not the password' && error.retryable === false);
  assert.equal(room.state, 'closed');
  assert.equal(seen('closed')[0].code, 'wrong_password');
});

test('an error of long ago is not the reason of a later end', async () => {
  const { sockets, seen } = await joined();
  sockets.last.say({ type: 'error', code: 'rate_limited', message: 'slow down', retry_after: 9_000 });
  sockets.last.end(1006);
  const { code, retryAfter } = seen('error').at(-1);
  assert.deepEqual([code, retryAfter], ['connection_lost', 125]);
});

test('banned says for how long', async () => {
  const { room, sockets } = setUp();
  const join = room.join();
  await settle();
  sockets.last.open();
  sockets.last.say({ type: 'error', code: 'banned', message: 'b', retry_after: 60_000 });
  sockets.last.end(4004);
  await assert.rejects(join, { code: 'banned', retryAfter: 60_000 });
});

test('a full room is tried again, unless told otherwise', async () => {
  const { room, sockets, clock } = setUp();
  const join = room.join();
  await settle();
  sockets.last.open();
  sockets.last.end(4100);
  await clock.advance(500);
  assert.equal(sockets.made.length, 2);
  sockets.last.welcome();
  await join;

  const once = setUp();
  const rejected = once.room.join({ retry: false });
  await settle();
  once.sockets.last.open();
  once.sockets.last.end(4100);
  await assert.rejects(rejected, { code: 'room_full', retryable: true });
  assert.equal(once.room.state, 'closed');
});

test('a token that cannot be had is an error that is tried again', async () => {
  let calls = 0;
  const { room, sockets, clock, seen } = setUp({ token: () => { calls += 1; if (calls < 3) throw new Error('offline'); return 't'; } });
  room.join();
  await clock.advance(2_000);
  assert.equal(sockets.made.length, 1);
  assert.deepEqual(seen('error').map(({ code }) => code), ['no_token', 'no_token']);
});

test('each connection gets a fresh token', async () => {
  let calls = 0;
  const { sockets, clock } = await joined({ token: async () => `t${calls += 1}` });
  sockets.last.end(1006);
  await clock.advance(1_000);
  assert.deepEqual(sockets.made.map(({ protocols }) => protocols[2]), ['t1', 't2']);
});

test('a token that never comes, and a relay that never answers, are given up', async () => {
  const { room, clock, sockets } = setUp({ token: () => (sockets.made.length ? 't' : new Promise(() => {})) });
  room.join();
  await clock.advance(11_000);
  assert.equal(sockets.made.length, 0);
  const silent = setUp();
  silent.room.join();
  await settle();
  await silent.clock.advance(13_000);
  assert.equal(silent.sockets.made.length, 2);
  assert.equal(silent.sockets.made[0].isClosed, true);
});

test('a URL that a browser refuses ends the client with words', async () => {
  const { room, seen } = setUp({ WebSocket: class { constructor() { throw new SyntaxError('bad subprotocol'); } } });
  await assert.rejects(room.join(), { code: 'cannot_connect' });
  assert.equal(seen('closed')[0].message, 'bad subprotocol');
});

test('leave() before the welcome rejects join()', async () => {
  const { room } = setUp();
  const join = room.join();
  await room.leave();
  await assert.rejects(join, { code: 'left' });
});

// MARK: Back-off

test('delays double up to the limit, with full jitter', async () => {
  for (const fraction of [0, 0.5, 0.999]) {
    const { room, sockets, clock, seen } = setUp({ random: () => fraction });
    room.join();
    for (let n = 0; n < 10; n += 1) {
      await settle();
      sockets.last.end(1006);
      await clock.advance(seen('error').at(-1).retryAfter);
    }
    const ceilings = [250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000, 15000];
    assert.deepEqual(seen('error').map(({ retryAfter }) => retryAfter), ceilings.map((ceiling) => ceiling * fraction));
  }
});

test('jitter stays in its bounds for any chance', async () => {
  const { room, sockets, clock, seen } = setUp({ random: seeded(7) });
  room.join();
  for (let n = 0; n < 40; n += 1) {
    await settle();
    sockets.last.end(1006);
    await clock.advance(seen('error').at(-1).retryAfter);
  }
  const delays = seen('error').map(({ retryAfter }) => retryAfter);
  delays.forEach((delay, n) => assert.ok(delay >= 0 && delay <= Math.min(15_000, 250 * 2 ** n)));
  assert.ok(new Set(delays.slice(10)).size > 20, 'spread');
});

test('each class of close codes has its own delay', async () => {
  const cases = [[1001, 125], [1006, 125], [1011, 125], [1012, 125], [1013, 125], [1000, 125], [4100, 500], [4101, 500], [4102, 500],
    [4103, 500], [4200, 0], [4201, 0], [3000, 125], [4300, 125]];
  for (const [code, delay] of cases) {
    const { clock, sockets, seen, room } = await joined();
    await clock.advance(6_000);
    sockets.last.end(code);
    assert.equal(room.state, 'reconnecting', String(code));
    assert.equal(seen('error').at(-1).retryAfter, delay, String(code));
  }
  for (const code of [4000, 4001, 4002, 4003, 4004, 4005, 4006, 4008, 4050]) {
    const { sockets, clock, room, seen } = await joined();
    sockets.last.end(code);
    await clock.advance(60_000);
    assert.equal(room.state, 'closed');
    assert.equal(sockets.made.length, 1);
    assert.equal(seen('closed')[0].closeCode, code);
    assert.equal(seen('moved').length, code === 4000 ? 1 : 0);
  }
});

test('retry_after is waited for, and then some', async () => {
  const { sockets, clock, seen } = await joined();
  sockets.last.say({ type: 'error', code: 'overloaded', message: 'o', retry_after: 4_000 });
  sockets.last.end(4102);
  assert.equal(seen('error').at(-1).retryAfter, 4_500);
  await clock.advance(4_400);
  assert.equal(sockets.made.length, 1);
  await clock.advance(200);
  assert.equal(sockets.made.length, 2);
});

test('a relay that says "at once" for ever is not hammered', async () => {
  const { sockets, clock } = await joined();
  for (let n = 0; n < 200 && sockets.made.length < 200; n += 1) {
    if (!sockets.last.isOver) { sockets.last.isOver = true; sockets.last.open(); sockets.last.end(4201); }
    await clock.advance(50);
  }
  assert.ok(sockets.made.length < 15, `${sockets.made.length} attempts in ten seconds`);
});

test('a relay that takes a client and drops it is not hammered either', async () => {
  const { sockets, clock } = await joined();
  for (let n = 0; n < 200; n += 1) {
    if (!sockets.last.isOver) { sockets.last.isOver = true; sockets.last.welcome({ resumed: true }); sockets.last.end(1006); }
    await clock.advance(50);
  }
  assert.ok(sockets.made.length < 15, `${sockets.made.length} attempts in ten seconds`);
});

test('after a good connection the delay begins anew', async () => {
  const { sockets, clock, seen } = await joined();
  for (let n = 0; n < 4; n += 1) {
    sockets.last.end(1006);
    await clock.advance(seen('error').at(-1).retryAfter);
  }
  sockets.last.welcome({ resumed: true });
  await clock.advance(6_000);
  sockets.last.end(1006);
  assert.equal(seen('error').at(-1).retryAfter, 125);
});

// MARK: Resuming

test('a resume brings secret and number, takes the replay, and sends again what has no answer', async () => {
  const { room, sockets, clock, seen } = await joined();
  const [answered, replayed, open] = [room.send('x', 1), room.send('x', 2), room.send('x', 3)];
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  assert.deepEqual(await answered, { delivered: true });
  sockets.last.end(1006);
  const late = room.send('x', 4);
  await clock.advance(200);
  sockets.last.welcome({ resumed: true, seq: 3 });
  assert.deepEqual(sockets.last.sent, [{ type: 'join', resume: 'secret-me', seq: 1 }]);
  sockets.last.say({ type: 'ack', seq: 2, id: 2, delivered: false });
  assert.deepEqual(await replayed, { delivered: false });
  assert.equal(sockets.last.requests.length, 0, 'nothing before the replay is over');
  sockets.last.say({ type: 'broadcast', seq: 3, from: 'x', data: 'while away' });
  assert.deepEqual(sockets.last.requests.map(({ id, data }) => [id, data]), [[3, 3], [4, 4]]);
  sockets.last.say({ type: 'broadcast', seq: 3, from: 'x', data: 'while away' });
  assert.equal(seen('message').length, 1, 'a number is taken once');
  sockets.last.say({ type: 'ack', seq: 4, id: 3, delivered: true });
  sockets.last.say({ type: 'error', seq: 5, id: 4, code: 'no_such_peer', message: 'gone', to: 'x' });
  assert.deepEqual(await open, { delivered: true });
  await assert.rejects(late, { code: 'no_such_peer', to: 'x' });
});

test('4200 joins afresh under the same id, at once and without a number', async () => {
  const { sockets, clock } = await joined();
  sockets.last.say({ type: 'broadcast', seq: 1, from: 'x', data: 1 });
  sockets.last.end(1006);
  await clock.advance(200);
  sockets.last.open();
  assert.equal(sockets.last.sent[0].seq, 1);
  sockets.last.end(4200);
  await clock.advance(0);
  sockets.last.open();
  assert.deepEqual(sockets.last.sent[0], { type: 'join', resume: 'secret-me' });
});

test('joined afresh: what is gone or uncertain is rejected, the rest is sent', async () => {
  const { room, sockets, clock } = await joined({}, { peers: [{ peer: 'x', role: 'member' }, { peer: 'y', role: 'member' }] });
  const toGone = room.send('x', 1);
  const uncertain = room.send('y', 2);
  const harmless = room.update({ name: 'N' });
  sockets.last.end(1006);
  const never = room.send('y', 3);
  const neverGone = room.send('x', 4);
  await clock.advance(200);
  sockets.last.welcome({ resumed: false, seq: 0, peers: [{ peer: 'y', role: 'member' }] });
  await assert.rejects(toGone, { code: 'no_such_peer' });
  await assert.rejects(neverGone, { code: 'no_such_peer' });
  await assert.rejects(uncertain, { code: 'unknown_outcome' });
  assert.deepEqual(sockets.last.requests.map(({ type, id }) => [type, id]), [['update', 3], ['signal', 4]]);
  sockets.last.say({ type: 'ack', seq: 1, id: 3, delivered: true });
  sockets.last.say({ type: 'ack', seq: 2, id: 4, delivered: true });
  await harmless;
  await never;
  assert.equal(room.name, 'N');
});

test('what waits is bounded', async () => {
  const { room } = await joined({ maxPending: 3 });
  const waiting = [1, 2, 3].map((n) => room.broadcast(n));
  await assert.rejects(room.broadcast(4), { code: 'too_many_pending', retryable: true });
  room.close();
  for (const result of await Promise.allSettled(waiting)) assert.equal(result.reason.code, 'closed');
});

test('what is too long, or no JSON, is refused here', async () => {
  const { room, sockets } = await joined({}, { limits: { message_size: 100 } });
  await assert.rejects(room.broadcast('ä'.repeat(60)), { code: 'too_large' });
  await assert.rejects(room.broadcast(1n), { code: 'bad_message' });
  assert.equal(sockets.last.requests.length, 0);
  room.broadcast('a'.repeat(40));
  assert.equal(sockets.last.requests.length, 1);
});

test('a page that is loaded anew keeps its id; the secret is in storage only meanwhile', async () => {
  const { room, window, storage } = await joined();
  assert.equal(storage.items.size, 0, 'a duplicated tab finds nothing');
  window.fire('pagehide');
  assert.equal(storage.items.size, 1);
  const next = setUp({ storage });
  next.room.join();
  assert.equal(storage.items.size, 0);
  await settle();
  next.sockets.last.open();
  assert.deepEqual(next.sockets.last.sent[0], { type: 'join', resume: 'secret-me' });
  assert.equal(room.state, 'joined');
});

test('a page that comes back from the cache takes its secret out of storage', async () => {
  const { window, storage } = await joined();
  window.fire('pagehide');
  window.fire('pageshow');
  assert.equal(storage.items.size, 0);
});

test('rooms do not share a secret, and who left keeps none', async () => {
  const { room, window, storage, sockets } = await joined();
  window.fire('pagehide');
  const other = setUp({ storage });
  const elsewhere = new RoomClient('wss://edge.example/rooms/other', { WebSocket: other.sockets.WebSocket, timers: other.clock, storage, window: other.window });
  elsewhere.join();
  await settle();
  other.sockets.last.open();
  assert.equal(other.sockets.last.sent[0].resume, undefined);
  window.fire('pageshow');
  room.leave();
  sockets.last.end(1000);
  window.fire('pagehide');
  assert.equal(storage.items.size, 0);
});

test('storage that throws costs nothing but the id', async () => {
  const storage = { getItem() { throw new Error('denied'); }, setItem() { throw new Error('denied'); }, removeItem() {} };
  const { window, room } = await joined({ storage });
  window.fire('pagehide');
  assert.equal(room.state, 'joined');
});

// MARK: Ending

test('leave() says so and waits for the good-bye', async () => {
  const { room, sockets, seen } = await joined();
  const leaving = room.leave();
  assert.deepEqual(sockets.last.requests, [{ type: 'leave' }]);
  sockets.last.end(1000);
  await leaving;
  assert.equal(seen('closed')[0].code, 'left');
  await assert.rejects(room.broadcast(1), { code: 'closed' });
});

test('leave() does not wait for ever', async () => {
  const { room, clock, sockets } = await joined();
  const leaving = room.leave();
  await clock.advance(1_000);
  await leaving;
  assert.equal(sockets.last.isClosed, true);
  assert.equal(clock.pendingCount, 0, 'no timer is left behind');
});

test('close() keeps the place: no code, and the secret for the next client of this tab', async () => {
  const { room, sockets, storage, clock } = await joined();
  room.close();
  assert.equal(sockets.last.isClosed, true);
  assert.equal(sockets.last.closedWith, undefined);
  assert.equal([...storage.items.values()][0], 'secret-me');
  assert.equal(clock.pendingCount, 0);
});

test('moved is final and says so', async () => {
  const { room, sockets, seen, storage, window } = await joined();
  sockets.last.end(4000);
  assert.equal(room.state, 'closed');
  assert.equal(seen('moved').length, 1);
  window.fire('pagehide');
  assert.equal(storage.items.size, 0);
});

test('a 4000 that an attempt of our own caused is not taken for another tab', async () => {
  const { room, sockets, clock } = await joined();
  sockets.last.end(1006);
  await clock.advance(200);
  sockets.last.open();                       // its join is on the way, but no answer comes
  await clock.advance(13_000);
  sockets.last.welcome({ resumed: true });
  sockets.last.end(4000);                    // the relay saw the first attempt after the second
  assert.equal(room.state, 'reconnecting');
  await clock.advance(1_000);
  sockets.last.welcome({ resumed: true });
  sockets.last.end(4000);
  assert.equal(room.state, 'closed');
});

// MARK: Goaway

test('goaway: the next connection is made before this one breaks', async () => {
  const { room, sockets, clock, seen } = await joined();
  const [old] = sockets.made;
  old.say({ type: 'goaway', after_ms: 10_000, reason: 'draining' });
  await clock.advance(4_900);
  assert.equal(sockets.made.length, 1);
  await clock.advance(200);
  assert.equal(sockets.made.length, 2);
  const sent = room.broadcast('meanwhile');
  assert.equal(old.requests.length, 1, 'what is sent meanwhile goes over the old one');
  sockets.last.open();
  old.end(4000);
  assert.equal(room.state, 'reconnecting');
  sockets.last.welcome({ resumed: true, seq: 1 });
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  await sent;
  assert.equal(room.state, 'joined');
  assert.equal(seen('moved').length, 0);
  assert.equal(sockets.last.requests.length, 0, 'carried out once');
});

test('another tab that takes the place during a goaway is believed', async () => {
  const { room, sockets, clock, seen } = await joined();
  sockets.last.say({ type: 'goaway', after_ms: 0, reason: 'draining' });
  await clock.advance(0);
  assert.equal(sockets.made.length, 2);
  sockets.made[0].end(4000);                 // before the attempt has said anything
  assert.equal(room.state, 'closed');
  assert.equal(seen('moved').length, 1);
});

test('goaway: the old connection is dropped when the new one is welcomed', async () => {
  const { room, sockets, clock, seen } = await joined();
  const [old] = sockets.made;
  old.say({ type: 'goaway', after_ms: 100, reason: 'draining' });
  await clock.advance(100);
  sockets.last.welcome({ resumed: true, seq: 1 });
  assert.equal(old.isClosed, true);
  old.say({ type: 'broadcast', seq: 1, from: 'x', data: 'late' });
  assert.equal(seen('message').length, 0);
  sockets.last.say({ type: 'broadcast', seq: 1, from: 'x', data: 'late' });
  assert.equal(seen('message').length, 1);
  assert.equal(seen('state').length, 2, 'connecting and joined, nothing else');
  assert.equal(room.state, 'joined');
});

test('goaway: the moment is a random one of the time given', async () => {
  const delays = [];
  const random = seeded(3);
  for (let n = 0; n < 50; n += 1) {
    const { sockets, seen } = await joined({ random });
    sockets.last.say({ type: 'goaway', after_ms: 1000, reason: 'd' });
    delays.push(seen('goaway')[0].delay);
  }
  assert.ok(Math.min(...delays) < 150 && Math.max(...delays) > 850 && Math.max(...delays) <= 1000);
});

test('goaway: an attempt that fails leaves the old connection alone', async () => {
  const { room, sockets, clock } = await joined();
  sockets.last.say({ type: 'goaway', after_ms: 0, reason: 'd' });
  await clock.advance(0);
  sockets.last.end(1006);
  assert.equal(room.state, 'joined');
  await clock.advance(1_000);
  assert.equal(sockets.made.length, 3);
  sockets.made[0].end(1012);
  assert.equal(room.state, 'reconnecting');
  sockets.last.welcome({ resumed: true });
  assert.equal(room.state, 'joined');
});

// MARK: Whether it lives

for (const [words, wake] of [
  ['the network is back', (window) => window.fire('online')],
  ['the page is seen again', (window) => { window.show('hidden'); window.show('visible'); }],
  ['the page comes out of the cache', (window) => window.fire('pageshow')],
]) {
  test(`${words}: a ping at once, and a new connection after 5 s without answer`, async () => {
    const { room, sockets, clock, window } = await joined();
    wake(window);
    assert.equal(sockets.last.requests[0].type, 'ping');
    await clock.advance(4_999);
    assert.equal(room.state, 'joined');
    await clock.advance(2);
    assert.equal(room.state, 'reconnecting');
    assert.equal(sockets.made[0].isClosed, true);
    await clock.advance(200);
    assert.equal(sockets.made.length, 2);
  });
}

test('a ping that is answered leaves the connection alone', async () => {
  const { room, sockets, clock, window } = await joined();
  window.fire('online');
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  await clock.advance(10_000);
  assert.equal(room.state, 'joined');
});

test('many wakes do not put the deadline off', async () => {
  const { room, clock, window } = await joined();
  for (let n = 0; n < 6; n += 1) {
    window.fire('online');
    await clock.advance(1_000);
  }
  assert.equal(room.state, 'reconnecting');
});

test('somebody who waits for the next attempt does not wait any longer', async () => {
  const { sockets, clock, window } = await joined({ random: () => 0.99 });
  for (let n = 0; n < 6; n += 1) {
    sockets.last.end(1006);
    await clock.advance(15_000);
  }
  const before = sockets.made.length;
  sockets.last.end(1006);
  window.fire('online');
  await settle();
  assert.equal(sockets.made.length, before + 1);
  assert.equal(clock.pendingCount, 1, 'the timer of the wait is gone');
});

test('a message without an answer shows that the connection is dead', async () => {
  const { room, clock, sockets } = await joined();
  const sent = room.broadcast(1);
  await clock.advance(10_100);
  await clock.advance(200);
  sockets.last.welcome({ resumed: true });
  assert.deepEqual(sockets.last.requests.map(({ data }) => data), [1]);
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  await sent;
});

test('a relay that reads slowly is not taken for a dead one', async () => {
  const { room, clock, sockets, seen } = await joined();
  const first = room.broadcast(1);
  sockets.last.say({ type: 'error', code: 'rate_limited', message: 'slow down', retry_after: 20_000 });
  assert.equal(seen('error')[0].code, 'rate_limited');
  room.broadcast(2).catch(() => {});
  await clock.advance(19_000);
  assert.equal(room.state, 'joined');
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  await first;
});

test('silence longer than the heartbeat is asked about', async () => {
  const { room, clock, sockets } = await joined({}, { heartbeat: 20_000 });
  await clock.advance(20_000);
  assert.deepEqual(sockets.last.requests.map(({ type }) => type), ['ping']);
  await clock.advance(5_000);
  assert.equal(room.state, 'reconnecting');
});

test('ping() is the round trip, and fails with its connection', async () => {
  const { room, clock, sockets } = await joined();
  const ping = room.ping();
  await clock.advance(30);
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true });
  assert.equal(await ping, 30);
  const lost = room.ping();
  sockets.last.end(1006);
  await assert.rejects(lost, { code: 'connection_lost' });
  await assert.rejects(room.ping(), { code: 'connection_lost' });
});

// MARK: Token

test('a fresh token is brought at four fifths of the time, again and again', async () => {
  let calls = 0;
  const all = setUp({ token: async () => `t${calls += 1}` });
  const { room, clock, sockets } = all;
  const join = room.join();
  await settle();
  sockets.last.welcome({ expires_at: clock.now() / 1000 + 100, heartbeat: 1e6 });
  await join;
  await clock.advance(79_000);
  assert.equal(sockets.last.requests.length, 0);
  await clock.advance(1_500);
  assert.deepEqual(sockets.last.requests, [{ type: 'token', token: 't2', id: 1 }]);
  sockets.last.say({ type: 'ack', seq: 1, id: 1, delivered: true, expires_at: clock.now() / 1000 + 200 });
  await clock.advance(150_000);
  assert.equal(sockets.last.requests.length, 1);
  await clock.advance(11_000);
  assert.equal(sockets.last.requests.length, 2);
});

test('a token that cannot be refreshed is tried again, and told', async () => {
  let calls = 0;
  const all = setUp({ token: async () => { calls += 1; if (calls === 2) throw new Error('offline'); return `t${calls}`; } });
  const { room, clock, sockets, seen } = all;
  const join = room.join();
  await settle();
  sockets.last.welcome({ expires_at: clock.now() / 1000 + 100, heartbeat: 1e6 });
  await join;
  await clock.advance(81_000);
  assert.equal(seen('error')[0].code, 'no_token');
  await clock.advance(16_000);
  assert.equal(sockets.last.requests[0].token, 't3');
});

test('a fixed token is not refreshed; a clock that is ahead makes no flood', async () => {
  const fixed = setUp({ token: 'fixed' });
  fixed.room.join();
  await settle();
  fixed.sockets.last.welcome({ expires_at: fixed.clock.now() / 1000 + 10, heartbeat: 1e6 });
  await fixed.clock.advance(60_000);
  assert.equal(fixed.sockets.last.requests.length, 0);

  const ahead = setUp({ token: async () => 't' });
  ahead.room.join();
  await settle();
  ahead.sockets.last.welcome({ expires_at: 1, heartbeat: 1e6 });
  for (let n = 0; n < 60; n += 1) {
    await ahead.clock.advance(1_000);
    const open = ahead.sockets.last.requests.at(-1);
    if (open && !open.isDone) { open.isDone = true; ahead.sockets.last.say({ type: 'ack', seq: open.id, id: open.id, expires_at: 1 }); }
  }
  assert.ok(ahead.sockets.last.requests.length <= 2);
});

// MARK: Roster

test('the roster of a later welcome is the truth: what changed is told', async () => {
  const { room, sockets, clock, log } = await joined({}, {
    peers: [{ peer: 'a', name: 'A', role: 'member' }, { peer: 'b', role: 'member' }, { peer: 'c', role: 'member', meta: { x: 1 } }],
  });
  sockets.last.end(1006);
  await clock.advance(200);
  log.length = 0;
  sockets.last.welcome({ resumed: true, peers: [{ peer: 'c', role: 'host' }, { peer: 'a', name: 'A', role: 'member' }, { peer: 'd', role: 'guest' }] });
  const told = log.filter(([type]) => type.startsWith('peer')).map(([type, { peer, reason }]) => [type, peer.id, reason]);
  assert.deepEqual(told, [['peerleave', 'b', 'absent'], ['peerupdate', 'c', undefined], ['peerjoin', 'd', undefined]]);
  assert.deepEqual([...room.peers.keys()], ['c', 'a', 'd']);
  assert.equal(room.peers.get('c').meta, undefined, 'what is missing is not set');
});

test('a batch is applied in its order: left, joined, updated', async () => {
  const { sockets, log, room } = await joined({}, { peers: [{ peer: 'a', name: 'old', role: 'member' }] });
  log.length = 0;
  sockets.last.say({ type: 'presence', version: 9, updated: [{ peer: 'a', name: 'newer', role: 'member' }],
    joined: [{ peer: 'a', name: 'new', role: 'member', polite: true }, { peer: 'b', role: 'member' }], left: [{ peer: 'a', reason: 'moved' }] });
  assert.deepEqual(log.map(([type, { peer }]) => [type, peer.id]), [
    ['peerleave', 'a'], ['peerjoin', 'a'], ['peerjoin', 'b'], ['peerupdate', 'a']]);
  assert.equal(room.peers.get('a').name, 'newer');
  assert.equal(room.peers.get('a').polite, true, 'an update does not take the politeness away');
  assert.equal(room.info.version, 9);
});

test('one change after the other; unknown peers and types are passed over', async () => {
  const { sockets, room, seen } = await joined();
  const say = (message) => sockets.last.say(message);
  say({ type: 'left', version: 2, peer: 'nobody', reason: 'closed' });
  say({ type: 'updated', version: 2, peer: 'nobody', role: 'member' });
  say({ type: 'of-a-later-version', x: 1 });
  say({ type: 'joined', version: 3, peer: 'a', role: 'member', polite: true });
  say({ type: 'joined', version: 4, peer: 'a', role: 'member', polite: true });
  assert.deepEqual(seen('peerleave').map(({ reason }) => reason), ['moved']);
  say({ type: 'updated', version: 5, peer: 'me', role: 'host' });
  assert.equal(room.role, 'host');
  say({ type: 'room', version: 6, locked: true, max_peers: 3 });
  assert.deepEqual(room.info, { name: 'r', version: 6, locked: true, maxPeers: 3, meta: undefined });
  say({ type: 'ice', ice_servers: [{ urls: 'turn:t' }], ice_expires_at: 5 });
  assert.deepEqual(seen('iceservers'), [{ iceServers: [{ urls: 'turn:t' }], expiresAt: 5 }]);
  assert.deepEqual(seen('error'), []);
});

test('messages: custom ones and broadcasts are messages, the rest are signals', async () => {
  const { sockets, seen } = await joined();
  sockets.last.say({ type: 'signal', seq: 1, from: 'a', kind: 'custom', generation: 4, data: null });
  sockets.last.say({ type: 'signal', seq: 2, from: 'a', kind: 'offer', generation: 5, data: { sdp: '' } });
  sockets.last.say({ type: 'broadcast', seq: 3, from: 'b', data: [1] });
  assert.deepEqual(seen('message'), [
    { from: 'a', data: null, generation: 4, isBroadcast: false }, { from: 'b', data: [1], isBroadcast: true }]);
  assert.deepEqual(seen('signal'), [{ from: 'a', kind: 'offer', generation: 5, data: { sdp: '' } }]);
});

test('moderation and signals go out in the words of the protocol', async () => {
  const { room, sockets } = await joined();
  for (const result of [
    room.send('a', 1), room.signal('a', 'offer', { sdp: 's' }, { generation: 3 }), room.broadcast(2), room.update({ name: null, meta: { m: 1 } }),
    room.kick('a', { reason: 'r', banFor: 60 }), room.lock(), room.lock(false), room.setRoom({ maxPeers: 4 }), room.setRole('a', 'host'),
  ]) result.catch(() => {});
  assert.deepEqual(sockets.last.requests, [
    { type: 'signal', to: 'a', kind: 'custom', data: 1, id: 1 },
    { type: 'signal', to: 'a', kind: 'offer', data: { sdp: 's' }, generation: 3, id: 2 },
    { type: 'broadcast', data: 2, id: 3 }, { type: 'update', name: null, meta: { m: 1 }, id: 4 },
    { type: 'kick', peer: 'a', reason: 'r', ban_for: 60, id: 5 }, { type: 'lock', locked: true, id: 6 }, { type: 'lock', locked: false, id: 7 },
    { type: 'room', max_peers: 4, id: 8 }, { type: 'role', peer: 'a', role: 'host', id: 9 }]);
});

test('nothing fails silently', async () => {
  const { room, sockets, seen } = await joined();
  const forbidden = room.lock();
  sockets.last.say({ type: 'error', seq: 1, id: 1, code: 'forbidden', message: 'not you' });
  await assert.rejects(forbidden, { name: 'RoomError', code: 'forbidden', message: 'not you' });
  assert.equal(seen('error').length, 0, 'a rejection is enough');
  sockets.last.say({ type: 'error', code: 'bad_message', message: 'unknown type' });
  sockets.last.onmessage({ data: '{' });
  assert.deepEqual(seen('error').map(({ code }) => code), ['bad_message', 'bad_message']);
});
