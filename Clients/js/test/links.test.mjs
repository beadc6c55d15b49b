import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeerLinks, RoomClient, RoomError } from '../sluice-rooms.js';
import { Clock, Network, fakePeerConnections, seeded, settle } from './fakes.mjs';
import { Relay } from './relay.mjs';

const RUNS = Number(process.env.RUNS ?? 100);

// MARK: One side, by hand

/** Links over a room that is only events and a list of what was sent. */
function oneSide({ polite = true, options = {}, random } = {}) {
  const clock = new Clock();
  const world = fakePeerConnections({ clock, random: random ?? (() => 0) });
  const room = Object.assign(new EventTarget(), {
    state: 'joined', id: 'me', peers: new Map(), iceServers: [{ urls: 'stun:one' }], sent: [], refuse: null,
    environment: { RTCPeerConnection: world.RTCPeerConnection, timers: clock },
    signal(to, kind, data, { generation }) {
      if (room.refuse) return Promise.reject(room.refuse);
      room.sent.push({ to, kind, data, generation });
      return Promise.resolve({ delivered: true });
    },
  });
  const emit = (type, detail) => room.dispatchEvent(new CustomEvent(type, { detail }));
  const links = new PeerLinks(room, options);
  const log = [];
  for (const type of ['link', 'unlink', 'linkstate', 'track', 'channel', 'error']) {
    links.addEventListener(type, ({ detail }) => log.push([type, detail]));
  }
  const join = (id = 'p') => {
    room.peers.set(id, { id, polite });
    emit('peerjoin', { peer: room.peers.get(id) });
    return links.get(id);
  };
  const leave = (id = 'p', reason = 'closed') => {
    const peer = room.peers.get(id);
    room.peers.delete(id);
    emit('peerleave', { peer, reason });
  };
  const signal = (kind, generation, data) => emit('signal', { from: 'p', kind, generation, data });
  const offer = (generation, more = {}) => signal('offer', generation, {
    type: 'offer', sdp: JSON.stringify({ by: 1e6 + generation, ice: 1, sections: ['theirs'] }), serial: 1, for: 0, ...more });
  const sentKinds = () => room.sent.map(({ kind, data }) => data.type ?? kind);
  return { clock, world, room, links, log, emit, join, leave, signal, offer, sentKinds };
}

const track = (id, kind = 'video') => ({ id, kind });

test('candidates are collected and sent as one message, the end of them too', async () => {
  const { clock, links, join, room, sentKinds } = oneSide({ options: { politeOfferDelay: 0 } });
  join();
  links.addTrack(track('t'));
  await clock.advance(200);
  assert.deepEqual(sentKinds(), ['offer', 'candidates']);
  assert.deepEqual(room.sent[1].data.map((candidate) => candidate?.candidate), ['1/1/a', '1/1/b', undefined]);
  assert.equal(room.sent[1].data[2], null);
  assert.equal(room.sent[1].generation, room.sent[0].generation);
});

test('the polite side waits a moment for the offer of the other', async () => {
  const { clock, links, join, offer, sentKinds } = oneSide();
  join();
  links.addTrack(track('t'));
  await clock.advance(100);
  assert.deepEqual(sentKinds(), []);
  offer(5);
  await clock.advance(200);
  assert.equal(sentKinds()[0], 'answer');
});

test('an answer goes to the offer that it repeats the serial of', async () => {
  const { clock, links, join, signal, room } = oneSide({ polite: false });
  const link = join();
  links.addTrack(track('t'));
  await clock.advance(50);
  const answer = (serial) => signal('answer', 7, {
    type: 'answer', sdp: JSON.stringify({ by: 9, ice: 1, sections: ['track-t'] }), serial, for: room.sent[0].generation });
  answer(99);
  await clock.advance(50);
  assert.equal(link.pc.signalingState, 'have-local-offer');
  answer(1);
  await clock.advance(50);
  assert.equal(link.pc.signalingState, 'stable');
});

