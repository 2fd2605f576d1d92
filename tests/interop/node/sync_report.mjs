// For the programs on @atproto/sync: its events, one for each operation of a commit, as lines.
import { plain, report } from './report.mjs'

// The directory of DIDs is the test's own. It is on loopback, which the resolver's own fetch
// refuses, and answers when a busy machine lets it.
export const resolverOptions = {
  plcUrl: process.env.INTEROP_PLC_URL,
  fetch: globalThis.fetch,
  timeout: 60_000,
}
export const unauthenticatedCommits = process.env.INTEROP_VERIFY !== '1'

export function reportEvent({ blocks, uri, didDocument, ...event }) {
  const line = { ...plain(event) }
  if (uri) line.uri = uri.toString()
  if (blocks) line.blocks = Array.from(blocks.map.keys()).map(String).sort()
  report({ event: line })
}

export function reportError(error) {
  const cause = error.cause ?? error
  const text = cause.error ? `${cause.error}: ${cause.message}` : String(cause)
  report({ error: text, seq: error.event?.seq })
}
