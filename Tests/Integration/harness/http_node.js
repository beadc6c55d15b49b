// Node's HTTP server as a backend: it answers with what it understood, and writes that down.
const http = require('http')

const server = http.createServer((request, response) => {
  const pieces = []
  request.on('data', (piece) => pieces.push(piece))
  request.on('end', () => {
    const { method, url, rawHeaders, rawTrailers } = request
    const body = Buffer.concat(pieces).toString('latin1')
    const seen = JSON.stringify({ method, url, rawHeaders, rawTrailers, body })
    console.log(seen)
    response.setHeader('Content-Type', 'application/json')
    response.end(seen)
  })
})

server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
