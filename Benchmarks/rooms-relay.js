// What is written by hand where browsers need a place to find each other: a WebSocket server with rooms, on Node and
// ws. It speaks of `sluice.rooms.v1` what the benchmark needs: welcome, joined, left, signal, broadcast, ack. It has no
// tokens, limits, heartbeats or resumption. `node rooms-relay.js PORT`; the path, behind its last slash, is the room.
'use strict';
const { randomUUID } = require('node:crypto');
const { WebSocketServer } = require('ws');

const rooms = new Map();

function send(peer, message) {
  peer.socket.send(JSON.stringify(message));
}

function sendToOthers(room, sender, message) {
  const text = JSON.stringify(message);
  for (const peer of room.values()) if (peer !== sender) peer.socket.send(text);
}

function join(name, socket) {
  let room = rooms.get(name);
  if (!room) rooms.set(name, (room = new Map()));
  const peer = { id: randomUUID(), socket };
  const peers = Array.from(room.keys(), (id) => ({ peer: id, role: 'member', polite: peer.id < id }));
  send(peer, { type: 'welcome', peer: peer.id, room: { name }, peers });
  for (const other of room.values()) {
    send(other, { type: 'joined', peer: peer.id, role: 'member', polite: other.id < peer.id });
  }
  room.set(peer.id, peer);
  return { room, peer };
}

function leave(name, room, peer) {
  room.delete(peer.id);
  if (room.size === 0) rooms.delete(name);
  else sendToOthers(room, peer, { type: 'left', peer: peer.id, reason: 'closed' });
}

function handle(room, peer, message) {
  const { type, to, kind, generation = 0, data, id } = message;
  if (type === 'signal') {
    const receiver = room.get(to);
    if (!receiver) return send(peer, { type: 'error', id, code: 'no_such_peer', message: 'There is no such peer.' });
    send(receiver, { type: 'signal', from: peer.id, kind, generation, data });
  } else if (type === 'broadcast') {
    sendToOthers(room, peer, { type: 'broadcast', from: peer.id, data });
  } else {
    return send(peer, { type: 'error', id, code: 'bad_message', message: 'An unknown type.' });
  }
  if (id !== undefined) send(peer, { type: 'ack', id, delivered: true });
}

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), maxPayload: 65536 });
server.on('connection', (socket, request) => {
  const name = request.url.split('?')[0].split('/').pop();
  const { room, peer } = join(name, socket);
  socket.on('message', (octets) => {
    let message;
    try {
      message = JSON.parse(octets);
    } catch {
      return send(peer, { type: 'error', code: 'bad_message', message: 'No JSON.' });
    }
    handle(room, peer, message);
  });
  socket.on('error', () => socket.terminate());
  socket.on('close', () => leave(name, room, peer));
});
