// docs: begin
import { IdResolver } from '@atproto/identity'
import { Firehose } from '@atproto/sync'
// docs: end
import { service, startCursor } from './report.mjs'
import * as sync from './sync_report.mjs'

const { reportError, reportEvent, resolverOptions, unauthenticatedCommits } = sync

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