test('a new RTCPeerConnection over there is met by a new one here', async () => {
  const { clock, join, offer, room, world, links } = oneSide();
  const link = join();
  links.addTrack(track('t'));
  offer(5);
  await clock.advance(100);
  const first = link.pc;
  const firstGeneration = link.generation;
  offer(6);
  await clock.advance(100);
  assert.notEqual(link.pc, first);
  assert.equal(first.isClosed, true);
  assert.ok(link.generation > firstGeneration);
  const answer = room.sent.filter(({ data }) => data.type === 'answer').at(-1);
  assert.deepEqual([answer.generation, answer.data.for], [link.generation, 6]);
  assert.equal(world.all.length, 2);
});

test('a candidate that is refused is told of, unless its part of the media has ended', async () => {
  const { clock, join, signal, offer, log } = oneSide();
  const link = join();
  offer(5);
  await clock.advance(10);
  const sdp = ['v=0', 'm=application 9', 'a=ice-ufrag:one', 'a=mid:0', 'm=audio 0', 'a=mid:1', ''].join('\r\n');
  Object.defineProperties(link.pc, {
    remoteDescription: { value: { type: 'offer', sdp } },
    addIceCandidate: { value: (candidate) => Promise.reject(new Error(`${candidate.sdpMid} is refused`)) },
  });
  const candidate = (sdpMid, usernameFragment) => ({ candidate: 'candidate:1', sdpMid, usernameFragment });
  signal('candidates', 5, [candidate('0', 'one'), candidate('0', 'before'), candidate('1', 'one'), candidate('2', 'one')]);
  await clock.advance(10);
  assert.deepEqual(log.filter(([type]) => type === 'error').map(([, { error }]) => error.message), ['0 is refused']);
});

test('candidates of another generation, and descriptions for a connection that is gone, are dropped', async () => {
  const { clock, join, offer, signal, room, links, log } = oneSide();
  const link = join();
  links.addTrack(track('t'));
  const [one] = [link.generation];
  offer(5);
  signal('candidates', 4, [{ candidate: '1000005/1/a' }]);
  signal('candidates', 6, [{ candidate: '1000005/1/a' }]);
  await clock.advance(100);
  assert.equal(link.pc.remoteCandidates.size, 0);
  signal('candidates', 5, [{ candidate: '1000005/1/a' }, null]);
  await clock.advance(100);
  assert.equal(link.pc.remoteCandidates.size, 1);
  offer(6);
  await clock.advance(100);
  room.sent.length = 0;
  // From their present one, but paired with one of ours that is gone: it is told which one is here.
  offer(6, { for: one, serial: 2 });
  await clock.advance(100);
  assert.deepEqual(room.sent, [{ to: 'p', kind: 'description', generation: link.generation, data: { type: 'hello', for: 6 } }]);
  assert.deepEqual(log.filter(([type]) => type === 'error'), []);
});

test('a clock that went backwards over there is told so, one here goes on above what the others know', async () => {
  const { clock, join, offer, signal, room } = oneSide();
  const link = join();
  offer(50);
  await clock.advance(100);
  room.sent.length = 0;
  offer(40);
  assert.deepEqual(room.sent.at(-1).data, { type: 'hello', for: 50 });
  const above = link.generation + 1_000_000;
  signal('description', 50, { type: 'hello', for: above });
  assert.ok(link.generation > above);
  // Nobody can drive the numbers to where they end.
  signal('description', 50, { type: 'hello', for: Number.MAX_SAFE_INTEGER });
  assert.equal(link.generation, above + 1);
});

test('generations grow with the clock: those of a later page are higher', async () => {
  const { join, clock } = oneSide();
  const { generation } = join();
  assert.ok(generation >= clock.now());
  const later = oneSide();
  later.clock.shift(1);
  assert.ok(later.join().generation > generation);
});

