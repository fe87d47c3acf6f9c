// The bids of an auction as they are known: without gaps from the first one known to the last.

import { ask } from "./api.js";

// Rows shown; the plot has all that are known.
const ROWS = 25;
const PAGE = 100;
const FILL = 500;

/** The bids of one auction. */
export class History {
  constructor(id) {
    this.path = `/api/v1/auctions/${id}/bids`;
    /** Rising, each `{ sequence, bidder, price, at }` and the like, bidders as pseudonyms. */
    this.bids = [];
    /** Who is behind a pseudonym, as far as we may know. */
    this.names = new Map();
  }

  /** The number of the last bid known, or undefined. */
  get last() {
    return this.bids.at(-1)?.sequence;
  }

  /** Whether there are bids before the first one known. */
  get hasEarlier() {
    return this.bids.length > 0 && this.bids[0].sequence > 1;
  }

  #flat = ({ bidder, leader, ...rest }) => {
    for (const each of [bidder, leader]) {
      if (each?.user?.nickname) this.names.set(each.pseudonym, each.user.nickname);
    }
    return { ...rest, bidder: bidder?.pseudonym ?? "", leader: leader?.pseudonym ?? "" };
  };

  /** Whether there are more than those shown at first. */
  get isLong() {
    return this.bids.length > ROWS;
  }

  /** Takes in bids of a message. False if bids between are missing: then call `fill`. */
  add(bids) {
    for (const bid of bids) {
      if (this.last !== undefined && bid.sequence <= this.last) continue;
      if (this.last !== undefined && bid.sequence !== this.last + 1) return false;
      this.bids.push(bid);
    }
    return true;
  }

  /** Asks for all bids after the last one known. */
  async fill() {
    for (;;) {
      const { data } = await ask("GET", `${this.path}?after=${this.last ?? 0}&limit=${FILL}`);
      this.add(data.items.map(this.#flat));
      if (data.items.length < FILL) return;
    }
  }

  /** Asks for bids before the first one known; the latest ones if none is. */
  async earlier() {
    const before = this.bids.length > 0 ? `before=${this.bids[0].sequence}&` : "";
    const { data } = await ask("GET", `${this.path}?${before}limit=${PAGE}`);
    const known = this.bids[0]?.sequence ?? Infinity;
    const items = data.items.map(this.#flat).reverse();
    this.bids.unshift(...items.filter((bid) => bid.sequence < known));
  }

  /** Asks who is behind the latest bids. */
  async learn() {
    const { data } = await ask("GET", `${this.path}?limit=${PAGE}`);
    data.items.forEach(this.#flat);
  }

  /** Those to show, the latest first. */
  shown(all) {
    return (all ? this.bids : this.bids.slice(-ROWS)).toReversed();
  }
}
