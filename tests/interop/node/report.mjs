// What the test wants of each client program: its arguments, and a line of JSON for each thing that
// it got.
import { createHash } from 'node:crypto'
import { readSync, writeSync } from 'node:fs'

// argv: SERVICE CURSOR (`none` for none). INTEROP_PAUSE_AFTER=N: stop taking anything after the Nth
// event until a line comes on standard input.
export const service = process.argv[2]
export const startCursor = process.argv[3] === 'none' ? undefined : Number(process.argv[3])

const pauseAfter = Number(process.env.INTEROP_PAUSE_AFTER)
let events = 0

// Returns once the pipe has taken all of it: some libraries make standard output non-blocking.
function write(text) {
  for (let bytes = Buffer.from(text + '\n'); bytes.length > 0; ) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes))
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error
    }
  }
}

export function report(line) {
  write(JSON.stringify(line))
  if (!('event' in line) || ++events !== pauseAfter) return
  write('{"paused":true}')
  readSync(0, Buffer.alloc(1)) // the whole program waits, sockets too
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex')

// A decoded value as JSON: bytes as their hash, CIDs as text, whatever the library has for both.
export function plain(value) {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof Uint8Array) return { $sha256: sha256(value) }
  if (typeof value.$bytes === 'string') return plain(Buffer.from(value.$bytes, 'base64'))
  if (typeof value.$link === 'string') return { $link: value.$link }
  if (value.asCID || value['/']) return { $link: value.toString() }
  if (value.constructor?.name === 'BlobRef') return plain(value.original) // of @atproto/lexicon
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

// A body with the full `$type` that libraries add, as the frame had it: header and body apart.
export function reportMessage({ $type, ...body }) {
  const t = '#' + $type.split('#')[1]
  report(t === '#info' ? { info: body } : { event: { t, body: plain(body) } })
}
