/**
 * A client of the rooms protocol `sluice.rooms.v1` for browsers, without dependencies.
 *
 * `RoomClient` keeps one place in one room: it joins, resumes after a lost connection without losing
 * or doubling a message, and says who else is there. `PeerLinks` keeps one RTCPeerConnection with each
 * of the others, whatever happens to the WebSocket meanwhile.
 *
 * The wire is described in docs/rooms-protocol.md, this interface in Clients/js/README.md.
 */

const SUBPROTOCOL = 'sluice.rooms.v1';

/** What bounds the client, in milliseconds where the name does not say otherwise. */
const DEFAULTS = Object.freeze({
  /** First ceiling of the delay before another attempt, and the last one. */
  backoffInitial: 250,
  backoffMax: 15_000,
  /** The same where the relay said to come back later (4100 to 4199). */
  busyBackoffInitial: 1_000,
  busyBackoffMax: 30_000,
  /** A connection that lived this long was a good one: the next failure counts as the first. */
  stableAfter: 5_000,
  /** From the attempt to the `welcome`. */
  connectTimeout: 12_000,
  /** For the answer to a `ping` that asks whether the connection lives. */
  probeTimeout: 5_000,
  /** For the answer to anything else. */
  answerTimeout: 10_000,
  /** For the close frame after `leave`. */
  leaveTimeout: 1_000,
  /** Messages that may wait for their answer. */
  maxPending: 256,
});

/** For how long a `join` that was given up may still reach the relay. */
const STRAY_TIME = 30_000;

/** Timers take no longer delay than this. */
const TIMER_MAX = 2 ** 31 - 1;

// MARK: Errors

/** Why something failed: `code` is one of the protocol's, or one of this client's (see the README). */
export class RoomError extends Error {
  name = 'RoomError';

  constructor(code, message, { closeCode, retryable = false, retryAfter, to, cause } = {}) {
    super(message || code, cause === undefined ? undefined : { cause });
    this.code = code;
    this.closeCode = closeCode;
    this.retryable = retryable;
    this.retryAfter = retryAfter;
    this.to = to;
  }

  /** What an `error` message says. */
  static fromMessage({ code, message, retry_after: retryAfter, to }) {
    const retryable = ['rate_limited', 'room_full', 'room_locked', 'overloaded'].includes(code);
    return new RoomError(code, message, { retryable, retryAfter, to });
  }

  /** What a close frame says, with the `error` message that came before it, if one did. */
  static fromClose(closeCode, reason, announced) {
    const code = CLOSE_NAMES[closeCode] ?? 'connection_lost';
    // An error of long ago is no reason.
    const words = announced?.code === code ? announced : undefined;
    return new RoomError(code, words?.message || reason || `the connection ended with ${closeCode}`,
      { closeCode, retryable: !isFinal(closeCode), retryAfter: words?.retry_after });
  }
}

const CLOSE_NAMES = {
  4000: 'moved', 4001: 'token_refused', 4002: 'wrong_password', 4003: 'kicked', 4004: 'banned',
  4005: 'no_such_room', 4006: 'closed', 4008: 'flooding', 4100: 'room_full', 4101: 'room_locked',
  4102: 'overloaded', 4103: 'no_join', 4200: 'resume_afresh', 4201: 'draining',
};
const isFinal = (code) => code >= 4000 && code < 4100;
const isBusy = (code) => code >= 4100 && code < 4200;
const isImmediate = (code) => code >= 4200 && code < 4300;

/** How long to wait before another attempt: exponential, with full jitter (any delay up to a ceiling). */
class Backoff {
  #limits;
  #random;
  #failures = 0;
  #immediates = 0;

  constructor(limits, random) {
    this.#limits = limits;
    this.#random = random;
  }

  reset() {
    this.#failures = this.#immediates = 0;
  }

  delay(closeCode, retryAfter = 0) {
    // At once, but only the first in a row: a relay that says so for ever must not be hammered.
    if (isImmediate(closeCode) && this.#immediates++ === 0) return 0;
    if (!isImmediate(closeCode)) this.#immediates = 0;
    const { backoffInitial, backoffMax, busyBackoffInitial, busyBackoffMax } = this.#limits;
    const [initial, max] = isBusy(closeCode)
      ? [busyBackoffInitial, busyBackoffMax] : [backoffInitial, backoffMax];
    const ceiling = Math.min(max, initial * 2 ** this.#failures++);
    return retryAfter + this.#random() * ceiling;
  }
}

// MARK: One connection

/** One WebSocket. It says `join` when it opens, hands on what it gets, and tells its end once. */
class Connection {
  /** Whether `join` was sent: from then on the relay may have given the place to this connection. */
  hasJoined = false;
  /** The `error` message without an `id` that came last: a close frame may follow it. */
  announced = null;
  #socket;
  #owner;

  /** `owner` has `joinMessage()`, `received(connection, message)` and `ended(connection, code, reason)`. */
  constructor(socket, owner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.onopen = () => {
      this.send(JSON.stringify(owner.joinMessage()));
      this.hasJoined = true;
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#end(code, reason);
    // Says nothing that the close does not; implementations outside of browsers insist on a listener.
    socket.onerror = () => {};
  }

  send(text) {
    this.#socket.send(text);
  }

  /** Gives the socket up without waiting for the other side, which may be out of reach. */
  drop(code, reason) {
    const socket = this.#socket;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (code === undefined) socket.close();
    else socket.close(code, reason);
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      message = { type: 'error', code: 'bad_message', message: 'the relay sent something that is not JSON' };
    }
    if (message.type === 'error' && message.id === undefined) this.announced = message;
    this.#owner.received(this, message);
  }

  #end(code, reason) {
    this.#socket.onclose = null;
    this.#owner.ended(this, code, reason);
  }
}

// MARK: The room

/**
 * A place in a room.
 *
 *     idle ──join()──▶ connecting ──welcome──▶ joined ◀──welcome── reconnecting
 *                          │                      └──connection lost──▶┘
 *                          └────────── leave(), close(), 40xx ──────────▶ closed
 *
 * Two connections exist at once only after a `goaway`: the present one, and the attempt that is to
 * take its place. What a connection says after the next one's `welcome` is ignored.
 */
export class RoomClient extends EventTarget {
  /** Own id; the relay assigns it with the first `welcome`. */
  id = null;
  state = 'idle';
  /** The others, by id. */
  peers = new Map();
  iceServers = [];
  iceExpiresAt = null;
  /** `{name, version, locked, maxPeers, meta}` of the room. */
  info = null;
  role = null;
  can = [];
  limits = null;
  name;
  meta;

  #url;
  #options;
  #timers;
  #random;
  #storage;
  #storageKey;
  #backoff;

  #current = null;
  #attempt = null;
  /** Counts attempts, so that one which waited for its token knows that it is no longer wanted. */
  #attemptCount = 0;
  #joining = null;
  #joinedAt = 0;
  #isLeaving = false;
  /** Until when a 4000 may stem from an attempt of our own that was given up after its `join`. */
  #strayUntil = 0;

