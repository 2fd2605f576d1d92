// docs: begin
import { Subscription } from '@atproto/xrpc-server'
// docs: end
import { report, reportMessage, service, startCursor } from './report.mjs'

// docs: begin
let cursor = startCursor

const subscription = new Subscription({
  service, // 'ws://127.0.0.1:2480'
  method: 'com.atproto.sync.subscribeRepos',
  getParams: () => (cursor === undefined ? {} : { cursor }), // asked before every dial
  validate: (message) => message,
})
try {
  for await (const message of subscription) {
    reportMessage(message)
    cursor = message.seq ?? cursor
  }
} catch (error) {
  report({ error: `${error.error}: ${error.message}` }) // an error frame ends the iteration
}
// docs: end
