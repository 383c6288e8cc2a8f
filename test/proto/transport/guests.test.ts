// Goal: connections of others are bounded, and neither strangers nor clients keep servers out. Method: guests by hand.
import { expect, it } from 'vitest'
import { type Guest, Guests } from '../../../proto/transport/guests.ts'

/** One that comes, with what becomes of it. */
function guestOf(guests: Guests): Guest & { isClosed: boolean } {
  const guest = {
    isClosed: false,
    close() {
      guest.isClosed = true
      guests.left(guest)
    },
  }
  return guest
}

function come(guests: Guests, name: string | null, nowMs = 0): ReturnType<typeof guestOf> | null {
  const guest = guestOf(guests)
  if (!guests.makeRoom(nowMs)) return null
  guests.came(guest)
  if (name !== null && !guests.greeted(guest, name, nowMs)) return null
  return guest
}

it('takes clients up to the bound, and servers beyond it', () => {
  const guests = new Guests(3)
  const clients = [1, 2, 3].map((number) => come(guests, `client:${number}`))
  expect(clients).not.toContain(null)
  expect(guests.isCrowded(0)).toBe(true)
  expect(come(guests, 'client:4')).toBe(null)
  expect(come(guests, '127.0.0.1:7400')).not.toBe(null)
  for (const client of clients) client?.close()
  expect(guests.isCrowded(500)).toBe(true)
  expect(guests.isCrowded(2_000)).toBe(false)
  expect(come(guests, 'client:5')).not.toBe(null)
})

it('lets the oldest go that has not said what it is, whoever comes', () => {
  const guests = new Guests(3)
  const strangers = Array.from({ length: 40 }, () => come(guests, null))
  const open = strangers.filter((stranger) => stranger?.isClosed === false)
  expect(open).toEqual(strangers.slice(-open.length))
  expect(come(guests, 'client:1')).not.toBe(null)
  expect(strangers.every((stranger) => stranger !== null)).toBe(true)
  expect(open.length).toBeLessThan(20)
})