  /** The secret that names the place, and the last numbered message that was taken. */
  #resume = null;
  #seq = null;
  /** After a resume, messages up to this one are those that come again. */
  #replayUntil = 0;
  /** Whether what is sent now goes out now: joined, and everything of the replay was taken. */
  #isLive = false;
  /** What has no answer yet, by id, in the order in which it was asked for. */
  #pending = new Map();
  #nextId = 1;

  #timer = { retry: null, connect: null, answer: null, idle: null, token: null, goaway: null, leave: null };
  #lastReceivedAt = 0;
  #answerDue = 0;
  #slowUntil = 0;
  #stopListening = () => {};

  constructor(url, options = {}) {
    super();
    this.#url = roomURL(url);
    this.#options = { ...DEFAULTS, window: globalThis.window, ...options };
    this.#options.WebSocket ??= globalThis.WebSocket;
    this.#timers = options.timers ?? systemTimers;
    this.#random = options.random ?? Math.random;
    this.#storage = options.storage === undefined ? tabStorage() : options.storage;
    this.#storageKey = `${SUBPROTOCOL} ${this.#url.origin}${this.#url.pathname}`;
    this.#backoff = new Backoff(this.#options, this.#random);
    this.name = options.name;
    this.meta = options.meta;
  }

  get url() { return this.#url.href; }

  /** What `PeerLinks` takes from the room's options. */
  get environment() {
    const RTCPeerConnection = this.#options.RTCPeerConnection ?? globalThis.RTCPeerConnection;
    return { RTCPeerConnection, timers: this.#timers };
  }

  /**
   * Enters the room. Fulfilled with the first `welcome`; rejected where the room does not want this
   * peer, or, with `retry: false`, at the first failure of any kind.
   */
  join({ retry = true } = {}) {
    if (this.#joining) return this.#joining.promise;
    if (this.state === 'closed') return Promise.reject(new RoomError('closed', 'this client has ended'));
    this.#joining = { ...deferred(), retry };
    this.#resume = this.#takeSecret();
    // The page before this one may have said `join` a moment ago, and be heard only after this one.
    if (this.#resume) this.#strayUntil = this.#timers.now() + STRAY_TIME;
    this.#listen();
    this.#setState('connecting');
    this.#connect();
    return this.#joining.promise;
  }

  /** Gives the place up. Fulfilled when the relay has said good-bye, or did not within a second. */
  leave() {
    if (this.#isLeaving || this.state === 'closed') return Promise.resolve();
    const reason = new RoomError('left', 'the room was left');
    if (!this.#current) {
      this.#finish(reason);
      return Promise.resolve();
    }
    this.#isLeaving = true;
    this.#dropAttempt();
    this.#current.send('{"type":"leave"}');
    return new Promise((resolve) => {
      this.addEventListener('closed', () => resolve(), { once: true });
      this.#after('leave', this.#options.leaveTimeout, () => this.#finish(reason));
    });
  }

  /**
   * Ends the connection and keeps the place: the relay holds it for its resume window, and the next
   * client of this tab for the same room takes it.
   */
  close() {
    if (this.state === 'closed') return;
    this.#keepSecret();
    this.#finish(new RoomError('left', 'the client was closed'));
  }

  // MARK: Sending

  /** Sends `data` to one peer. Fulfilled with `{delivered}`; false where that peer is away for now. */
  send(to, data, { kind = 'custom', generation } = {}) {
    return this.signal(to, kind, data, { generation });
  }

  /** Sends a signal of any kind to one peer. */
  signal(to, kind, data, { generation } = {}) {
    return this.#request({ type: 'signal', to, kind, data, generation });
  }

  /** Sends `data` to all others. */
  broadcast(data) {
    return this.#request({ type: 'broadcast', data });
  }

  /** Changes one's own name or meta; `null` takes one away, what is missing stays. */
  async update({ name, meta }) {
    const answer = await this.#request({ type: 'update', name, meta });
    if (name !== undefined) this.name = name ?? undefined;
    if (meta !== undefined) this.meta = meta ?? undefined;
    return answer;
  }

  /** Removes a peer; with `banFor`, in seconds, it may not come back before. */
  kick(peer, { reason, banFor } = {}) {
    return this.#request({ type: 'kick', peer, reason, ban_for: banFor });
  }

  /** Keeps newcomers out, or lets them in again. */
  lock(locked = true) {
    return this.#request({ type: 'lock', locked });
  }

  /** Changes the room's own meta or size. */
  setRoom({ meta, maxPeers }) {
    return this.#request({ type: 'room', meta, max_peers: maxPeers });
  }

  setRole(peer, role) {
    return this.#request({ type: 'role', peer, role });
  }

  /** Round trip to the relay in milliseconds. */
  async ping() {
    const start = this.#timers.now();
    await this.#request({ type: 'ping' }, { isOfConnection: true });
    return this.#timers.now() - start;
  }

  /**
   * Keeps a message until it has an answer. One that is only about the connection (`ping`, `token`)
   * ends with it; all others are sent again on the next.
   */
  #request(message, { isOfConnection = false } = {}) {
    if (this.state === 'closed' || this.#isLeaving) {
      return Promise.reject(new RoomError('closed', 'the client is not in the room'));
    }
    if (this.#pending.size >= this.#options.maxPending) {
      return Promise.reject(new RoomError('too_many_pending',
        `${this.#pending.size} messages wait for an answer already`, { retryable: true, to: message.to }));
    }
    if (isOfConnection && !this.#isLive) {
      return Promise.reject(new RoomError('connection_lost', 'there is no connection now', { retryable: true }));
    }
    const id = this.#nextId++;
    const { promise, resolve, reject } = deferred();
    try {
      const text = JSON.stringify({ ...message, id });
      const { type, to } = message;
      this.#pending.set(id, { id, type, to, text, isOfConnection, wasSent: false, resolve, reject });
    } catch (cause) {
      reject(new RoomError('bad_message', `not to be written as JSON: ${cause.message}`, { cause }));
      return promise;
    }
    if (this.#isLive) this.#transmit(this.#pending.get(id));
    return promise;
  }

  #transmit(entry) {
    const most = this.limits.messageSize;
    // Longer than a third can be too long only where characters take more than one octet.
    if (entry.text.length * 3 > most && new TextEncoder().encode(entry.text).length > most) {
      this.#pending.delete(entry.id);
      entry.reject(new RoomError('too_large', `longer than the ${most} octets a message may have`, { to: entry.to }));
      return;
    }
    entry.wasSent = true;
    this.#current.send(entry.text);
    this.#expectAnswer(this.#options.answerTimeout);
  }

  #settle(id, settle) {
    const entry = this.#pending.get(id);
    this.#pending.delete(id);
    if (entry) settle(entry);
  }

  // MARK: Connecting

  async #connect() {
    const count = ++this.#attemptCount;
    this.#clear('retry');
    this.#after('connect', this.#options.connectTimeout, () => {
      this.#dropAttempt();
      this.#retry(new RoomError('connection_lost', 'the relay does not answer', { retryable: true }));
    });
    let socket;
    try {
      const protocols = [SUBPROTOCOL];
      const token = await this.#freshToken();
      if (count !== this.#attemptCount || this.state === 'closed') return;
      if (token) protocols.push('bearer', token);
      socket = new this.#options.WebSocket(this.#url.href, protocols);
    } catch (cause) {
      if (count !== this.#attemptCount || this.state === 'closed') return;
      this.#clear('connect');
      const isTemporary = cause instanceof RoomError && cause.retryable;
      const error = isTemporary ? cause : new RoomError('cannot_connect', cause.message, { cause });
      return isTemporary ? this.#retry(error) : this.#finish(error);
    }
    this.#attempt = new Connection(socket, {
      joinMessage: () => this.#joinMessage(),
      received: (connection, message) => this.#received(connection, message),
      ended: (connection, code, reason) => this.#ended(connection, code, reason),
    });
  }

