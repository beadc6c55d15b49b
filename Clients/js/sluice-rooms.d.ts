/** Types of `sluice-rooms.js`: see README.md for what it does. */

/** The protocol's own codes, and those that this client adds. */
export type RoomErrorCode =
  // Answers to a message.
  | 'bad_message' | 'too_large' | 'forbidden' | 'no_such_peer' | 'rate_limited' | 'not_in_room'
  // Ends that are final.
  | 'moved' | 'token_refused' | 'wrong_password' | 'kicked' | 'banned' | 'no_such_room' | 'closed' | 'flooding'
  // Ends after which the client comes back.
  | 'room_full' | 'room_locked' | 'overloaded' | 'no_join' | 'resume_afresh' | 'draining'
  // The client's own.
  | 'connection_lost' | 'cannot_connect' | 'no_token' | 'left' | 'too_many_pending' | 'unknown_outcome'
  // Those of a later version of the protocol.
  | (string & {});

export interface RoomErrorDetails {
  closeCode?: number;
  retryable?: boolean;
  retryAfter?: number;
  to?: string;
  cause?: unknown;
}

export class RoomError extends Error {
  constructor(code: RoomErrorCode, message?: string, details?: RoomErrorDetails);
  readonly name: 'RoomError';
  readonly code: RoomErrorCode;
  /** The code of the close frame, where the connection ended with one. */
  readonly closeCode: number | undefined;
  /** Whether the same may succeed later. */
  readonly retryable: boolean;
  /** Milliseconds until it may; in `error` events about a connection, until the next attempt. */
  readonly retryAfter: number | undefined;
  /** The peer that a message was for. */
  readonly to: string | undefined;
}

/** What JSON can say. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json | undefined };

export type RoomState = 'idle' | 'connecting' | 'joined' | 'reconnecting' | 'closed';
export type Role = 'guest' | 'member' | 'host';
export type Right = 'signal' | 'broadcast' | 'update' | 'moderate';
export type SignalKind = 'offer' | 'answer' | 'candidates' | 'description' | 'custom';
export type LeaveReason = 'closed' | 'timeout' | 'kicked' | 'moved' | 'expired'
  /** Missing in the roster of a later `welcome`: this client says so, not the relay. */
  | 'absent';

export interface Peer {
  readonly id: string;
  readonly name: string | undefined;
  readonly role: Role;
  readonly meta: JsonObject | undefined;
  /** Whether this side is the polite one towards that peer. */
  readonly polite: boolean;
}

export interface RoomInfo {
  readonly name: string;
  readonly version: number;
  readonly locked: boolean;
  readonly maxPeers: number;
  readonly meta: JsonObject | undefined;
}

export interface Timers {
  /** Milliseconds since 1970. */
  now(): number;
  setTimeout(action: () => void, delay: number): unknown;
  clearTimeout(handle: unknown): void;
}

export interface RoomClientOptions {
  name?: string;
  meta?: JsonObject;
  password?: string;
  /** A token, or what yields a fresh one: asked before each connection, and before the token expires. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /** Where the secret of the place survives a page load; `null` for nowhere. */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | null;
  WebSocket?: new (url: string, protocols: string[]) => Pick<WebSocket, 'send' | 'close'>;
  RTCPeerConnection?: typeof RTCPeerConnection;
  timers?: Timers;
  /** A number from 0 to below 1. */
  random?: () => number;
  /** What tells of `online`, `pageshow`, `pagehide` and, on its `document`, `visibilitychange`. */
  window?: (EventTarget & { document?: EventTarget & { visibilityState: string } }) | undefined;
  /** Ceiling of the first delay, and of all: 250 and 15,000 ms. */
  backoffInitial?: number;
  backoffMax?: number;
  /** The same after 4100 to 4199: 1,000 and 30,000 ms. */
  busyBackoffInitial?: number;
  busyBackoffMax?: number;
  /** A connection that lived this long was a good one: 5,000 ms. */
  stableAfter?: number;
  /** From the attempt to the `welcome`: 12,000 ms. */
  connectTimeout?: number;
  /** For the answer to a `ping` that asks whether the connection lives: 5,000 ms. */
  probeTimeout?: number;
  /** For the answer to anything else: 10,000 ms. */
  answerTimeout?: number;
  /** For the good-bye after `leave()`: 1,000 ms. */
  leaveTimeout?: number;
  /** Messages that may wait for their answer: 256. */
  maxPending?: number;
}

