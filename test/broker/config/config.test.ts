// Goal: a configuration file is read as its writer meant it, or every mistake in it is named with its place and what to do.
// Method: small files as text; a mistake is compared as line:column, key and words.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig, newTopic, parseConfig } from '../../../broker/config/config.ts'
import { ConfigError } from '../../../broker/config/mistakes.ts'

const servers = `cluster:
  servers:
    a: { listen: 127.0.0.1:7400, data: ./data/a }
    b: { listen: 127.0.0.1:7401, data: ./data/b }
    c: { listen: 127.0.0.1:7402, data: ./data/c }
`

/** Mistakes of a file, each as `line:column key: text`. */
function mistakes(text: string): string[] {
  try {
    parseConfig(text, 'x.yaml')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    expect(error.code).toBe('EC_BAD_CONFIG')
    return error.mistakes.map(({ line, column, key, text: what }) => `${line}:${column} ${key}: ${what}`)
  }
  return []
}

describe('a good file', () => {
  it('is read whole, with paths relative to it', () => {
    const config = parseConfig(
      `${servers}autoCreate: false
defaults: { mode: fault-masking, size: 3, minimum: 2 }
topics:
  orders.eu: { mode: fault-recovery, members: [a, b], order: fifo }
  logs: { mode: single }
  plain:
`,
      '/etc/epochcast/cluster.yaml',
    )
    expect(config.servers[0]).toEqual({
      id: 'a',
      listen: '127.0.0.1:7400',
      address: '127.0.0.1:7400',
      data: '/etc/epochcast/data/a',
      insecure: false,
      sync: 'always',
    })
    expect(config.autoCreate).toBe(false)
    expect(config.defaults).toEqual({ mode: 'fault-masking', size: 3, membersMin: 2 })
    expect([...config.topics]).toEqual([
      ['orders.eu', { mode: 'fault-recovery', members: ['a', 'b'], order: 'fifo' }],
      ['logs', { mode: 'single' }],
      ['plain', {}],
    ])
  })

  it('may be short', () => {
    const config = parseConfig('cluster: { servers: { a: { listen: "[::1]:7400", data: a } } }', 'x.yaml')
    expect(config).toMatchObject({ autoCreate: true, defaults: {} })
    expect(config.topics.size).toBe(0)
  })

  it('names aliases that stand for nothing, and those that stand for too much', () => {
    const bomb = [
      'a: &a [1, 1]',
      ...'bcdefghij'.split('').map((name, at) => `${name}: &${name} [*${'abcdefghi'[at]}, *${'abcdefghi'[at]}]`),
    ]
    expect(() => parseConfig('defaults: { size: *t }\n', 'x.yaml')).toThrowError(
      expect.objectContaining({ code: 'EC_BAD_CONFIG', message: 'x.yaml:1:19: *t: stands for nothing before it' }),
    )
    expect(() => parseConfig(bomb.join('\n'), 'x.yaml')).toThrowError(
      expect.objectContaining({ code: 'EC_BAD_CONFIG' }),
    )
    expect(() => parseConfig('topics: &t { x: *t }\n', 'x.yaml')).toThrowError(
      expect.objectContaining({ code: 'EC_BAD_CONFIG' }),
    )
  })

  it('takes anchors, numbers as server ids, and other addresses for the outside', () => {
    const config = parseConfig(
      `cluster:
  servers:
    1: { listen: 0.0.0.0:7400, advertise: one.example:7400, insecure: true, data: one }
    2: { listen: 127.0.0.1:7401, data: two }
topics:
  one: &pair { mode: fault-recovery, members: ["1", "2"] }
  two: *pair
`,
      'x.yaml',
    )
    expect(config.servers[0]).toMatchObject({ id: '1', address: 'one.example:7400', insecure: true })
    expect(config.topics.get('two')).toEqual({ mode: 'fault-recovery', members: ['1', '2'] })
  })

  it('says how long a dead member is waited for', () => {
    const config = parseConfig(`${servers}replaceDeadAfterMs: { fault-recovery: 500 }`, 'x.yaml')
    expect(config.replaceDeadAfterMs).toEqual({ recovery: 500 })
    expect(parseConfig(servers, 'x.yaml').replaceDeadAfterMs).toEqual({})
    expect(mistakes(`${servers}replaceDeadAfterMs: { recovery: 1 }`)[0]).toMatch(/fault-recovery/)
    expect(mistakes(`${servers}replaceDeadAfterMs: { fault-masking: -1 }`)).toHaveLength(1)
  })

  it('says how servers flush, all of them or one', () => {
    const lax = servers.replace('data: ./data/b', 'data: ./data/b, sync: memory')
    const config = parseConfig(`${lax}sync: interval 50`, 'x.yaml')
    expect(config.servers.map(({ sync }) => sync)).toEqual(['interval 50', 'memory', 'interval 50'])
    expect(config.sync).toBe('interval 50')
    expect(parseConfig(servers, 'x.yaml').sync).toBe('always')
    expect(mistakes(`${servers}sync: interval`)).toEqual([
      '6:7 sync: "interval" is no way to flush: it does not say how many milliseconds; ' +
        'sync: always, interval <milliseconds> from 10 to 60000, or memory',
    ])
    expect(mistakes(`${servers}sync: interval 5`)[0]).toContain('shorter than 10 ms is "always"')
    expect(mistakes(`${servers}sync: alway`)).toEqual(['6:7 sync: "alway" is no way to flush; did you mean always?'])
    expect(mistakes(`${servers}sync: 50`)[0]).toMatch(/^6:7 sync: /)
    expect(mistakes(servers.replace('data: ./data/a', 'data: ./data/a, sync: never'))[0]).toMatch(
      /^3:\d+ cluster.servers.a.sync: "never" is no way to flush/,
    )
  })

  it('fills in what a new topic is from the defaults of the same mode', () => {
    const config = parseConfig(`${servers}defaults: { mode: fault-recovery, size: 3, minimum: 2 }`, 'x.yaml')
    const base = { members: null, membersMin: 2, decider: 'engine' }
    expect(newTopic(config, {})).toEqual({ ...base, mode: 'fault-recovery', size: 3 })
    expect(newTopic(config, { mode: 'single' })).toEqual({ ...base, mode: 'single', size: 1, membersMin: 1 })
    expect(newTopic(config, { mode: 'fault-masking' })).toEqual({
      ...base,
      mode: 'fault-masking',
      size: 3,
      decider: 'stakes',
    })
  })
})