  async #freshToken() {
    const { token } = this.#options;
    if (typeof token !== 'function') return token;
    try {
      return await token();
    } catch (cause) {
      throw new RoomError('no_token', `no token could be had: ${cause?.message ?? cause}`, { retryable: true, cause });
    }
  }

  #joinMessage() {
    const { name, meta } = this;
    const { password } = this.#options;
    const message = { type: 'join', name, meta, password };
    if (this.#resume) message.resume = this.#resume;
    if (this.#resume && this.#seq !== null) message.seq = this.#seq;
    return message;
  }

  #dropAttempt() {
    this.#attemptCount += 1;
    this.#attempt?.drop();
    this.#endAttempt();
  }

  #endAttempt() {
    this.#clear('connect');
    if (this.#attempt?.hasJoined) this.#strayUntil = this.#timers.now() + STRAY_TIME;
    this.#attempt = null;
  }

  #dropCurrent() {
    const current = this.#current;
    this.#lose();
    current?.drop();
  }

  /** Forgets the present connection, whatever became of it. */
  #lose() {
    this.#current = null;
    this.#isLive = false;
    for (const name of ['answer', 'idle', 'token', 'goaway']) this.#clear(name);
    if (this.#timers.now() - this.#joinedAt >= this.#options.stableAfter) this.#backoff.reset();
    for (const entry of [...this.#pending.values()].filter((entry) => entry.isOfConnection)) {
      this.#pending.delete(entry.id);
      entry.reject(new RoomError('connection_lost', 'the connection ended', { retryable: true }));
    }
  }

  #ended(connection, code, reason) {
    const wasCurrent = connection === this.#current;
    // A newer connection has the place, but it is one of our own.
    const isOwnDoing = code === 4000
      && (this.#timers.now() < this.#strayUntil || (wasCurrent && this.#attempt?.hasJoined === true));
    if (wasCurrent) this.#lose();
    else if (connection === this.#attempt) this.#endAttempt();
    else return;

    const error = RoomError.fromClose(code, reason, connection.announced);
    if (this.#isLeaving) return this.#finish(new RoomError('left', 'the room was left', { closeCode: code }));
    if (isFinal(code) && !isOwnDoing) return this.#finish(error);
    if (isOwnDoing) {
      this.#strayUntil = 0;
      error.retryable = true;
    }
    if (code === 4200) this.#seq = null;
    // An attempt is under way already: what becomes of it says how this goes on.
    if (wasCurrent && this.#attempt) return this.#setState('reconnecting');
    this.#retry(error);
  }

  #retry(error) {
    if (this.id === null && !this.#joining.retry) return this.#finish(error);
    const delay = this.#backoff.delay(error.closeCode, error.retryAfter);
    error.retryAfter = delay;
    if (!this.#current && this.id !== null) this.#setState('reconnecting');
    this.#after('retry', delay, () => this.#connect());
    this.#emit('error', error);
  }

  #finish(error) {
    if (this.state === 'closed') return;
    this.#dropAttempt();
    const current = this.#current;
    this.#lose();
    // No code where the place is to be kept; after `leave` the relay knows already.
    current?.drop();
    for (const name of Object.keys(this.#timer)) this.#clear(name);
    this.#stopListening();
    this.#resume = null;
    this.#setState('closed');
    for (const { reject, to } of this.#pending.values()) {
      reject(new RoomError('closed', `not answered before the end: ${error.message}`, { closeCode: error.closeCode, to, cause: error }));
    }
    this.#pending.clear();
    this.#joining?.reject(error);
    // Whoever only listens to events has no use for an unhandled rejection.
    this.#joining?.promise.catch(() => {});
    if (error.code === 'moved') this.#emit('moved', error);
    this.#emit('closed', error);
  }

  // MARK: Receiving

  #received(connection, message) {
    if (connection === this.#attempt) {
      if (message.type === 'welcome') this.#takeOver(connection, message);
      else if (message.type === 'error') this.#emit('error', RoomError.fromMessage(message));
      return;
    }
    if (connection !== this.#current) return;
    this.#lastReceivedAt = this.#timers.now();
    this.#clear('answer');
    if (typeof message.seq === 'number') {
      // It came on an earlier connection already.
      if (message.seq <= this.#seq) return;
      this.#seq = message.seq;
    }
    this.#handlers[message.type]?.(message);
    this.#goLiveIfReplayed();
  }

  /** The attempt became the connection; the one before it, if it still lives, has been superseded. */
  #takeOver(connection, message) {
    if (message.resumed && message.seq < this.#seq) return this.#startAfresh();
    if (this.#current) this.#dropCurrent();
    this.#attempt = null;
    this.#clear('connect');
    this.#current = connection;
    const now = this.#timers.now();
    this.#joinedAt = this.#lastReceivedAt = now;
    const previousId = this.id;

    this.id = message.peer;
    this.#resume = message.resume ?? null;
    this.role = message.role ?? null;
    this.can = message.can ?? [];
    this.info = { meta: undefined, ...roomInfo(message.room ?? {}) };
    this.limits = {
      messageSize: message.limits?.message_size ?? 65_536,
      messagesPerSecond: message.limits?.messages_per_second,
    };
    this.#takeIceServers(message);
    this.#scheduleToken(message.expires_at);
    this.#watchIdle(message.heartbeat);

    const resumed = message.resumed === true;
    const seq = message.seq ?? 0;
    if (!resumed || this.#seq === null) this.#seq = seq;
    this.#replayUntil = seq;

    const changes = this.#replaceRoster(message.peers ?? []);
    if (!resumed) this.#settleAfresh();
    this.#setState('joined');
    this.#emit('welcome', { resumed, previousId, peers: [...this.peers.values()] });
    for (const [type, detail] of changes) this.#emit(type, detail);
    this.#joining.resolve({ id: this.id, resumed, peers: [...this.peers.values()] });
    this.#goLiveIfReplayed();
  }

  /** The place that was resumed has sent less than was seen: it is not the one that was lost. */
  #startAfresh() {
    this.#dropAttempt();
    this.#seq = null;
    this.#retry(RoomError.fromClose(4200, 'the relay has another place under this id'));
  }

  #goLiveIfReplayed() {
    if (this.#isLive || !this.#current || this.#seq < this.#replayUntil) return;
    this.#isLive = true;
    for (const entry of [...this.#pending.values()]) {
      if (this.#isLive) this.#transmit(entry);
    }
  }

  /**
   * The place is a new one: no answers come to what was sent from the old one. What need not be sent
   * twice to be done twice is sent again; of the rest nobody knows whether it arrived.
   */
  #settleAfresh() {
    for (const entry of [...this.#pending.values()]) {
      const { id, type, to, wasSent, reject } = entry;
      const isGone = to !== undefined && !this.peers.has(to);
      const isUncertain = wasSent && (type === 'signal' || type === 'broadcast');
      if (!isGone && !isUncertain) continue;
      this.#pending.delete(id);
      reject(isGone
        ? new RoomError('no_such_peer', `${to} is not in the room any more`, { to })
        : new RoomError('unknown_outcome', 'the place was lost before the answer came: it may have arrived or not', { to }));
    }
  }

  /** What has to be told, as `[type, detail]`, for the roster to become `list`. */
  #replaceRoster(list) {
    const before = this.peers;
    this.peers = new Map();
    const changes = [];
    for (const entry of list) {
      const known = before.get(entry.peer);
      const state = known && JSON.stringify(known);
      const peer = setPeer(known ?? {}, entry);
      this.peers.set(peer.id, peer);
      if (!known) changes.push(['peerjoin', { peer, isNew: false }]);
      else if (JSON.stringify(peer) !== state) changes.push(['peerupdate', { peer }]);
      before.delete(peer.id);
    }
    const gone = [...before.values()].map((peer) => ['peerleave', { peer, reason: 'absent' }]);
    return [...gone, ...changes];
  }

  /** What each type of message does. Unknown ones are ignored: later versions may have more. */
  #handlers = {
    joined: (message) => this.#peerJoined(message),
    left: (message) => this.#peerLeft(message),
    updated: (message) => this.#peerUpdated(message),
    presence: (message) => {
      for (const entry of message.left ?? []) this.#peerLeft(entry);
      for (const entry of message.joined ?? []) this.#peerJoined(entry);
      for (const entry of message.updated ?? []) this.#peerUpdated(entry);
      this.#takeVersion(message);
    },
    room: (message) => {
      this.info = { ...this.info, meta: undefined, ...roomInfo(message) };
      this.#emit('room', this.info);
    },
    signal: ({ from, kind, generation = 0, data }) => {
      if (kind === 'custom') this.#emit('message', { from, data, generation, isBroadcast: false });
      else this.#emit('signal', { from, kind, generation, data });
    },
    broadcast: ({ from, data }) => this.#emit('message', { from, data, isBroadcast: true }),
    ack: (message) => {
      this.#settle(message.id, ({ type, resolve }) => {
        if (type === 'token') this.#scheduleToken(message.expires_at);
        resolve({ delivered: message.delivered !== false });
      });
    },
    error: (message) => {
      const error = RoomError.fromMessage(message);
      // Messages are read more slowly for a while; the one that this is about is not lost.
      if (message.code === 'rate_limited') this.#slowUntil = this.#timers.now() + (message.retry_after ?? 0);
      if (message.id === undefined || message.code === 'rate_limited') this.#emit('error', error);
      else this.#settle(message.id, ({ to, reject }) => {
        error.to ??= to;
        reject(error);
      });
    },
    ice: (message) => {
      this.#takeIceServers(message);
      this.#emit('iceservers', { iceServers: this.iceServers, expiresAt: this.iceExpiresAt });
    },
    goaway: ({ after_ms: after = 0, reason }) => {
      const delay = this.#random() * after;
      this.#after('goaway', delay, () => {
        if (!this.#attempt && this.#timer.retry === null) this.#connect();
      });
      this.#emit('goaway', { delay, reason });
    },
  };

  #peerJoined(message) {
    // An id stands for one peer: whoever had it has been replaced.
    if (this.peers.has(message.peer)) this.#peerLeft({ peer: message.peer, reason: 'moved' });
    const peer = setPeer({}, message);
    this.peers.set(peer.id, peer);
    this.#takeVersion(message);
    this.#emit('peerjoin', { peer, isNew: true });
  }

  #peerLeft(message) {
    const peer = this.peers.get(message.peer);
    this.#takeVersion(message);
    if (!peer) return;
    this.peers.delete(peer.id);
    this.#emit('peerleave', { peer, reason: message.reason });
  }

  #peerUpdated(message) {
    this.#takeVersion(message);
    if (message.peer === this.id) {
      this.role = message.role ?? this.role;
      this.#emit('peerupdate', { peer: { id: this.id, name: message.name, role: this.role, meta: message.meta }, isSelf: true });
      return;
    }
    const peer = this.peers.get(message.peer);
    if (!peer) return;
    setPeer(peer, { ...message, polite: peer.polite });
    this.#emit('peerupdate', { peer, isSelf: false });
  }

  #takeVersion({ version }) {
    if (version !== undefined && this.info) this.info.version = version;
  }

  #takeIceServers({ ice_servers: servers, ice_expires_at: expiresAt }) {
    this.iceServers = servers ?? [];
    this.iceExpiresAt = expiresAt ?? null;
  }

  // MARK: Whether the connection lives

  /** Drops a connection on which nothing comes within `ms`, and makes another one. */
  #expectAnswer(ms) {
    const now = this.#timers.now();
    const due = ms + Math.max(now, this.#slowUntil);
    if (this.#timer.answer !== null && this.#answerDue <= due) return;
    this.#answerDue = due;
    this.#after('answer', due - now, () => {
      this.#dropCurrent();
      // An attempt that a `goaway` began carries on alone.
      if (this.#attempt) return this.#setState('reconnecting');
      this.#retry(new RoomError('connection_lost', 'the relay does not answer any more', { retryable: true }));
    });
  }

  #probe() {
    this.ping().catch(() => {});
    this.#expectAnswer(this.#options.probeTimeout);
  }

  /**
   * Asks for a sign of life where there was none for longer than the relay itself would wait. A
   * hidden tab's timers are slow: this finds the rare death that nothing else told, no more.
   */
  #watchIdle(heartbeat = 30_000) {
    const interval = Math.max(heartbeat, 5_000);
    this.#after('idle', interval, () => {
      if (this.#isLive && this.#timers.now() - this.#lastReceivedAt >= interval) this.#probe();
      this.#watchIdle(heartbeat);
    });
  }

  /** The network came back, or somebody looks at the page again: find out now, not when a timer fires. */
  #wake() {
    if (this.#isLive) this.#probe();
    else if (!this.#current && this.#timer.retry !== null) this.#connect();
  }

  // MARK: Token

  /** Brings a fresh token when four fifths of the present one's time are over. */
  #scheduleToken(expiresAt) {
    this.#clear('token');
    if (expiresAt === undefined || typeof this.#options.token !== 'function') return;
    const left = expiresAt * 1000 - this.#timers.now();
    // Where this clock says that what was just accepted has expired, it is the clock that is wrong.
    const delay = left > 0 ? Math.max(left * 0.8, 500) : 30_000;
    this.#after('token', delay, async () => {
      try {
        const token = await this.#freshToken();
        await this.#request({ type: 'token', token }, { isOfConnection: true });
      } catch (error) {
        if (!this.#isLive) return;
        this.#emit('error', error);
        this.#scheduleToken(expiresAt);
      }
    });
  }

  // MARK: The page

  #listen() {
    const { window } = this.#options;
    if (!window?.addEventListener) return;
    const { document } = window;
    const onWake = () => this.#wake();
    const onVisible = () => document.visibilityState === 'visible' && this.#wake();
    const onHide = () => this.#keepSecret();
    // The page was kept whole and is back: the secret is in memory, and no copy of this tab may have it.
    const onShow = () => { this.#takeSecret(); this.#wake(); };
    const listeners = [
      [window, 'online', onWake], [window, 'pageshow', onShow], [window, 'pagehide', onHide],
      [document, 'visibilitychange', onVisible]];
    for (const [target, type, listener] of listeners) target?.addEventListener(type, listener);
    this.#stopListening = () => {
      for (const [target, type, listener] of listeners) target?.removeEventListener(type, listener);
    };
  }

  /**
   * The secret is in storage only between the end of one page and the start of the next. A tab that
   * is duplicated copies its storage, and must not find it: the two would fight over one place.
   */
  #keepSecret() {
    if (!this.#resume) return;
    try {
      this.#storage?.setItem(this.#storageKey, this.#resume);
    } catch {
      // Full or forbidden: the next page is then a new peer, and nothing else is lost.
    }
  }

  #takeSecret() {
    try {
      const secret = this.#storage?.getItem(this.#storageKey) ?? null;
      this.#storage?.removeItem(this.#storageKey);
      return secret;
    } catch {
      return null;
    }
  }

  // MARK: Small things

  #setState(state) {
    if (this.state === state) return;
    const previous = this.state;
    this.state = state;
    this.#emit('state', { state, previous });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #after(name, delay, action) {
    this.#clear(name);
    this.#timer[name] = this.#timers.setTimeout(() => {
      this.#timer[name] = null;
      action();
    }, Math.min(Math.max(delay, 0), TIMER_MAX));
  }

  #clear(name) {
    if (this.#timer[name] !== null) this.#timers.clearTimeout(this.#timer[name]);
    this.#timer[name] = null;
  }
}

