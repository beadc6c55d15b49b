// An echo server on Node's `ws`: prints its port, then returns every message as it came.
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  backlog: 4096,
  maxPayload: 64 * 1024 * 1024,
  perMessageDeflate: true,
});
server.on("listening", () => console.log(server.address().port));
server.on("connection", (socket) => {
  // An error without a listener would end the process; `ws` closes the socket by itself.
  socket.on("error", () => {});
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});
