// The service's clock, and how long it is until a moment of it.

// Signs that the clock here, or the server's, was set, in milliseconds: a message that seems later
// than messages are, or our two clocks apart by more than they drift between two messages.
const LATE_MS = 5_000;
const JUMP_MS = 1_000;

/**
 * Follows the clock of a server. Messages come late, never early: the least delay is the best, as
 * long as nobody sets a clock.
 */
export class Clock {
  #offset;
  // When the clock that nobody can set began, by the one that can be set.
  #origin;

  /** The server said that it is this time (RFC 3339). */
  heard(now) {
    const offset = Date.parse(now) - Date.now();
    const origin = Date.now() - performance.now();
    const jumped = Math.abs(origin - this.#origin) > JUMP_MS;
    this.#origin = origin;
    const kept = this.#offset;
    if (kept === undefined || offset > kept || offset < kept - LATE_MS || jumped) {
      this.#offset = offset;
    }
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