const systemTimers = Object.freeze({
  now: () => Date.now(),
  setTimeout: (action, delay) => globalThis.setTimeout(action, delay),
  clearTimeout: (handle) => globalThis.clearTimeout(handle),
});

function deferred() {
  let resolve, reject;
  const promise = new Promise((yes, no) => [resolve, reject] = [yes, no]);
  return { promise, resolve, reject };
}

/** Where the WebSocket goes. What is secret goes into the first message, never into the URL. */
function roomURL(url) {
  const result = new URL(url, globalThis.location?.href);
  result.protocol = result.protocol.replace(/^http/, 'ws');
  result.hash = '';
  result.searchParams.set('join', 'message');
  return result;
}

/** Touching `sessionStorage` throws where a page may not have any. */
function tabStorage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** Fills `peer` from an entry of a roster; what is missing there is not set any more. */
function setPeer(peer, { peer: id, name, role, meta, polite }) {
  return Object.assign(peer, { id, name, role, meta, polite });
}

function roomInfo({ name, version, locked, max_peers: maxPeers, meta }) {
  const info = { name, version, locked, maxPeers, meta };
  return Object.fromEntries(Object.entries(info).filter(([, value]) => value !== undefined));
}

// MARK: Peer to peer

const LINK_DEFAULTS = Object.freeze({
  /** Data channels that each link has from the start: `{label: RTCDataChannelInit}`; the same on all sides. */
  channels: {},
  /** What else than `iceServers` each RTCPeerConnection is configured with. */
  configuration: {},
  /** Candidates are collected for this long and sent as one message. */
  candidateDelay: 30,
  /** The polite side's first offer waits this long for the other's: most collisions never happen. */
  politeOfferDelay: 150,
  /** An offer of theirs was ignored for the sake of ours: ours is said again where no answer comes in this time. */
  answerPatience: 2_000,
  /** How long a link may be `new` after both sides have agreed, before it is made anew. */
  connectPatience: 5_000,
  /** How long a link may be `disconnected` before ICE is restarted. */
  disconnectedPatience: 4_000,
  /** How much longer the polite side waits for the other one to do so. */
  politePatience: 5_000,
  /** How long a link that works is kept for a peer that the relay lost, as when the relay is restarted. */
  absentPatience: 30_000,
});

