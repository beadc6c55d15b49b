/**
 * A relay of `sluice.rooms.v1` in memory, as far as the client's tests need one: places, resuming with
 * a replay, presence. It knows neither sockets nor time of its own: `timers` and connections with
 * `send(text)` and `close(code, reason)` are passed in.
 */
export class Relay {
  rooms = new Map();
  /** Everything that peers asked for, in the order in which it was carried out. */
  carriedOut = [];
  expiresAt = () => undefined;
  iceServers = [];
  heartbeat = 25_000;
  replayMax = 256;
  messageSize = 65_536;
  placeCount = 0;
  epoch = 0;

  constructor({ timers, random = Math.random, resumeWindow = 30_000 }) {
    this.timers = timers;
    this.random = random;
    this.resumeWindow = resumeWindow;
  }

  /** As after a crash: nobody is known any more, but secrets still name their ids, or do not. */
  forgetAll({ withSecrets = false } = {}) {
    if (withSecrets) this.epoch += 1;
    for (const room of this.rooms.values()) {
      for (const place of room.places.values()) {
        this.timers.clearTimeout(place.window);
        if (place.connection) place.connection.place = null;
      }
    }
    this.rooms.clear();
  }

  received(connection, text) {
    const message = JSON.parse(text);
    const { place } = connection;
    if (!place) {
      if (message.type === 'join') return this.join(connection, message);
      if (connection.isOver) return;
      return this.error(connection, 'not_in_room', 'say join first');
    }
    // A newer connection has the place: what this one still says is not heard.
    if (place.connection !== connection) return;
    this.carriedOut.push({ peer: place.id, ...message });
    this.handle(place, message);
  }

  closed(connection, code) {
    connection.isOver = true;
    const { place } = connection;
    if (!place || place.connection !== connection) return;
    place.connection = null;
    if (code === 1000) return this.remove(place, 'closed');
    place.window = this.timers.setTimeout(() => this.remove(place, 'timeout'), this.resumeWindow);
  }

  join(connection, { name, meta, resume, seq }) {
    const room = this.room(connection.roomName);
    const [known, epoch] = resume?.split('~') ?? [];
    const id = Number(epoch) === this.epoch ? known : this.newId();
    const held = room.places.get(id);
    if (held?.connection) this.finish(held.connection, 4000, 'moved');
    // A secret names one place, not the next one that its peer gets: their numbers are not the same.
    if (held && held.secret === resume && seq !== undefined) {
      const oldest = held.outbox[0]?.seq ?? held.seq + 1;
      if (seq + 1 < oldest) {
        this.timers.clearTimeout(held.window);
        held.window = this.timers.setTimeout(() => this.remove(held, 'timeout'), this.resumeWindow);
        held.connection = null;
        return this.finish(connection, 4200, 'resume afresh');
      }
      this.timers.clearTimeout(held.window);
      held.connection = connection;
      connection.place = held;
      this.welcome(held, true);
      for (const entry of held.outbox) if (entry.seq > seq) connection.send(entry.text);
      return;
    }
    if (held) this.remove(held, 'moved');
    const secret = `${id}~${this.epoch}~${this.placeCount += 1}`;
    const place = { id, secret, room, name, meta, role: 'member', seq: 0, outbox: [], connection, window: null };
    room.places.set(id, place);
    connection.place = place;
    this.welcome(place, false);
    room.version += 1;
    this.others(place, { type: 'joined', version: room.version, ...entryOf(place) }, true);
  }

  handle(place, message) {
    const { room } = place;
    const answer = (more) => message.id !== undefined && this.numbered(place, { id: message.id, ...more });
    const refuse = (code, words) => answer({ type: 'error', code, message: words });
    switch (message.type) {
      case 'signal': {
        const target = room.places.get(message.to);
        if (!target) return refuse('no_such_peer', 'nobody has this id');
        const { kind, generation, data } = message;
        this.numbered(target, { type: 'signal', from: place.id, kind, generation: generation ?? 0, data });
        return answer({ type: 'ack', delivered: target.connection !== null });
      }
      case 'broadcast':
        for (const other of room.places.values()) {
          if (other !== place) this.numbered(other, { type: 'broadcast', from: place.id, data: message.data });
        }
        return answer({ type: 'ack', delivered: true });
      case 'update':
        if (message.name !== undefined) place.name = message.name ?? undefined;
        if (message.meta !== undefined) place.meta = message.meta ?? undefined;
        room.version += 1;
        this.others(place, { type: 'updated', version: room.version, ...entryOf(place) });
        return answer({ type: 'ack', delivered: true });
      case 'token':
        return answer({ type: 'ack', delivered: true, expires_at: this.expiresAt() });
      case 'ping':
        return answer({ type: 'ack', delivered: true });
      case 'kick': {
        const target = room.places.get(message.peer);
        if (!target) return refuse('no_such_peer', 'nobody has this id');
        if (target.connection) {
          this.error(target.connection, 'kicked', message.reason ?? 'removed');
          this.finish(target.connection, 4003, 'kicked');
        }
        this.remove(target, 'kicked');
        return answer({ type: 'ack', delivered: true });
      }
      case 'leave':
        this.remove(place, 'closed');
        return this.finish(place.connection, 1000, '');
      default:
        return refuse('bad_message', `unknown type ${message.type}`);
    }
  }

  room(name) {
    if (!this.rooms.has(name)) this.rooms.set(name, { name, version: 1, places: new Map() });
    return this.rooms.get(name);
  }

  newId() {
    return Math.floor(this.random() * 2 ** 40).toString(36).padStart(8, '0');
  }

  welcome(place, resumed) {
    const { room } = place;
    const peers = [...room.places.values()].filter((other) => other !== place)
      .map((other) => ({ ...entryOf(other), polite: place.id < other.id }));
    place.connection.send(JSON.stringify({
      type: 'welcome', peer: place.id, resume: place.secret, resumed, seq: place.seq,
      room: { name: room.name, version: room.version, locked: false, max_peers: 64 },
      role: place.role, can: ['signal', 'broadcast', 'update', 'moderate'], peers,
      ice_servers: this.iceServers, expires_at: this.expiresAt(),
      limits: { message_size: this.messageSize }, heartbeat: this.heartbeat,
    }));
  }

  numbered(place, message) {
    place.seq += 1;
    const text = JSON.stringify({ seq: place.seq, ...message });
    place.outbox.push({ seq: place.seq, text });
    if (place.outbox.length > this.replayMax) place.outbox.shift();
    place.connection?.send(text);
  }

  others(place, message, withPoliteness = false) {
    for (const other of place.room.places.values()) {
      if (other === place) continue;
      const polite = withPoliteness ? { polite: other.id < place.id } : {};
      other.connection?.send(JSON.stringify({ ...message, ...polite }));
    }
  }

  remove(place, reason) {
    const { room } = place;
    this.timers.clearTimeout(place.window);
    if (room.places.get(place.id) !== place) return;
    room.places.delete(place.id);
    if (place.connection) place.connection.place = null;
    room.version += 1;
    this.others(place, { type: 'left', version: room.version, peer: place.id, reason });
  }

  error(connection, code, message) {
    connection.send(JSON.stringify({ type: 'error', code, message }));
  }

  finish(connection, code, reason) {
    connection.place = null;
    connection.isOver = true;
    connection.close(code, reason);
  }
}

function entryOf({ id, name, role, meta }) {
  return { peer: id, name, role, meta };
}
