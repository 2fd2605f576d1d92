// docs: begin
import { IdResolver } from '@atproto/identity'
import { Firehose, MemoryRunner } from '@atproto/sync'
// docs: end
import { service, startCursor } from './report.mjs'
import * as sync from './sync_report.mjs'

const { reportError, reportEvent, resolverOptions, unauthenticatedCommits } = sync

// docs: begin
const firehose = new Firehose({
  service, // 'ws://127.0.0.1:2480'
  idResolver: new IdResolver(resolverOptions), // without any: the public directory
  unauthenticatedCommits, // true: do not check signatures and proofs
  unauthenticatedHandles: true, // true: do not look handles up
  runner: new MemoryRunner({ startCursor, concurrency: 1 }), // 0.1 cannot dial with getCursor
  handleEvent: reportEvent, // what was under way when a connection ended comes again
  onError: reportError,
})
firehose.start()
// docs: end