/** ICE restarts without success, after which the RTCPeerConnection is made anew. */
const RESTART_COUNT_MAX = 2;
/** How far ahead of the clock a peer may claim to have seen one of our generations: thirty years. */
const GENERATION_AHEAD_MAX = 1e12;
const EARLY_SIGNAL_COUNT_MAX = 256;
const EARLY_SIGNAL_AGE_MAX = 10_000;

/** A track that goes to all present and future peers. */
class OutgoingTrack {
  #links;

  constructor(links, track, streams) {
    this.#links = links;
    this.track = track;
    this.streams = streams;
  }

  /** Sends another track of the same kind in this one's place, or nothing: no negotiation is needed. */
  async replace(track) {
    this.track = track;
    await Promise.all(this.#links.list().map((link) => link.applyTrack(this)));
  }

  remove() {
    this.#links.removeTrack(this);
  }
}

/**
 * One RTCPeerConnection with each other peer of a room, and what they all send.
 *
 * Events: `link` and `unlink` `{link, reason?}`, `linkstate` `{link, state}`, `track` `{link, track,
 * streams}`, `channel` `{link, channel}`, `error` `{link, error}`.
 */
export class PeerLinks extends EventTarget {
  #room;
  #links = new Map();
  #outgoing = new Set();
  /** Signals of peers that nobody told of yet: on their way through a cluster they may be faster. */
  #early = [];
  #generation = 0;
  #isClosed = false;
  #listeners;