test('who has joined anew gets a fresh RTCPeerConnection; who left loses it', async () => {
  const { join, leave, links, log } = oneSide();
  const first = join();
  const { pc } = first;
  leave('p', 'moved');
  assert.equal(pc.isClosed, true);
  assert.equal(first.state, 'closed');
  const second = join();
  assert.notEqual(second, first);
  assert.deepEqual(log.map(([type]) => type), ['link', 'unlink', 'link']);
  assert.equal(links.list().length, 1);
});

test('a lost WebSocket closes nothing; a relay that forgot the peer does not either, for a while', async () => {
  const { clock, join, leave, links, emit, room, log } = oneSide();
  const link = join();
  link.pc.setConnectionState('connected');
  const { pc } = link;
  room.state = 'reconnecting';
  emit('state', { state: 'reconnecting' });
  assert.equal(pc.isClosed, false);
  room.state = 'joined';
  emit('welcome', { resumed: false, previousId: 'me' });
  leave('p', 'absent');
  await clock.advance(20_000);
  assert.equal(pc.isClosed, false);
  join();
  assert.equal(links.get('p'), link);
  assert.equal(room.sent.at(-1).data.type, 'hello');
  await clock.advance(60_000);
  assert.equal(pc.isClosed, false);
  leave('p', 'absent');
  await clock.advance(31_000);
  assert.equal(pc.isClosed, true);
  assert.deepEqual(log.at(-1)[1].reason, 'absent');
});

test('under another id everything begins anew, at once', () => {
  const { join, links, emit, room, world } = oneSide();
  const link = join();
  join('gone');
  room.peers.delete('gone');
  room.id = 'somebody else';
  emit('welcome', { resumed: false, previousId: 'me' });
  assert.equal(link.state, 'closed');
  assert.notEqual(links.get('p'), link);
  assert.deepEqual(links.list().map(({ id }) => id), ['p']);
  assert.equal(world.all.filter(({ isClosed }) => !isClosed).length, 1);
});

test('an offer that may have been lost with the place is said again', async () => {
  const { clock, join, links, emit, room } = oneSide({ polite: false });
  join();
  links.addTrack(track('t'));
  await clock.advance(100);
  room.sent.length = 0;
  emit('welcome', { resumed: true, previousId: 'me' });
  assert.equal(room.sent.length, 0, 'resumed: nothing was lost');
  emit('welcome', { resumed: false, previousId: 'me' });
  assert.deepEqual(room.sent.map(({ data }) => [data.type, data.serial]), [['offer', 1]]);
});

test('signals that are faster than the news of their peer wait for it', async () => {
  const { clock, join, offer, sentKinds } = oneSide();
  offer(5);
  join();
  await clock.advance(10);
  assert.deepEqual(sentKinds(), ['answer']);
  const late = oneSide();
  late.offer(5);
  await late.clock.advance(11_000);
  late.join();
  await late.clock.advance(50);
  assert.deepEqual(late.sentKinds(), []);
});

test('the impolite side restarts ICE: at once when failed, after a while when disconnected', async () => {
  for (const [state, delay] of [['failed', 0], ['disconnected', 4_000]]) {
    const { clock, join, offer, sentKinds } = oneSide({ polite: false });
    const link = join();
    offer(5);
    await clock.advance(100);
    link.pc.setConnectionState('connected');
    link.pc.setConnectionState(state);
    await clock.advance(delay - 10);
    assert.equal(sentKinds().includes('offer'), false, state);
    await clock.advance(100);
    assert.equal(sentKinds().includes('offer'), true, state);
  }
});

test('a link on which both agreed and that gathers nothing is made anew', async () => {
  const { clock, join, offer, world, sentKinds } = oneSide({ polite: false });
  join();
  offer(5);
  await clock.advance(4_900);
  assert.equal(world.all.length, 1);
  await clock.advance(300);
  assert.equal(world.all.length, 2);
  assert.equal(sentKinds().at(-1), 'hello');
});

