// docs: begin
import { Firehose } from '@skyware/firehose'
// docs: end
import { plain, report, service, startCursor } from './report.mjs'

// docs: begin
function connect(cursor) {
  // It does not come back by itself once the server has ended the connection: a new one does.
  const firehose = new Firehose({ relay: service, cursor, autoReconnect: false })
  for (const kind of ['commit', 'sync', 'identity', 'account']) {
    firehose.on(kind, (message) => report({ event: plain(message) }))
  }
  firehose.on('info', ({ name, message }) => report({ info: { name, message } }))
  firehose.on('error', ({ error }) => report({ error: String(error) }))
  firehose.on('close', () => setTimeout(() => connect(firehose.cursor || cursor), 1000))
  firehose.start()
}
connect(startCursor?.toString()) // 'ws://127.0.0.1:2480'
// docs: end
