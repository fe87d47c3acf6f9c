// The service's clock, and how long it is until a moment of it.

/** Follows the clock of a server. Messages come late, never early: the least delay is the best. */
export class Clock {
  #offset;

  /** The server said that it is this time (RFC 3339). */
  heard(now) {
    const offset = Date.parse(now) - Date.now();
    if (this.#offset === undefined || offset > this.#offset) this.#offset = offset;
  }

  /** The server's time in milliseconds. */
  now() {
    return Date.now() + (this.#offset ?? 0);
  }
}

/** Milliseconds as a countdown. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24];
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  if (days > 0) return `${days} d ${two(hours)}:${rest}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}