test('an offer that may have gone to nobody is said again: after a hello, and when the other side offers instead of answering', async () => {
  const { clock, join, links, signal, offer, sentKinds } = oneSide({ polite: false });
  join();
  links.addTrack(track('t'));
  await clock.advance(100);
  signal('description', 5, { type: 'hello', for: 0 });
  assert.deepEqual(sentKinds(), ['offer', 'candidates', 'offer']);
  offer(5);
  await clock.advance(1_900);
  assert.equal(sentKinds().length, 3, 'theirs is ignored, ours may be answered yet');
  await clock.advance(200);
  assert.deepEqual(sentKinds(), ['offer', 'candidates', 'offer', 'offer']);
});

test('the polite side restarts only when the other did not', async () => {
  const { clock, join, offer, sentKinds } = oneSide();
  const link = join();
  offer(5);
  await clock.advance(100);
  link.pc.setConnectionState('failed');
  await clock.advance(4_900);
  assert.equal(sentKinds().includes('offer'), false);
  await clock.advance(200);
  assert.equal(sentKinds().includes('offer'), true);
});

test('what comes back by itself is not restarted; what is away from the relay waits for it', async () => {
  const { clock, join, offer, sentKinds, room, emit } = oneSide({ polite: false });
  const link = join();
  offer(5);
  await clock.advance(100);
  link.pc.setConnectionState('disconnected');
  await clock.advance(2_000);
  link.pc.setConnectionState('connected');
  await clock.advance(10_000);
  assert.equal(sentKinds().includes('offer'), false);
  room.state = 'reconnecting';
  link.pc.setConnectionState('failed');
  await clock.advance(10_000);
  assert.equal(sentKinds().includes('offer'), false);
  room.state = 'joined';
  emit('welcome', { resumed: true, previousId: 'me' });
  await clock.advance(100);
  assert.equal(sentKinds().includes('offer'), true);
});

test('restarts that do not help end in a new RTCPeerConnection', async () => {
  const { clock, join, offer, signal, room, world } = oneSide({ polite: false });
  const link = join();
  offer(5);
  await clock.advance(100);
  link.pc.setConnectionState('failed');
  for (let n = 0; n < 40; n += 1) {
    const last = room.sent.filter(({ data }) => data.type === 'offer').at(-1);
    if (last && link.pc.signalingState === 'have-local-offer') {
      const sections = JSON.parse(last.data.sdp).sections;
      signal('answer', 5, { type: 'answer', sdp: JSON.stringify({ by: 1, ice: 1, sections }), serial: last.data.serial, for: link.generation });
    }
    await clock.advance(1_000);
  }
  assert.equal(world.all.length, 2);
  assert.equal(room.sent.filter(({ data }) => data.type === 'offer').length, 2);
});

test('new ICE servers reach connections that exist', async () => {
  const { join, room, emit } = oneSide({ options: { configuration: { iceTransportPolicy: 'relay' } } });
  const link = join();
  assert.deepEqual(link.pc.configuration, { iceTransportPolicy: 'relay', iceServers: [{ urls: 'stun:one' }] });
  room.iceServers = [{ urls: 'turn:two' }];
  emit('iceservers', {});
  assert.deepEqual(link.pc.configuration, { iceTransportPolicy: 'relay', iceServers: [{ urls: 'turn:two' }] });
});

test('tracks go to all peers, present and future, and are replaced and removed', async () => {
  const { join, links, clock } = oneSide();
  const senders = [];
  const spy = (link) => {
    const { pc } = link;
    const { addTrack } = pc;
    pc.addTrack = (...parts) => { const sender = addTrack.apply(pc, parts); senders.push(sender); return sender; };
  };
  links.addEventListener('link', ({ detail: { link } }) => queueMicrotask(() => link.pc && spy(link)));
  const a = join('a');
  await settle();
  const stream = { getTracks: () => [track('cam'), track('mic', 'audio')] };
  const [camera] = links.addStream(stream);
  assert.deepEqual(senders.map(({ track: { id } }) => id), ['cam', 'mic']);
  await camera.replace(track('screen'));
  assert.equal(senders[0].track.id, 'screen');
  await camera.replace(null);
  assert.equal(senders[0].track, null);
  const removed = [];
  a.pc.removeTrack = (sender) => removed.push(sender);
  links.removeStream(stream);
  assert.equal(removed.length, 2);
  await clock.advance(10);
});

