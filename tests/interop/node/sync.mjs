import { IdResolver } from '@atproto/identity'
import { Firehose } from '@atproto/sync'
import { service, startCursor } from './report.mjs'
import { reportError, reportEvent, resolverOptions, unauthenticatedCommits } from './sync_report.mjs'

// docs: begin
let cursor = startCursor

const firehose = new Firehose({
  service, // 'ws://127.0.0.1:2480'
  idResolver: new IdResolver(resolverOptions), // without any: the public directory
  unauthenticatedCommits, // true: do not check signatures and proofs
  unauthenticatedHandles: true, // true: do not look handles up
  getCursor: () => cursor, // asked before every dial
  handleEvent: (event) => {
    reportEvent(event)
    cursor = event.seq
  },
  onError: reportError,
})
firehose.start()
// docs: end
