// docs: begin
import { decodeFirst } from '@atcute/cbor'
import WebSocket from 'ws'
// docs: end
import { report, service, sha256, startCursor } from './report.mjs'

let cursor = startCursor

function onFrame(frame, { op, t }, body) {
  if (op !== 1) report({ error: frame.toString('hex') })
  else if (t === '#info') report({ info: body })
  else report({ event: { seq: body.seq, bytes: sha256(frame) } })
}

// docs: begin
function connect() {
  const query = cursor === undefined ? '' : `?cursor=${cursor}`
  const socket = new WebSocket(`${service}/xrpc/com.atproto.sync.subscribeRepos${query}`)
  let isRefused = false
  socket.on('message', (frame) => {
    const [header, rest] = decodeFirst(frame)
    const [body] = decodeFirst(rest)
    isRefused = header.op !== 1 // an error frame; the connection ends behind it
    cursor = body.seq ?? cursor
    onFrame(frame, header, body)
  })
  socket.on('error', () => {}) // 'close' follows
  socket.on('close', () => isRefused || setTimeout(connect, 1000)) // it does not by itself
}
connect()
// docs: end
