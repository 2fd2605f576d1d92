# docs: begin
import asyncio

from atproto import AsyncFirehoseSubscribeLabelsClient, parse_subscribe_labels_message
from atproto_firehose.exceptions import FirehoseError
# docs: end
from report import base_uri, params, report, report_message

# docs: begin
client = AsyncFirehoseSubscribeLabelsClient(params, base_uri=base_uri)  # 'ws://127.0.0.1:2480/xrpc'


async def on_message(message):
    parsed = parse_subscribe_labels_message(message)
    report_message(message, parsed)
    if 'seq' in message.body:  # used by the next dial; without it that one starts over
        client.update_params({'cursor': message.body['seq']})


try:
    asyncio.run(client.start(on_message))
except FirehoseError as error:  # an error frame
    report({'error': str(error)})
# docs: end
