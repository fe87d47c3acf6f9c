// What a member is told of auctions that are over.

import { ask, Problem } from "./api.js";
import { money } from "./money.js";
import { showTime, whileBusy } from "./page.js";

const LIMIT = 10;
const at = (id) => document.getElementById(id);

const TEXTS = {
  won: "You won it",
  sold: "Sold",
  not_sold: "Not sold",
};

function row(note) {
  const item = document.createElement("li");
  const whole = document.createElement("div");
  const link = document.createElement("a");
  link.href = `/auctions/${note.auction_id}`;
  link.textContent = note.title;
  const what = document.createElement("small");
  const price = note.price === null ? "" : ` for ${money(note.price, note.currency)}`;
  const time = document.createElement("time");
  showTime(time, note.at, "ago");
  what.append(`${TEXTS[note.kind] ?? note.kind}${price}, `, time);
  whole.append(link, what);
  item.append(whole);
  if (!note.read) {
    const badge = document.createElement("span");
    badge.className = "badge";
    badge.textContent = "new";
    item.append(badge);
  }
  return item;
}

/** Wires the list. `signedIn` runs a request of a member. Gives `{ load }`. */
export function wireNotifications(signedIn) {
  let newest = 0;
  let oldest = 0;

  async function load(before = 0) {
    try {
      const path = `/api/v1/notifications?limit=${LIMIT}${before ? `&before=${before}` : ""}`;
      const { data } = await signedIn(() => ask("GET", path));
      if (!before) {
        at("told-list").replaceChildren();
        newest = data.items[0]?.id ?? 0;
      }
      at("told-list").append(...data.items.map(row));
      oldest = data.items.at(-1)?.id ?? oldest;
      at("told").hidden = newest === 0;
      at("told-more").hidden = data.items.length < LIMIT;
      at("told-read").hidden = data.unread === 0;
      at("told-unread").hidden = data.unread === 0;
      at("told-unread").textContent = data.unread >= 100 ? "100+" : data.unread;
    } catch (problem) {
      // The profile is there without them.
      if (!(problem instanceof Problem)) throw problem;
    }
  }

  const more = at("told-more");
  more.addEventListener("click", () => whileBusy(more, "Loading…", () => load(oldest)));
  const read = at("told-read");
  read.addEventListener("click", () =>
    whileBusy(read, "Marking…", async () => {
      try {
        const json = { up_to: newest };
        await signedIn(() => ask("POST", "/api/v1/notifications/read", { json }));
        await load();
        at("told-title").focus();
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
      }
    }),
  );
  return { load };
}