  constructor(room, options = {}) {
    super();
    this.#room = room;
    this.options = { ...LINK_DEFAULTS, ...room.environment, ...options };
    this.#listeners = {
      welcome: ({ detail }) => this.#welcomed(detail),
      peerjoin: ({ detail }) => this.#joined(detail.peer),
      peerleave: ({ detail }) => this.#left(detail.peer, detail.reason),
      signal: ({ detail }) => this.#signaled(detail),
      iceservers: () => this.#configure(),
      closed: () => this.close(),
    };
    for (const [type, listener] of Object.entries(this.#listeners)) room.addEventListener(type, listener);
    for (const peer of room.peers.values()) this.#joined(peer);
  }

  get room() { return this.#room; }

  get(id) { return this.#links.get(id); }

  list() { return [...this.#links.values()]; }

  /** Sends a track to everybody, now and later. What is returned can replace and remove it. */
  addTrack(track, ...streams) {
    const outgoing = new OutgoingTrack(this, track, streams);
    this.#outgoing.add(outgoing);
    for (const link of this.list()) link.applyTrack(outgoing);
    return outgoing;
  }

  removeTrack(outgoing) {
    if (!this.#outgoing.delete(outgoing)) return;
    for (const link of this.list()) link.dropTrack(outgoing);
  }

  addStream(stream) {
    return stream.getTracks().map((track) => this.addTrack(track, stream));
  }

  removeStream(stream) {
    for (const outgoing of [...this.#outgoing]) {
      if (outgoing.streams.includes(stream)) this.removeTrack(outgoing);
    }
  }

  /** Sends over the channels with this label that are open, and says how many those were. */
  send(label, data) {
    const open = this.list().map((link) => link.channels.get(label))
      .filter((channel) => channel?.readyState === 'open');
    for (const channel of open) channel.send(data);
    return open.length;
  }

  /** How each link is, by peer; rates are since the call before. */
  async getStats() {
    const entries = await Promise.all(this.list().map(async (link) => [link.id, await link.getStats()]));
    return new Map(entries);
  }

  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const [type, listener] of Object.entries(this.#listeners)) this.#room.removeEventListener(type, listener);
    for (const link of this.list()) this.unlink(link, 'closed');
  }

  // What links ask of the whole.

  get outgoing() { return this.#outgoing; }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /**
   * Each RTCPeerConnection has a higher number than those before it, over page loads too, hence the
   * clock. `above` is for one that went backwards meanwhile.
   */
  nextGeneration(above = 0) {
    return this.#generation = Math.max(this.#generation + 1, above + 1, Math.floor(this.options.timers.now()));
  }

  unlink(link, reason) {
    if (this.#links.get(link.id) === link) this.#links.delete(link.id);
    link.end();
    this.emit('unlink', { link, reason });
  }

  #joined(peer) {
    const kept = this.#links.get(peer.id);
    if (kept) return kept.comeBack(peer);
    const link = new PeerLink(this, peer);
    this.#links.set(peer.id, link);
    this.emit('link', { link });
    link.start();
    const youngest = this.options.timers.now() - EARLY_SIGNAL_AGE_MAX;
    const early = this.#early.filter(({ from }) => from === peer.id);
    this.#early = this.#early.filter(({ from }) => from !== peer.id);
    for (const signal of early) if (signal.at >= youngest) link.receive(signal);
  }

  #left(peer, reason) {
    const link = this.#links.get(peer.id);
    if (!link) return;
    // Not the peer is gone but the relay's memory of it: media need no relay.
    if (reason === 'absent' && link.state === 'connected') link.keepAbsent();
    else this.unlink(link, reason);
  }

  #signaled(signal) {
    const link = this.#links.get(signal.from);
    if (link) return link.receive(signal);
    this.#early.push({ ...signal, at: this.options.timers.now() });
    if (this.#early.length > EARLY_SIGNAL_COUNT_MAX) this.#early.shift();
  }

  #welcomed({ resumed, previousId }) {
    const isSamePeer = previousId === this.#room.id;
    this.#configure();
    for (const link of this.list()) {
      const isThere = this.#room.peers.has(link.id);
      if (!isSamePeer) {
        // Under another id this is another peer for everybody: the others have links of their own for it.
        this.unlink(link, 'absent');
        if (isThere) this.#joined(this.#room.peers.get(link.id));
      } else if (!resumed && isThere) {
        // What was on its way is lost, and the others may have begun anew.
        link.reconcile();
      }
      link.watch();
    }
  }

  #configure() {
    for (const link of this.list()) link.configure();
  }
}

/**
 * The connection with one peer: perfect negotiation (W3C webrtc §10.7), and which RTCPeerConnection of
 * theirs is meant to talk to which of ours.
 *
 * Each message carries the `generation` of the sender's RTCPeerConnection; a description says in `for`
 * with which one of the receiver's it is paired (0: with none yet). Two are paired when one has taken a
 * description of the other, and neither is ever paired with a second one. Hence
 *
 *   - a generation above the known one, while ours is paired: theirs is a new one, ours is made anew;
 *   - a `for` that is neither 0 nor ours: theirs is paired with one of ours that is gone. It is told our
 *     generation with a `hello`, and makes its own anew by the rule above;
 *   - a generation below the known one: the clock over there went backwards between two page loads. A
 *     `hello` says for which it is taken, and it goes on above that.
 *
 * An answer repeats the `serial` of its offer: one to an offer that was taken back is not mistaken for
 * one to the next.
 */
export class PeerLink {
  peer;
  pc = null;
  generation = 0;
  channels = new Map();

  #links;
  #timers;
  #timer = { candidates: null, offer: null, again: null, revive: null, absent: null };
  #senders = new Map();

  /** Generation of their RTCPeerConnection as far as known, and whether ours is paired with it. */
  #remote = 0;
  #isPaired = false;
  #makingOffer = false;
  #ignoreOffer = false;
  #isSettingAnswer = false;
  #isTakingOffer = false;
  #serial = 0;
  /** Serial of the offer of theirs that was taken last, and what was answered to it. */
  #takenSerial = -1;
  #answer = null;
  #candidates = [];
  #restarts = 0;
  #sample = null;

  constructor(links, peer) {
    this.#links = links;
    this.#timers = links.options.timers;
    this.peer = peer;
  }

  get id() { return this.peer.id; }

  /** `new`, `connecting`, `connected`, `disconnected`, `failed` or `closed`. */
  get state() { return this.pc?.connectionState ?? 'closed'; }

  start() { this.#open(); }

  end() {
    for (const name of Object.keys(this.#timer)) this.#clear(name);
    this.#shut();
    this.pc = null;
  }

  configure() {
    try {
      this.pc.setConfiguration({ ...this.#links.options.configuration, iceServers: this.#links.room.iceServers });
    } catch (error) {
      this.#fail(error);
    }
  }

  // MARK: The RTCPeerConnection

  #open(remote = 0, above = 0) {
    this.#shut();
    const { RTCPeerConnection, configuration, channels } = this.#links.options;
    this.generation = this.#links.nextGeneration(above);
    this.#remote = remote;
    this.#isPaired = this.#makingOffer = this.#ignoreOffer = this.#isSettingAnswer = false;
    this.#isTakingOffer = false;
    this.#takenSerial = -1;
    this.#answer = null;
    const pc = new RTCPeerConnection({ ...configuration, iceServers: this.#links.room.iceServers });
    this.pc = pc;
    pc.onnegotiationneeded = () => this.#negotiate();
    pc.onicecandidate = ({ candidate }) => this.#gathered(candidate);
    pc.onconnectionstatechange = () => this.#stateChanged();
    pc.ontrack = ({ track, streams }) => this.#links.emit('track', { link: this, track, streams });
    pc.ondatachannel = ({ channel }) => this.#addChannel(channel);
    Object.entries(channels).forEach(([label, init], index) => {
      this.#addChannel(pc.createDataChannel(label, { id: index, ...init, negotiated: true }));
    });
    for (const outgoing of this.#links.outgoing) this.applyTrack(outgoing);
  }

  /** Nothing of the old RTCPeerConnection is heard any more. */
  #shut() {
    const { pc } = this;
    for (const name of ['candidates', 'offer', 'again', 'revive']) this.#clear(name);
    this.channels.clear();
    this.#senders.clear();
    this.#candidates = [];
    this.#sample = null;
    if (!pc) return;
    pc.onnegotiationneeded = pc.onicecandidate = pc.onconnectionstatechange = pc.ontrack = pc.ondatachannel = null;
    pc.close();
  }

  /** Begins anew, for a reason of our own. */
  reset() {
    this.#open(this.#remote);
    this.#hello();
  }

  #addChannel(channel) {
    this.channels.set(channel.label, channel);
    this.#links.emit('channel', { link: this, channel });
  }

  async applyTrack(outgoing) {
    const { track, streams } = outgoing;
    const sender = this.#senders.get(outgoing);
    try {
      if (sender) await sender.replaceTrack(track);
      else if (track) this.#senders.set(outgoing, this.pc.addTrack(track, ...streams));
    } catch (error) {
      this.#fail(error);
    }
  }

  dropTrack(outgoing) {
    const sender = this.#senders.get(outgoing);
    this.#senders.delete(outgoing);
    if (sender) this.pc.removeTrack(sender);
  }

  // MARK: Perfect negotiation

  #negotiate() {
    const { pc } = this;
    const { politeOfferDelay } = this.#links.options;
    if (this.#isPaired || !this.peer.polite || politeOfferDelay === 0) return this.#offer();
    this.#after('offer', politeOfferDelay, () => {
      // Their offer came first. What it leaves to negotiate is told by another `negotiationneeded`.
      if (pc.signalingState === 'stable' && !this.#isPaired) this.#offer();
    });
  }

  async #offer() {
    const { pc } = this;
    this.#makingOffer = true;
    try {
      await pc.setLocalDescription();
      if (pc !== this.pc) return;
      this.#serial += 1;
      this.#sendOffer();
    } catch (error) {
      if (pc === this.pc) this.#fail(error);
    } finally {
      if (pc === this.pc) this.#makingOffer = false;
    }
  }

  /** Takes a signal of the peer. What is not between the two present RTCPeerConnections is dropped. */
  receive({ kind, generation, data }) {
    if (kind === 'candidates') return this.#takeCandidates(generation, data);
    const description = typeof data === 'string' ? { type: kind, sdp: data } : data;
    if (!this.#isForUs(generation, description)) return;
    if (description.type === 'offer') this.#takeOffer(description);
    else if (description.type === 'answer') this.#takeAnswer(description);
  }

  #isForUs(generation, { type, for: target = 0 }) {
    if (generation < this.#remote) {
      this.#hello(this.#remote);
      return false;
    }
    if (generation > this.#remote && this.#isPaired) this.#open(generation);
    this.#remote = generation;
    if (target !== 0 && target !== this.generation) {
      const isPlausible = target < this.#timers.now() + GENERATION_AHEAD_MAX;
      if (target > this.generation && isPlausible) this.#open(generation, target);
      this.#hello();
      return false;
    }
    // What was offered may have gone to one that is no more.
    if (type === 'hello') this.#offerAgain();
    return true;
  }

  async #takeOffer({ type, sdp, serial }) {
    const { pc } = this;
    if (serial <= this.#takenSerial) {
      // It was said again because the answer may have been lost.
      if (serial === this.#takenSerial && this.#answer) this.#send('answer', this.#answer);
      return;
    }
    const isReady = !this.#makingOffer && (pc.signalingState === 'stable' || this.#isSettingAnswer);
    this.#ignoreOffer = !isReady && !this.peer.polite;
    if (this.#ignoreOffer) {
      // Ours prevails, unless it went to one that is no more: nobody would answer either then.
      this.#after('again', this.#links.options.answerPatience, () => this.#offerAgain());
      return;
    }
    this.#isPaired = this.#isTakingOffer = true;
    this.#takenSerial = serial ?? -1;
    this.#answer = null;
    try {
      await pc.setRemoteDescription({ type, sdp });
      await pc.setLocalDescription();
      if (pc !== this.pc) return;
      this.#answer = { type: 'answer', sdp: pc.localDescription.sdp, serial, for: this.#remote };
      this.#send('answer', this.#answer);
      this.watch();
    } catch (error) {
      if (pc !== this.pc) return;
      this.#takenSerial = -1;
      this.#fail(error);
    } finally {
      if (pc === this.pc) this.#isTakingOffer = false;
    }
  }

  async #takeAnswer({ type, sdp, serial = this.#serial }) {
    const { pc } = this;
    // An offer of theirs that is being taken has rolled back the one that this answers.
    if (pc.signalingState !== 'have-local-offer' || this.#isTakingOffer || this.#isSettingAnswer) return;
    if (serial !== this.#serial) return;
    this.#isSettingAnswer = this.#isPaired = true;
    try {
      await pc.setRemoteDescription({ type, sdp });
      if (pc === this.pc) this.watch();
    } catch (error) {
      if (pc === this.pc) this.#fail(error);
    } finally {
      if (pc === this.pc) this.#isSettingAnswer = false;
    }
  }

  #sendOffer() {
    const { type, sdp } = this.pc.localDescription;
    this.#send(type, { type, sdp, serial: this.#serial, for: this.#isPaired ? this.#remote : 0 });
  }

  /** Says an offer again that has no answer yet. False where there is none. */
  #offerAgain() {
    if (this.pc.signalingState !== 'have-local-offer' || this.#makingOffer) return false;
    this.#sendOffer();
    return true;
  }

  #hello(target = this.#isPaired ? this.#remote : 0) {
    this.#send('description', { type: 'hello', for: target });
  }

  /** After messages may have been lost: says again what still matters. */
  reconcile() {
    if (!this.#offerAgain()) this.#hello();
  }

  // MARK: Candidates

  #gathered(candidate) {
    this.#candidates.push(candidate ? candidate.toJSON() : null);
    if (this.#timer.candidates !== null) return;
    this.#after('candidates', this.#links.options.candidateDelay, () => {
      // Those of an offer that was rolled back meanwhile belong to nothing.
      const batch = this.#candidates.splice(0).filter((candidate) => isOf(candidate, this.pc.localDescription));
      if (batch.length > 0) this.#send('candidates', batch);
    });
  }

  #takeCandidates(generation, list) {
    if (generation !== this.#remote || !this.#isPaired) return;
    const { pc } = this;
    // All at once: a description that comes next must find them queued before it.
    for (const candidate of [list].flat()) {
      pc.addIceCandidate(candidate ?? undefined).catch((error) => {
        // One of an offer that is ignored, of credentials that are not in use any more, or for a part
        // of the media that has ended, is no loss.
        if (pc === this.pc && !this.#ignoreOffer && isWanted(candidate, pc.remoteDescription)) this.#fail(error);
      });
    }
  }

  // MARK: Keeping it alive

  #stateChanged() {
    if (this.state === 'connected') this.#restarts = 0;
    this.#links.emit('linkstate', { link: this, state: this.state });
    this.watch();
  }

  /**
   * Restarts ICE where it has failed, or was disconnected for a while. One side does, the impolite
   * one; the other only if that did not help in time.
   */
  watch() {
    this.#clear('revive');
    if (!this.pc) return;
    const { connectPatience, disconnectedPatience, politePatience } = this.#links.options;
    const patiences = { failed: 0, disconnected: disconnectedPatience };
    // Both have agreed, but one gathers no candidates, as Chromium may after a rollback in the same
    // instant as the offer. A restart does not help there; a new RTCPeerConnection does.
    if (this.#isPaired) patiences.new = connectPatience;
    if (!(this.state in patiences)) return;
    const patience = patiences[this.state] + (this.peer.polite ? politePatience : 0);
    const backoff = this.#restarts === 0 ? 0 : Math.min(30_000, 2_500 * 2 ** this.#restarts);
    this.#after('revive', patience + backoff, () => this.#revive());
  }

  #revive() {
    // Without a relay an offer would arrive with the candidates of a network that is gone: the next
    // `welcome` looks again.
    if (this.#links.room.state !== 'joined') return;
    this.#restarts += 1;
    if (this.#restarts > RESTART_COUNT_MAX || this.state === 'new') this.reset();
    else if (this.pc.signalingState === 'stable') this.pc.restartIce();
    this.watch();
  }

  /** The relay does not know the peer any more, but this link works. */
  keepAbsent() {
    this.#after('absent', this.#links.options.absentPatience, () => this.#links.unlink(this, 'absent'));
  }

  comeBack(peer) {
    this.#clear('absent');
    this.peer = peer;
    this.reconcile();
  }

  // MARK: Statistics

  async getStats() {
    const report = await this.pc?.getStats();
    if (!report) return { state: this.state };
    const sample = readStats([...report.values()]);
    const result = compareStats(this.#sample, sample);
    this.#sample = sample;
    return { state: this.state, ...result };
  }

  // MARK: Small things

  #send(kind, data) {
    const { generation } = this;
    this.#links.room.signal(this.id, kind, data, { generation }).catch((error) => {
      // Who is gone is told by a `peerleave`; of a place that was lost, what matters is said anew.
      if (!this.pc || generation !== this.generation) return;
      if (error.code === 'no_such_peer' || error.code === 'unknown_outcome') return;
      this.#fail(error);
      if (error.retryable) this.#timers.setTimeout(() => this.pc && generation === this.generation && this.#send(kind, data), 1_000);
    });
  }

  #fail(error) {
    this.#links.emit('error', { link: this, error });
  }

  #after(name, delay, action) {
    this.#clear(name);
    this.#timer[name] = this.#timers.setTimeout(() => {
      this.#timer[name] = null;
      action();
    }, delay);
  }

  #clear(name) {
    if (this.#timer[name] !== null) this.#timers.clearTimeout(this.#timer[name]);
    this.#timer[name] = null;
  }
}

/** Whether a candidate has the credentials of a description; one that names none is taken for its. */
function isOf(candidate, description) {
  const name = candidate?.usernameFragment;
  return !name || Boolean(description?.sdp.includes(`a=ice-ufrag:${name}`));
}

/** Whether a description has a use for a candidate: a section of it that goes on, with its credentials. */
function isWanted(candidate, description) {
  if (!candidate?.sdpMid || !description) return isOf(candidate, description);
  const sections = description.sdp.split(/^m=/m).slice(1);
  const section = sections.find((text) => text.split(/\r?\n/).includes(`a=mid:${candidate.sdpMid}`));
  return section !== undefined && isOf(candidate, { sdp: section });
}

// MARK: Reading statistics

/** What of an RTCStatsReport tells how a link is. */
function readStats(entries) {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const ofType = (type) => entries.filter((entry) => entry.type === type);
  const total = (list, key) => list.reduce((sum, entry) => sum + (entry[key] ?? 0), 0);
  const transport = ofType('transport').find((entry) => entry.selectedCandidatePairId);
  const pair = byId.get(transport?.selectedCandidatePairId)
    // Firefox before it had transports.
    ?? ofType('candidate-pair').find((entry) => entry.selected || (entry.nominated && entry.state === 'succeeded'));
  const inbound = ofType('inbound-rtp');
  const video = (list) => {
    const entry = list.find((entry) => entry.kind === 'video' && entry.frameWidth);
    return entry && { width: entry.frameWidth, height: entry.frameHeight, framesPerSecond: entry.framesPerSecond ?? 0 };
  };
  const candidate = (id) => {
    const { candidateType: type, protocol, relayProtocol } = byId.get(id) ?? {};
    return type && { type, protocol, relayProtocol };
  };
  const roundTrip = pair?.currentRoundTripTime ?? ofType('remote-inbound-rtp')[0]?.roundTripTime;
  return {
    at: pair?.timestamp ?? 0,
    received: pair?.bytesReceived ?? total(inbound, 'bytesReceived'),
    sent: pair?.bytesSent ?? total(ofType('outbound-rtp'), 'bytesSent'),
    packetsReceived: total(inbound, 'packetsReceived'),
    packetsLost: total(inbound, 'packetsLost'),
    roundTripTime: roundTrip === undefined ? undefined : roundTrip * 1000,
    local: pair && candidate(pair.localCandidateId),
    remote: pair && candidate(pair.remoteCandidateId),
    videoIn: video(inbound),
    videoOut: video(ofType('outbound-rtp')),
  };
}

/** Rates from two samples; without an earlier one they are not known. */
function compareStats(before, now) {
  const { at, received, sent, packetsReceived, packetsLost, ...rest } = now;
  const seconds = before ? (at - before.at) / 1000 : 0;
  const rate = (key) => seconds > 0 ? Math.max(0, (now[key] - before[key]) * 8 / seconds) : undefined;
  const lost = before ? Math.max(0, packetsLost - before.packetsLost) : packetsLost;
  const expected = lost + (before ? packetsReceived - before.packetsReceived : packetsReceived);
  return {
    ...rest, packetsLost,
    /** Share of the packets since the last call, 0 to 1. */
    lossRate: expected > 0 ? lost / expected : 0,
    bitrateIn: rate('received'),
    bitrateOut: rate('sent'),
  };
}