describe('transport', () => {
  const natsServers = 'cluster:\n  servers:\n    a: { data: one }\n    b: { data: two }\n'

  it('reads how NATS is reached; files are relative to the configuration', () => {
    const config = parseConfig(
      `${natsServers}transport:
  type: nats
  servers: [one.example, nats://127.0.0.1:4300]
  creds: keys/server.creds
  tls: { ca: keys/ca.pem }
  prefix: orders
`,
      '/etc/epochcast/x.yaml',
    )
    expect(config.nats).toEqual({
      servers: ['one.example:4222', '127.0.0.1:4300'],
      creds: '/etc/epochcast/keys/server.creds',
      tls: { ca: '/etc/epochcast/keys/ca.pem' },
      prefix: 'orders',
    })
    expect(config.servers).toMatchObject([
      { id: 'a', listen: null, address: 'nats/a' },
      { id: 'b', listen: null, address: 'nats/b' },
    ])
    expect(parseConfig(`${servers}transport: { type: tcp }`, 'x.yaml').nats).toBeNull()
    expect(parseConfig(`${natsServers}transport: { type: nats, servers: "a, b" }`, 'x.yaml').nats?.servers).toEqual([
      'a:4222',
      'b:4222',
    ])
  })

  const wrong: [name: string, text: string, expected: string][] = [
    ['no type', 'transport: { servers: a }', '5:1 transport.type: is missing'],
    ['another type', 'transport: { type: nat }', '5:20 transport.type: "nat" is not known here; did you mean nats?'],
    ['no servers', 'transport: { type: nats }', '5:1 transport.servers: is missing, e.g. servers: 127.0.0.1:4222'],
    [
      'a bad server',
      'transport: { type: nats, servers: [a, "b:0"] }',
      '5:39 transport.servers.1: "b:0" is not host:port',
    ],
    [
      'two kinds of credentials',
      'transport: { type: nats, servers: a, token: t, creds: c }',
      '5:12 transport: NATS takes one kind of credentials: user and password, token, creds or nkey',
    ],
    [
      'half a certificate',
      'transport: { type: nats, servers: a, tls: { cert: c } }',
      '5:12 transport: a NATS client certificate is cert and key together',
    ],
    [
      'an unknown key',
      'transport: { type: nats, servers: a, pasword: x }',
      '5:38 transport.pasword: unknown key; did you mean password?',
    ],
    [
      'a bad prefix',
      'transport: { type: nats, servers: a, prefix: "a b" }',
      '5:12 transport: prefix "a b" is not words of letters, digits, "-" and "_" joined by dots',
    ],
  ]
  it.each(wrong)('refuses %s', (_name, text, expected) => {
    expect(mistakes(`${natsServers}${text}`)).toContain(expected)
  })

  it('wants a listener on TCP, and none on NATS', () => {
    expect(mistakes('cluster: { servers: { a: { data: x } } }')).toEqual(['1:23 cluster.servers.a.listen: is missing'])
    expect(mistakes(`${servers}transport: { type: nats, servers: a }`)[0]).toContain(
      'is about TCP, and the transport is nats: leave it out',
    )
    expect(mistakes(`${servers}transport: { type: tcp, servers: a }`)).toEqual([
      '6:34 transport.servers: is about NATS, and the type is tcp',
    ])
  })
})

