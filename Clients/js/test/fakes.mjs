/**
 * What the client meets in a browser, scripted: a clock that stands still until it is told to go on, a
 * network with delays, sockets, storage, a window, and an RTCPeerConnection that follows the
 * signaling states of W3C webrtc §4.4.1 with implicit rollback.
 */

/** Numbers from a seed (mulberry32): a failure prints the seed, and the seed repeats it. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Lets everything that is ready run: promises have no time of their own. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export class Clock {
  #now = 1_800_000_000_000;
  #next = 1;
  #due = new Map();

  now = () => this.#now;
  setTimeout = (action, delay = 0) => {
    this.#due.set(this.#next, { at: this.#now + Math.max(0, delay), action });
    return this.#next++;
  };
  clearTimeout = (handle) => this.#due.delete(handle);

  get pendingCount() { return this.#due.size; }

  /** Lets `ms` pass: timers fire in the order in which they are due. */
  async advance(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      let first = null;
      for (const [handle, { at }] of this.#due) {
        if (at <= end && (first === null || at < this.#due.get(first).at)) first = handle;
      }
      if (first === null) break;
      const { at, action } = this.#due.get(first);
      this.#due.delete(first);
      this.#now = Math.max(this.#now, at);
      action();
      await settle();
    }
    this.#now = end;
  }

  /** A clock that is set back or forth, as between two page loads. */
  shift(ms) { this.#now += ms; }
}

export class Storage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => this.items.set(key, String(value));
  removeItem = (key) => this.items.delete(key);
}

export class Window extends EventTarget {
  document = Object.assign(new EventTarget(), { visibilityState: 'visible' });

  fire(type) { this.dispatchEvent(new Event(type)); }

  show(state) {
    this.document.visibilityState = state;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }
}

/** Sockets that a test drives by hand: each one made is in `made`. */
export function scriptedSockets() {
  const made = [];
  class ScriptedSocket {
    sent = [];
    isClosed = false;
    closedWith;

    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      made.push(this);
    }

    send(text) { this.sent.push(JSON.parse(text)); }

    close(code) {
      this.isClosed = true;
      this.closedWith = code;
    }

    // The test's side.
    open() { this.onopen?.(); }
    say(message) { this.onmessage?.({ data: JSON.stringify(message) }); }
    end(code = 1006, reason = '') { this.onclose?.({ code, reason }); }
    welcome(more = {}) {
      this.open();
      this.say({
        type: 'welcome', peer: 'me', resume: 'secret-me', resumed: false, seq: 0, role: 'member', can: ['signal'],
        room: { name: 'r', version: 1, locked: false, max_peers: 8 }, peers: [], ice_servers: [],
        limits: { message_size: 65536 }, heartbeat: 25_000, ...more,
      });
    }
    get requests() { return this.sent.filter(({ type }) => type !== 'join'); }
  }
  return { WebSocket: ScriptedSocket, made, get last() { return made.at(-1); } };
}

/** A network between clients and a `Relay`: delays, both ways in order, and connections that are cut. */
export class Network {
  connections = new Set();
  isUp = true;

  constructor({ clock, relay, random, delayMax = 40 }) {
    Object.assign(this, { clock, relay, random, delayMax });
    const network = this;
    this.WebSocket = class {
      constructor(url) {
        this.link = network.open(this, new URL(url).pathname.split('/').pop());
      }
      send(text) { this.link.toRelay({ text }); }
      close(code) { this.link.toRelay({ closeCode: code ?? 1005 }); }
    };
  }

  open(socket, roomName) {
    const { clock, relay } = this;
    const link = { socket, isCut: false, place: null, roomName };
    // What is sent arrives after a delay, never before what was sent earlier.
    const lane = (deliver) => {
      let last = 0;
      return (item) => {
        last = Math.max(last, clock.now() + this.random() * this.delayMax);
        clock.setTimeout(() => !link.isCut && deliver(item), last - clock.now());
      };
    };
    const server = {
      place: null, roomName,
      send: (text) => toClient({ text }),
      close: (code, reason) => toClient({ closeCode: code, reason }),
    };
    link.server = server;
    const toClient = lane(({ text, closeCode, reason }) => {
      if (text !== undefined) return socket.onmessage?.({ data: text });
      link.isCut = true;
      this.connections.delete(link);
      socket.onclose?.({ code: closeCode, reason });
      relay.closed(server, closeCode);
    });
    link.toRelay = lane(({ text, closeCode }) => {
      if (text !== undefined) return relay.received(server, text);
      link.isCut = true;
      this.connections.delete(link);
      relay.closed(server, closeCode);
    });
    const refused = !this.isUp;
    clock.setTimeout(() => {
      if (refused || link.isCut) return socket.onclose?.({ code: 1006, reason: '' });
      socket.onopen?.();
    }, this.random() * this.delayMax);
    this.connections.add(link);
    return link;
  }

