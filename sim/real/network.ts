/**
 * Servers on a network of their own, each in a namespace with an address of its own, so that what one says to another can be lost
 * by rule, in one direction or both, or made slow. Everything lives inside the namespaces of this run and ends with it.
 */
import { hasCommand, isInside, isRoot, system } from './platform.ts'

const bridge = 'ecbr0'
const subnet = '10.77.0'
const gatewayHost = 254
const port = 7500

/** Why there can be no such network, or null. */
export function networkMissing(): string | null {
  if (!isRoot) return 'network namespaces take root'
  if (!isInside) return 'there is no network namespace of our own'
  const missing = ['ip', 'iptables'].find((command) => !hasCommand(command))
  return missing === undefined ? null : `there is no ${missing} command`
}

export class Network {
  readonly #ids: readonly string[]

  constructor(ids: readonly string[]) {
    this.#ids = ids
    // Names of namespaces are files: in a folder of this run alone.
    system('mkdir', ['-p', '/run/netns'])
    system('mount', ['-t', 'tmpfs', 'tmpfs', '/run/netns'])
    system('ip', ['link', 'add', bridge, 'type', 'bridge'])
    system('ip', ['addr', 'add', `${subnet}.${gatewayHost}/24`, 'dev', bridge])
    system('ip', ['link', 'set', bridge, 'up'])
    for (const id of ids) this.#add(id)
  }

  addressOf(id: string): string {
    return `${this.#hostOf(id)}:${port}`
  }

  /** What goes in front of a command that is to run there. */
  wrapperOf(id: string): readonly string[] {
    return ['ip', 'netns', 'exec', `ec-${id}`]
  }

  /** What `from` says does not reach `to` any more. `outside` stands for clients. */
  cut(from: string, to: string): void {
    if (to !== 'outside') {
      const source = from === 'outside' ? `${subnet}.${gatewayHost}` : this.#hostOf(from)
      this.#filter(to, ['-A', 'INPUT', '-s', source, '-j', 'DROP'])
    } else this.#filter(from, ['-A', 'OUTPUT', '-d', `${subnet}.${gatewayHost}`, '-j', 'DROP'])
  }

  /** A share of what reaches a server is lost on the way. */
  lose(id: string, share: number): void {
    const chance = ['-m', 'statistic', '--mode', 'random', '--probability', share.toFixed(2)]
    this.#filter(id, ['-A', 'INPUT', ...chance, '-j', 'DROP'])
  }

  /** What goes to a server goes at so many kilobits in a second. */
  slow(id: string, kilobits: number): void {
    const shape = ['rate', `${kilobits}kbit`, 'burst', '8kb', 'latency', '400ms']
    system('tc', ['qdisc', 'replace', 'dev', `ecv-${id}`, 'root', 'tbf', ...shape])
  }

  heal(): void {
    for (const id of this.#ids) {
      this.#filter(id, ['-F'])
      if (hasCommand('tc')) {
        try {
          system('tc', ['qdisc', 'del', 'dev', `ecv-${id}`, 'root'])
        } catch {
          // It was not slow.
        }
      }
    }
  }

  remove(): void {
    for (const id of this.#ids) system('ip', ['netns', 'del', `ec-${id}`])
    system('ip', ['link', 'del', bridge])
    system('umount', ['/run/netns'])
  }

  #add(id: string): void {
    const [space, outer, inner] = [`ec-${id}`, `ecv-${id}`, `ecw-${id}`]
    system('ip', ['netns', 'add', space])
    system('ip', ['link', 'add', outer, 'type', 'veth', 'peer', 'name', inner])
    system('ip', ['link', 'set', outer, 'master', bridge])
    system('ip', ['link', 'set', outer, 'up'])
    system('ip', ['link', 'set', inner, 'netns', space])
    system('ip', ['-n', space, 'addr', 'add', `${this.#hostOf(id)}/24`, 'dev', inner])
    system('ip', ['-n', space, 'link', 'set', inner, 'up'])
    system('ip', ['-n', space, 'link', 'set', 'lo', 'up'])
  }

  #filter(id: string, rule: readonly string[]): void {
    system('ip', ['netns', 'exec', `ec-${id}`, 'iptables', ...rule])
  }

  #hostOf(id: string): string {
    return `${subnet}.${this.#ids.indexOf(id) + 1}`
  }
}