describe('form', () => {
  const cases: [name: string, text: string, expected: string[]][] = [
    ['an unknown key', `${servers}autocreate: true`, ['6:1 autocreate: unknown key; did you mean autoCreate?']],
    [
      'an unknown key that is like no other',
      `${servers}defaults: { replicas: 3 }`,
      ['6:13 defaults.replicas: unknown key; there are mode, size, minimum, decider, order'],
    ],
    [
      'an unknown mode',
      `${servers}topics:\n  t: { mode: fault-maskin }`,
      ['7:14 topics.t.mode: "fault-maskin" is not known here; did you mean fault-masking?'],
    ],
    [
      'an unknown mode that is like no other',
      `${servers}topics:\n  t: { mode: quorum }`,
      ['7:14 topics.t.mode: "quorum" is not known here; it is one of single, fault-recovery, fault-masking'],
    ],
    ['text for a number', `${servers}defaults: { size: three }`, ['6:19 defaults.size: "three" is not a number']],
    ['half a server', `${servers}defaults: { size: 1.5 }`, ['6:19 defaults.size: 1.5 is not a whole number']],
    ['none', `${servers}defaults: { size: 0 }`, ['6:19 defaults.size: 0 is out of range: at least 1']],
    ['text for a truth', `${servers}autoCreate: "no"`, ['6:13 autoCreate: "no" is not true or false']],
    ['an empty list', `${servers}topics:\n  t: { members: [] }`, ['7:17 topics.t.members: the list is empty']],
    ['a list for a group', `${servers}topics: [a]`, ['6:9 topics: a list is not a group of keys']],
    [
      'a bad name',
      `${servers}topics:\n  a..b: {}`,
      [expect.stringMatching(/^7:3 topics.a..b: topic "a..b" must be dot-separated/)],
    ],
    [
      'a bad server id',
      'cluster:\n  servers:\n    a b: { listen: 127.0.0.1:1, data: a }',
      [expect.stringMatching(/^3:5 cluster.servers.a b: server id/)],
    ],
    [
      'no port',
      'cluster: { servers: { a: { listen: 127.0.0.1, data: a } } }',
      ['1:36 cluster.servers.a.listen: "127.0.0.1" is not host:port'],
    ],
    [
      'a port that is none',
      'cluster: { servers: { a: { listen: 127.0.0.1:70000, data: a } } }',
      ['1:36 cluster.servers.a.listen: "127.0.0.1:70000" is not host:port'],
    ],
    [
      'a missing key',
      'cluster: { servers: { a: { listen: 127.0.0.1:1 } } }',
      ['1:23 cluster.servers.a.data: is missing'],
    ],
    ['no YAML', 'cluster: {\n  servers: }}\n', [expect.stringMatching(/^2:\d+ : Unexpected/)]],
    [
      'a second document',
      'topics: {}\n---\nautoCreate: true\n',
      ['2:1 : a second document begins here: a configuration is one'],
    ],
    ['a key twice', 'cluster:\n  servers:\ncluster: 1\n', ['3:1 cluster: stands here twice']],
  ]
  it.each(cases)('names %s', (_, text, expected) => {
    expect(mistakes(text)).toEqual(expected)
  })
})

