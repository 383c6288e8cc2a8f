/** How a value of any type is named in an error. Nothing of an object is called: its own methods may throw, or lie. */

const lengthMax = 80

export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > lengthMax ? `${JSON.stringify(value.slice(0, lengthMax))}…` : JSON.stringify(value)
    case 'bigint':
      return `${value}n`
    case 'function':
      return 'a function'
    case 'object':
      return shownObject(value)
    default:
      return String(value)
  }
}

function shownObject(value: object | null): string {
  if (value === null) return 'null'
  try {
    if (Array.isArray(value)) return 'an array'
    const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
    return typeof name === 'string' && /^[A-Za-z_$][\w$]{0,40}$/.test(name) && name !== 'Object'
      ? `an object of class ${name}`
      : 'an object'
  } catch {
    // A proxy may refuse even that.
    return 'an object'
  }
}