  /** Cuts one connection: what is on its way is lost, and each side learns of it by itself. */
  cut(link) {
    if (link.isCut) return;
    link.isCut = true;
    this.connections.delete(link);
    this.clock.setTimeout(() => link.socket.onclose?.({ code: 1006, reason: '' }), this.random() * 200);
    this.clock.setTimeout(() => this.relay.closed(link.server, 1006), this.random() * 200);
  }

  cutSome(share = 1) {
    for (const link of [...this.connections]) if (this.random() < share) this.cut(link);
  }
}

/**
 * RTCPeerConnections without media. An SDP is the JSON of what matters: whose it is, its ICE
 * generation, and its media sections. Two are connected when each is stable with the description of the
 * other that the other has now, and each has a candidate of it.
 */
export function fakePeerConnections({ clock, random = Math.random, delayMax = 5 }) {
  const world = { all: [], errors: [], links: new Map(), isCut: () => false };
  let serial = 0;

  class FakePeerConnection {
    signalingState = 'stable';
    connectionState = 'new';
    localDescription = null;
    remoteDescription = null;
    serial = (serial += 1);
    configuration;
    #sections = [];
    #stable = { local: null, remote: null, sections: [] };
    #iceGeneration = 1;
    #wantsRestart = false;
    #isNeeded = false;
    #chain = Promise.resolve();
    #chainLength = 0;
    #isClosed = false;
    #gathered = 0;
    remoteCandidates = new Set();

    constructor(configuration) {
      this.configuration = configuration;
      world.all.push(this);
    }

    get iceGeneration() { return this.#iceGeneration; }
    get isClosed() { return this.#isClosed; }

    setConfiguration(configuration) { this.configuration = configuration; }

    createDataChannel(label, init) {
      this.#want('data');
      return { label, ...init, readyState: 'connecting', send() {} };
    }

    addTrack(track, ...streams) {
      const sender = { track, streams, replaceTrack: async (next) => { sender.track = next; } };
      this.#want(`track-${track.id}`);
      return sender;
    }

    removeTrack(sender) { this.#want(`gone-${sender.track?.id}`); }

    restartIce() {
      this.#wantsRestart = true;
      this.#checkNeeded();
    }

    close() {
      this.#isClosed = true;
      this.signalingState = this.connectionState = 'closed';
    }

    async getStats() { return new Map(); }

    // Operations run one after the other, each with a delay.
    #enqueue(operation) {
      this.#chainLength += 1;
      const run = async () => {
        await new Promise((resolve) => clock.setTimeout(resolve, random() * delayMax));
        try {
          // After close() the promises of the operations are never settled.
          if (this.#isClosed) await new Promise(() => {});
          return operation();
        } finally {
          this.#chainLength -= 1;
          if (this.#chainLength === 0) this.#checkNeeded();
        }
      };
      const result = this.#chain.then(run);
      this.#chain = result.catch(() => {});
      return result;
    }

    #want(section) {
      if (!this.#sections.includes(section)) this.#sections.push(section);
      this.#checkNeeded();
    }

    get #needsNegotiation() {
      if (this.#wantsRestart) return true;
      const agreed = this.#stable.local ? JSON.parse(this.#stable.local.sdp).sections : [];
      return this.#sections.some((section) => !agreed.includes(section));
    }

    #checkNeeded() {
      if (this.#isNeeded || this.#isClosed || this.signalingState !== 'stable' || !this.#needsNegotiation) return;
      this.#isNeeded = true;
      clock.setTimeout(() => {
        if (!this.#isNeeded || this.#isClosed) return;
        this.#isNeeded = false;
        if (this.#chainLength > 0 || this.signalingState !== 'stable') return;
        if (this.#needsNegotiation) this.onnegotiationneeded?.();
      }, 0);
    }

    #describe(type) {
      const remote = this.remoteDescription ? JSON.parse(this.remoteDescription.sdp).sections : [];
      const before = this.#stable.local ? JSON.parse(this.#stable.local.sdp).sections : [];
      // An answer says something to each section of the offer, and adds none.
      const wanted = type === 'answer'
        ? remote.map((section) => section)
        : [...new Set([...before, ...remote, ...this.#sections])];
      const agreed = type === 'answer' ? [...new Set([...before, ...wanted])] : wanted;
      return { type, sdp: JSON.stringify({
        by: this.serial, ice: this.#iceGeneration, sections: agreed, ufrag: `a=ice-ufrag:${this.serial}+${this.#iceGeneration}+` }) };
    }

    setLocalDescription() {
      return this.#enqueue(() => {
        const isAnswer = this.signalingState === 'have-remote-offer';
        if (!isAnswer && this.signalingState !== 'stable' && this.signalingState !== 'have-local-offer') {
          throw new Error(`setLocalDescription in ${this.signalingState}`);
        }
        if (!isAnswer && this.#wantsRestart) this.#iceGeneration += 1;
        this.#wantsRestart = isAnswer ? this.#wantsRestart : false;
        if (isAnswer && this.theirIce !== JSON.parse(this.remoteDescription.sdp).ice) this.#iceGeneration += 1;
        this.localDescription = this.#describe(isAnswer ? 'answer' : 'offer');
        if (isAnswer) {
          this.theirIce = JSON.parse(this.remoteDescription.sdp).ice;
          this.#becomeStable();
        } else {
          this.signalingState = 'have-local-offer';
        }
        this.#gather();
      });
    }

    setRemoteDescription({ type, sdp }) {
      return this.#enqueue(() => {
        if (type === 'offer') {
          if (this.signalingState === 'have-local-offer') this.#rollBack();
          else if (this.signalingState !== 'stable' && this.signalingState !== 'have-remote-offer') {
            throw new Error(`offer in ${this.signalingState}`);
          }
          this.remoteDescription = { type, sdp };
          this.signalingState = 'have-remote-offer';
        } else {
          if (this.signalingState !== 'have-local-offer') throw new Error(`answer in ${this.signalingState}`);
          const offered = JSON.parse(this.localDescription.sdp).sections;
          const answered = JSON.parse(sdp).sections;
          if (offered.some((section) => !answered.includes(section))) {
            throw new Error('the answer is to another offer');
          }
          this.remoteDescription = { type, sdp };
          this.theirIce = JSON.parse(sdp).ice;
          this.#becomeStable();
        }
      });
    }

    #rollBack() {
      this.localDescription = this.#stable.local;
      this.signalingState = 'stable';
    }

    #becomeStable() {
      this.signalingState = 'stable';
      this.#stable = { local: this.localDescription, remote: this.remoteDescription };
      this.#isNeeded = false;
      world.check();
    }

    #gather() {
      const ice = this.#iceGeneration;
      if (this.#gathered === ice) return;
      this.#gathered = ice;
      const candidates = [`${this.serial}/${ice}/a`, `${this.serial}/${ice}/b`];
      for (const candidate of candidates) {
        clock.setTimeout(() => this.#isClosed || this.onicecandidate?.(
          { candidate: { candidate, toJSON: () => ({ candidate, sdpMid: '0', usernameFragment: `${this.serial}+${ice}+` }) } }), random() * 20);
      }
      clock.setTimeout(() => this.#isClosed || this.onicecandidate?.({ candidate: null }), 25);
    }

    addIceCandidate(init) {
      return this.#enqueue(() => {
        if (!this.remoteDescription) throw new Error('a candidate before any description');
        if (!init) return;
        const [by, ice] = init.candidate.split('/').map(Number);
        const theirs = JSON.parse(this.remoteDescription.sdp);
        if (by !== theirs.by || ice !== theirs.ice) throw new Error('a candidate of another description');
        this.remoteCandidates.add(init.candidate);
        world.check();
      });
    }

    setConnectionState(state) {
      if (this.connectionState === state || this.#isClosed) return;
      this.connectionState = state;
      this.onconnectionstatechange?.();
    }
  }

  /** Whom this one would reach: the one whose description it has, if that one has this one's. */
  const partner = (pc) => {
    if (pc.isClosed || pc.signalingState !== 'stable' || !pc.remoteDescription) return null;
    const theirs = JSON.parse(pc.remoteDescription.sdp);
    const other = world.all.find(({ serial }) => serial === theirs.by);
    if (!other || other.isClosed || other.signalingState !== 'stable' || !other.remoteDescription) return null;
    const ours = JSON.parse(other.remoteDescription.sdp);
    const isAgreed = ours.by === pc.serial && ours.ice === pc.iceGeneration && theirs.ice === other.iceGeneration;
    const canReach = pc.remoteCandidates.size > 0 || other.remoteCandidates.size > 0;
    return isAgreed && canReach && !world.isCut(pc, other) ? other : null;
  };
  world.partner = partner;
  world.check = () => {
    for (const pc of world.all) if (partner(pc)) pc.setConnectionState('connected');
  };
  /** What ICE would find out after a while: who cannot reach anybody has failed. */
  world.findLost = () => {
    for (const pc of world.all) {
      if (pc.isClosed || pc.connectionState !== 'connected') continue;
      // A renegotiation that is under way does not end the media.
      const theirs = JSON.parse(pc.remoteDescription.sdp);
      const other = world.all.find(({ serial }) => serial === theirs.by);
      if (!other || other.isClosed || world.isCut(pc, other)) pc.setConnectionState('failed');
    }
  };
  world.RTCPeerConnection = FakePeerConnection;
  return world;
}