describe('what must fit together', () => {
  const cases: [name: string, text: string, expected: string[]][] = [
    [
      'a stranger',
      `${servers.replace('    c:', '    cent:')}topics:\n  t: { members: [a, b, cemt] }`,
      ['7:24 topics.t.members.2: no server is called cemt; did you mean cent?'],
    ],
    [
      'a size that the mode does not take',
      `${servers}topics:\n  t: { size: 2 }`,
      ['7:14 topics.t.size: mode fault-masking takes 2F+1 servers (3, 5, 7 …), not 2'],
    ],
    [
      'a server twice',
      `${servers}topics:\n  t: { members: [a, b, a] }`,
      ['7:17 topics.t.members: server a is named twice'],
    ],
    [
      'more servers than there are',
      `${servers}defaults: { mode: fault-masking, size: 5 }`,
      ['6:40 defaults.size: fault-masking on 5 servers, but the cluster has 3'],
    ],
    [
      'size and members that differ',
      `${servers}topics:\n  t: { size: 5, members: [a, b, c] }`,
      ['7:14 topics.t.size: size is 5, but 3 members are named; leave one of them out'],
    ],
    [
      'a minimum above the size',
      `${servers}topics:\n  t: { mode: single, minimum: 2 }`,
      ['7:31 topics.t.minimum: 2 is more than the size, 1'],
    ],
    [
      'a decider that the mode does not take',
      `${servers}topics:\n  t: { mode: single, decider: stakes }`,
      ['7:31 topics.t.decider: mode single cannot decide by stakes: leave decider out, or say engine'],
    ],
    [
      'an address twice',
      servers.replace('7401', '7400'),
      ['4:18 cluster.servers.b.listen: server a has 127.0.0.1:7400 already'],
    ],
    [
      'a directory twice, however it is written',
      servers.replace('./data/b', 'data/../data/a'),
      ['4:40 cluster.servers.b.data: server a has it already; each needs a directory of its own'],
    ],
    [
      'an open door',
      servers.replace('127.0.0.1:7402', '10.0.0.1:7402'),
      [expect.stringMatching(/^5:18 cluster.servers.c.listen: 10.0.0.1:7402 is beyond loopback/)],
    ],
    ...['0.0.0.0', '[::]', '[0:0::0]', '0'].map((host): [string, string, string[]] => [
      `${host} as where others reach it`,
      servers.replace('127.0.0.1:7402', `127.0.0.1:7402, advertise: "${host}:7402"`),
      [
        `5:45 cluster.servers.c.advertise: nobody can reach ${host}:7402: say with advertise: host:port where others do`,
      ],
    ]),
    ['no server', 'cluster: { servers: {} }', ['1:21 cluster.servers: there is no server']],
  ]
  it.each(cases)('names %s', (_, text, expected) => {
    expect(mistakes(text)).toEqual(expected)
  })

  it('is judged beside mistakes of form, as far as that goes', () => {
    const text = `${servers.replace('7401', '7400')}topics:\n  t: { mode: singel, size: 2, members: [z] }\n  u: { mode: single, members: [y] }`
    expect(mistakes(text)).toEqual([
      '4:18 cluster.servers.b.listen: server a has 127.0.0.1:7400 already',
      '7:14 topics.t.mode: "singel" is not known here; did you mean single?',
      '7:41 topics.t.members.0: no server is called z',
      '8:32 topics.u.members.0: no server is called y',
    ])
  })
})

describe('the message', () => {
  it('stands alone for one mistake, and lists several in the order of the file', () => {
    expect(() => parseConfig(`${servers}x: 1`, 'x.yaml')).toThrow(/^x.yaml:6:1: x: unknown key/)
    const two = `${servers}x: 1\ntopics: { t: { size: 2 } }`
    expect(() => parseConfig(two, 'x.yaml')).toThrow(/^x.yaml has 2 mistakes\n {2}x.yaml:6:1: .*\n {2}x.yaml:7:22: /)
  })

  it('says when there is no file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'epochcast-config-'))
    try {
      const file = join(directory, 'cluster.yaml')
      await expect(loadConfig(file)).rejects.toMatchObject({
        code: 'EC_BAD_CONFIG',
        message: expect.stringContaining(file),
      })
      await expect(loadConfig(directory)).rejects.toMatchObject({
        code: 'EC_BAD_CONFIG',
        message: `${directory} cannot be read: it is a directory`,
      })
      writeFileSync(file, '')
      await expect(loadConfig(join(file, 'x'))).rejects.toMatchObject({
        message: expect.stringMatching(/cannot be read: a part of the path is a file$/),
      })
      writeFileSync(file, servers)
      expect((await loadConfig(file)).servers[2]?.data).toBe(join(directory, 'data/c'))
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})