/** `delivered` is false where the receiver is away and gets it when it comes back. */
export interface Receipt {
  readonly delivered: boolean;
}

export interface Signal<Data = any> {
  readonly from: string;
  readonly kind: Exclude<SignalKind, 'custom'>;
  readonly generation: number;
  readonly data: Data;
}

export interface Message<Data = any> {
  readonly from: string;
  readonly data: Data;
  /** Of a message to this peer alone. */
  readonly generation?: number;
  readonly isBroadcast: boolean;
}

export interface RoomEventMap {
  state: CustomEvent<{ state: RoomState; previous: RoomState }>;
  /** `previousId` is `null` at first, and another than `id` where the relay did not know this peer any more. */
  welcome: CustomEvent<{ resumed: boolean; previousId: string | null; peers: Peer[] }>;
  /** `isNew` is false for those that were there before. */
  peerjoin: CustomEvent<{ peer: Peer; isNew: boolean }>;
  peerleave: CustomEvent<{ peer: Peer; reason: LeaveReason }>;
  peerupdate: CustomEvent<{ peer: Peer; isSelf?: boolean }>;
  message: CustomEvent<Message>;
  signal: CustomEvent<Signal>;
  room: CustomEvent<RoomInfo>;
  iceservers: CustomEvent<{ iceServers: RTCIceServer[]; expiresAt: number | null }>;
  /** What failed and is not the rejection of a promise: an attempt to connect, a rate limit. */
  error: CustomEvent<RoomError>;
  goaway: CustomEvent<{ delay: number; reason: string }>;
  /** Another connection has taken the place; `closed` follows. */
  moved: CustomEvent<RoomError>;
  /** The client has ended, for good. */
  closed: CustomEvent<RoomError>;
}

export class RoomClient extends EventTarget {
  constructor(url: string | URL, options?: RoomClientOptions);
  readonly url: string;
  readonly id: string | null;
  readonly state: RoomState;
  readonly peers: ReadonlyMap<string, Peer>;
  readonly iceServers: RTCIceServer[];
  /** Unix time in seconds. */
  readonly iceExpiresAt: number | null;
  readonly info: RoomInfo | null;
  readonly role: Role | null;
  readonly can: readonly Right[];
  readonly limits: { readonly messageSize: number; readonly messagesPerSecond: number | undefined } | null;
  readonly name: string | undefined;
  readonly meta: JsonObject | undefined;
  readonly environment: { RTCPeerConnection: typeof RTCPeerConnection; timers: Timers };

  /** Rejected with a `RoomError` where the room does not want this peer; with `retry: false`, at any failure. */
  join(options?: { retry?: boolean }): Promise<{ id: string; resumed: boolean; peers: Peer[] }>;
  leave(): Promise<void>;
  close(): void;

  send(to: string, data: unknown, options?: { kind?: SignalKind; generation?: number }): Promise<Receipt>;
  signal(to: string, kind: SignalKind, data: unknown, options?: { generation?: number }): Promise<Receipt>;
  broadcast(data: unknown): Promise<Receipt>;
  update(changes: { name?: string | null; meta?: JsonObject | null }): Promise<Receipt>;
  /** `banFor` in seconds. */
  kick(peer: string, options?: { reason?: string; banFor?: number }): Promise<Receipt>;
  lock(locked?: boolean): Promise<Receipt>;
  setRoom(changes: { meta?: JsonObject | null; maxPeers?: number }): Promise<Receipt>;
  setRole(peer: string, role: Role): Promise<Receipt>;
  /** Round trip to the relay, in milliseconds. */
  ping(): Promise<number>;