test('channels with a label are on each link from the start, and again on a new connection', async () => {
  const { join, log, offer, clock, links } = oneSide({ options: { channels: { chat: {}, game: { ordered: false, maxRetransmits: 0 } } } });
  const link = join();
  assert.deepEqual(log.filter(([type]) => type === 'channel').map(([, { channel }]) => [channel.label, channel.id, channel.negotiated]),
    [['chat', 0, true], ['game', 1, true]]);
  link.channels.get('chat').readyState = 'open';
  assert.equal(links.send('chat', 'x'), 1);
  assert.equal(links.send('game', 'x'), 0);
  offer(5);
  await clock.advance(50);
  offer(6);
  await clock.advance(50);
  assert.equal(log.filter(([type]) => type === 'channel').length, 4);
});

test('what cannot be sent is an error, and sent again where that may help', async () => {
  const { clock, join, links, room, log, sentKinds } = oneSide({ polite: false });
  room.refuse = new RoomError('too_many_pending', 'full', { retryable: true });
  join();
  links.addTrack(track('t'));
  await clock.advance(500);
  assert.equal(log.filter(([type, { error }]) => type === 'error' && error.code === 'too_many_pending').length, 2);
  room.refuse = null;
  await clock.advance(2_000);
  assert.deepEqual(sentKinds(), ['offer', 'candidates']);
});

test('a description that a browser refuses is an error with its peer', async () => {
  const { clock, join, signal, log } = oneSide({ polite: false });
  join();
  signal('offer', 5, { type: 'offer', sdp: 'not JSON', serial: 1 });
  await clock.advance(50);
  const [, { link, error }] = log.find(([type]) => type === 'error');
  assert.equal(link.id, 'p');
  assert.ok(error instanceof Error);
});

test('close() closes everything and stops listening', async () => {
  const { clock, join, links, world } = oneSide();
  join('a');
  join('b');
  links.close();
  assert.ok(world.all.every(({ isClosed }) => isClosed));
  join('c');
  assert.equal(links.list().length, 0);
  await clock.advance(60_000);
});

// MARK: Many sides, by chance

/**
 * `count` peers behind a relay and a network with delays. Pages are loaded anew, tracks added at any
 * moment, connections cut, the relay restarted: in the end each pair must be connected with
 * everything negotiated.
 */
