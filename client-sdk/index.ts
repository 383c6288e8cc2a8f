/**
 * The client of epochcast.
 *
 * ```ts
 * import { connect, json } from 'epochcast'
 *
 * await using client = await connect('epochcast://127.0.0.1:7400')
 * const orders = client.topic('orders.eu', { codec: json<{ item: string }>() })
 * const { id, epoch, status } = await orders.publish({ item: 'tea' })
 * for await (const message of orders.subscribe({ from: 'start' })) console.log(message.value)
 * ```
 */
export type { Configuration, Decider, Decision, Member, Mode, Order } from '../proto/configuration.ts'
export { EpochcastError, type ErrorCode, errorCodes } from '../proto/errors.ts'
export type { Sync } from '../proto/sync.ts'
export type { NatsOptions, NatsTls } from '../proto/transport/nats-options.ts'
export type { GetLevel } from '../proto/wire/messages.ts'
export { Admin, type ArbiterInfo, type ServerEngines, type ServerInfo } from './admin.ts'
export { Client, connect } from './client.ts'
export type { ConnectOptions, PatternOptions } from './client-options.ts'
export { bytes, type Codec, json, type ProtobufType, protobuf, text, text as string } from './codecs.ts'
export type { Cursor } from './cursor.ts'
export type { FlushResult } from './flushing.ts'
export { GroupMessage, GroupStream } from './groups/stream.ts'
export type { HeldEpoch, HeldMessage, Inspection, ServerCondition } from './inspection.ts'
export type { Durability } from './operations/reading.ts'
export type { PublishedRun, PublishResult, PublishStatus } from './operations/waiters.ts'
export type { Outcome } from './outcome.ts'
export { isoTime } from './printing.ts'
export type { Properties } from './properties.ts'
export type {
  Change,
  ChangeResult,
  ChangeTimes,
  Progress,
  ReconfigureOptions,
  ServerParts,
  TopicOptions,
} from './reconfigure.ts'
export type { From } from './replay.ts'
export type { ReplicaInfo, TopicTimer } from './replicas.ts'
export { Responder } from './responding.ts'
export {
  type EarlyEvent,
  type EpochEvent,
  EventStream,
  type GapEvent,
  Message,
  type MessageEvent,
  MessageStream,
  type StreamEvent,
} from './stream.ts'
export { Subject, type SubjectEvent, SubjectStream } from './subjects.ts'
export { type TogetherEvent, type TogetherOptions, TogetherStream } from './together-stream.ts'
export { Topic } from './topic.ts'
export type {
  GetOptions,
  GroupOptions,
  PublishOptions,
  Received,
  RequestOptions,
  RespondOptions,
  SubscribeOptions,
} from './topic-options.ts'
export { defaultUrl, environmentUrl, parseUrl } from './url.ts'
export type { View } from './view.ts'
export type { WaitOptions } from './waiting.ts'