  addEventListener<Type extends keyof RoomEventMap>(
    type: Type, listener: (event: RoomEventMap[Type]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof RoomEventMap>(
    type: Type, listener: (event: RoomEventMap[Type]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

export interface PeerLinksOptions {
  /** Data channels that each link has from the start; the same on all sides. */
  channels?: Record<string, RTCDataChannelInit>;
  /** What else than `iceServers` each RTCPeerConnection is configured with. */
  configuration?: Omit<RTCConfiguration, 'iceServers'>;
  RTCPeerConnection?: typeof RTCPeerConnection;
  timers?: Timers;
  /** Milliseconds, all of the following; the defaults are 30, 150, 2,000, 5,000, 4,000, 5,000 and 30,000. */
  candidateDelay?: number;
  politeOfferDelay?: number;
  answerPatience?: number;
  connectPatience?: number;
  disconnectedPatience?: number;
  politePatience?: number;
  absentPatience?: number;
}

export interface OutgoingTrack {
  readonly track: MediaStreamTrack | null;
  readonly streams: readonly MediaStream[];
  replace(track: MediaStreamTrack | null): Promise<void>;
  remove(): void;
}

export interface CandidateStats {
  readonly type: 'host' | 'srflx' | 'prflx' | 'relay';
  readonly protocol: 'udp' | 'tcp';
  readonly relayProtocol?: 'udp' | 'tcp' | 'tls';
}

export interface VideoStats {
  readonly width: number;
  readonly height: number;
  readonly framesPerSecond: number;
}

export interface LinkStats {
  readonly state: RTCPeerConnectionState;
  /** Milliseconds. */
  readonly roundTripTime?: number;
  readonly local?: CandidateStats;
  readonly remote?: CandidateStats;
  readonly videoIn?: VideoStats;
  readonly videoOut?: VideoStats;
  readonly packetsLost?: number;
  /** Share of the packets since the call before, 0 to 1. */
  readonly lossRate?: number;
  /** Bits per second since the call before. */
  readonly bitrateIn?: number;
  readonly bitrateOut?: number;
}

export interface LinksEventMap {
  link: CustomEvent<{ link: PeerLink }>;
  unlink: CustomEvent<{ link: PeerLink; reason: LeaveReason }>;
  linkstate: CustomEvent<{ link: PeerLink; state: RTCPeerConnectionState }>;
  track: CustomEvent<{ link: PeerLink; track: MediaStreamTrack; streams: readonly MediaStream[] }>;
  channel: CustomEvent<{ link: PeerLink; channel: RTCDataChannel }>;
  error: CustomEvent<{ link: PeerLink; error: Error }>;
}

export class PeerLinks extends EventTarget {
  constructor(room: RoomClient, options?: PeerLinksOptions);
  readonly room: RoomClient;
  get(id: string): PeerLink | undefined;
  list(): PeerLink[];
  addTrack(track: MediaStreamTrack, ...streams: MediaStream[]): OutgoingTrack;
  removeTrack(outgoing: OutgoingTrack): void;
  addStream(stream: MediaStream): OutgoingTrack[];
  removeStream(stream: MediaStream): void;
  /** The number of channels that it was sent over. */
  send(label: string, data: string | Blob | ArrayBuffer | ArrayBufferView): number;
  getStats(): Promise<Map<string, LinkStats>>;
  close(): void;

  addEventListener<Type extends keyof LinksEventMap>(
    type: Type, listener: (event: LinksEventMap[Type]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<Type extends keyof LinksEventMap>(
    type: Type, listener: (event: LinksEventMap[Type]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

export class PeerLink {
  private constructor();
  readonly id: string;
  readonly peer: Peer;
  /** The present RTCPeerConnection, which may be another one later; `null` when the link has ended. */
  readonly pc: RTCPeerConnection | null;
  readonly generation: number;
  readonly channels: ReadonlyMap<string, RTCDataChannel>;
  readonly state: RTCPeerConnectionState;
  getStats(): Promise<LinkStats>;
  /** Begins anew with a fresh RTCPeerConnection, on both sides. */
  reset(): void;
}