async function simulate(seed, { count = 2, steps = 12, chaos = {} }) {
  const random = seeded(seed);
  const clock = new Clock();
  const relay = new Relay({ timers: clock, random, resumeWindow: 3_000 });
  const network = new Network({ clock, relay, random, delayMax: 120 });
  const world = fakePeerConnections({ clock, random, delayMax: 30 });
  const pages = [];
  const errors = [];
  const storages = Array.from({ length: count }, () => new Map());

  const load = (index) => {
    const items = storages[index];
    const storage = { getItem: (key) => items.get(key) ?? null, setItem: (key, value) => items.set(key, value), removeItem: (key) => items.delete(key) };
    // A clock may be wrong, and set right or wrong between two page loads.
    const error = random() < (chaos.clock ?? 0) ? (random() - 0.5) * 1e6 : 0;
    const timers = { now: () => clock.now() + error, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout };
    const room = new RoomClient('wss://edge/rooms/r', {
      WebSocket: network.WebSocket, RTCPeerConnection: world.RTCPeerConnection, timers, random, storage, window: undefined,
    });
    const links = new PeerLinks(room, { channels: random() < 0.5 ? { chat: {} } : {}, politeOfferDelay: random() < 0.5 ? 0 : 150 });
    links.addEventListener('error', ({ detail: { error } }) => errors.push(error));
    room.join().catch(() => {});
    pages[index] = { room, links, tracks: 0 };
  };
  const addTrack = (page) => page.links.addTrack(track(`${Math.floor(random() * 1e9)}`));

  for (let index = 0; index < count; index += 1) {
    load(index);
    if (random() < 0.7) addTrack(pages[index]);
    if (random() < 0.5) await clock.advance(random() * 300);
  }
  for (let step = 0; step < steps; step += 1) {
    const index = Math.floor(random() * count);
    const page = pages[index];
    const chance = random();
    if (chance < 0.3) addTrack(page);
    else if (chance < 0.3 + (chaos.reload ?? 0)) {
      page.room.close();
          load(index);
      if (random() < 0.5) addTrack(pages[index]);
    } else if (chance < 0.3 + (chaos.reload ?? 0) + (chaos.cut ?? 0)) network.cutSome(0.6);
    else if (chance < 0.3 + (chaos.reload ?? 0) + (chaos.cut ?? 0) + (chaos.forget ?? 0)) {
      relay.forgetAll({ withSecrets: random() < 0.4 });
      network.cutSome(1);
    } else if (chance < 0.3 + (chaos.reload ?? 0) + (chaos.cut ?? 0) + (chaos.forget ?? 0) + (chaos.reset ?? 0)) {
      const [link] = page.links.list();
      link?.reset();
    } else if (random() < (chaos.away ?? 0)) {
      // Away for longer than the relay waits.
      network.isUp = false;
      network.cutSome(0.5);
      await clock.advance(4_000);
      network.isUp = true;
    }
    world.findLost();
    await clock.advance(random() * random() * 600);
  }
  // Somebody has to have something to send.
  for (const page of pages) addTrack(page);
  for (let n = 0; n < 12; n += 1) {
    await clock.advance(10_000);
    world.findLost();
    world.check();
  }

  for (const [index, { room, links }] of pages.entries()) {
    assert.equal(room.state, 'joined', `page ${index} is ${room.state}`);
    assert.equal(links.list().length, count - 1, `page ${index} has ${links.list().length} links`);
    for (const link of links.list()) {
      const other = pages.find((page) => page.room.id === link.id);
      const back = other.links.get(room.id);
      assert.equal(link.pc.signalingState, 'stable', `${index}: ${link.pc.signalingState}`);
      assert.equal(link.state, 'connected', `${index}: ${link.state}`);
      assert.equal(world.partner(link.pc), back.pc, 'paired with each other');
      const agreed = JSON.parse(link.pc.localDescription.sdp).sections;
      for (const { track: { id } } of links.outgoing) assert.ok(agreed.includes(`track-${id}`), 'everything is negotiated');
    }
  }
  assert.deepEqual(errors.map((error) => error.message), []);
}

async function manySeeds(first, options) {
  for (let seed = first; seed < first + RUNS; seed += 1) {
    await simulate(seed, options).catch((error) => { throw new Error(`seed ${seed}: ${error.message}`, { cause: error }); });
  }
}

test(`glare: ${RUNS} pairs that offer at the same time are never stuck`, () => manySeeds(1, { steps: 8 }));

test(`glare among four, ${RUNS} times`, () => manySeeds(1_001, { count: 4, steps: 6 }));

test(`pages that are loaded anew at any moment, ${RUNS} times`, () => manySeeds(2_001, { chaos: { reload: 0.3 } }));

test(`the same with clocks that are set in between, ${RUNS} times`, () => manySeeds(7_001, {
  chaos: { reload: 0.3, clock: 0.7, cut: 0.2 } }));

test(`connections that are cut, ${RUNS} times`, () => manySeeds(3_001, { chaos: { cut: 0.4 } }));

test(`a relay that is restarted and forgets everything, ${RUNS} times`, () => manySeeds(4_001, { chaos: { forget: 0.3, cut: 0.1 } }));

test(`links that begin anew by themselves, ${RUNS} times`, () => manySeeds(5_001, { chaos: { reset: 0.4 } }));

test(`all of it among three, ${RUNS} times`, () => manySeeds(6_001, {
  count: 3, steps: 14, chaos: { reload: 0.15, cut: 0.15, forget: 0.1, reset: 0.1, away: 0.5 } }));
