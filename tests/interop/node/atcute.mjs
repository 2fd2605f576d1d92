// docs: begin
import { ComAtprotoSyncSubscribeRepos } from '@atcute/atproto'
import { FirehoseSubscription } from '@atcute/firehose'
// docs: end
import { report, reportMessage, service, startCursor } from './report.mjs'

// docs: begin
let cursor = startCursor

const subscription = new FirehoseSubscription({
  service, // 'ws://127.0.0.1:2480'; the path is always /xrpc/...
  nsid: ComAtprotoSyncSubscribeRepos.mainSchema,
  params: () => ({ cursor }), // asked before every dial
  onError: (error) => report({ error: `${error.error}: ${error.message}` }),
})
for await (const message of subscription) {
  reportMessage(message)
  cursor = message.seq ?? cursor
}
// docs: end
