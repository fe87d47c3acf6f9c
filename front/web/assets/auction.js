// One auction: its price and end as they are this moment, bidding, its bids, the seller's tools.

import { ask, Problem, send } from "./api.js";
import { Clock, countdown } from "./clock.js";
import { History } from "./history.js";
import { money, parse, plain, unclear } from "./money.js";
import { leaveFor, member, onSubmit, say, sayFlash, showError, whileBusy } from "./page.js";
import { drawSteps } from "./plot.js";
import { listen } from "./watching.js";

const NOTICES = {
  started: "The auction has begun.",
  extended: "A late bid has moved the end.",
  outage: "Bids could not be taken for a while. The end has moved by as long.",
  ending_soon: "Less than a minute is left.",
  changed: "The seller changed the auction.",
  ended: "The auction is over.",
};
const OUTCOMES = {
  sold: "Sold",
  reserve_not_met: "Not sold: the reserve was not met",
  no_bids: "Not sold: nobody bid",
};

const at = (id) => document.getElementById(id);
const id = location.pathname.split("/")[2];
const api = `/api/v1/auctions/${encodeURIComponent(id)}`;
const clock = new Clock();
const bids = new History(id);
// The auction as last read, with what the news changed in it.
let auction = null;
let etag = null;
let you = null;
// The last bid heard of, in whichever way, and whether we led after it.
let lead = { sequence: 0, ours: false };
let me = null;
// What the seller's form was last filled with.
const filled = {};
let all = false;
// A bid that may have arrived though no answer came: sent again, it has the same id.
let pending = null;

const amount = (value) => money(value, auction.currency);

function signedOut() {
  member.forget();
  location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
}

async function signedIn(work) {
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 401) throw problem;
    signedOut();
    return new Promise(() => {});
  }
}

const isLive = () => auction.state === "live" && Date.parse(auction.ends_at) > clock.now();
const isMine = () => me !== null && auction.seller?.id === me.id;

/** Takes in whether we lead after a bid. True if we do not any more. */
function hearLead(sequence, ours) {
  // Answers and news overtake each other.
  if (sequence < lead.sequence) return false;
  const lost = lead.ours && !ours && sequence > lead.sequence;
  lead = { sequence, ours };
  return lost;
}

function showOutbid({ price, minimum }) {
  const text = `You were outbid. The price is ${amount(price)} now; ` +
    `the next bid has to be ${amount(minimum)} or more.`;
  // It is told by the news and noticed here: heard once is enough.
  if (!at("outbid").hidden && at("outbid").textContent === text) return;
  at("outbid").textContent = text;
  at("outbid").hidden = false;
}

/** Takes the auction as the API gave it. */
function take({ data, etag: tag }) {
  auction = data;
  etag = tag;
  clock.heard(data.now);
  if (data.leader?.you) you = data.leader.pseudonym;
  if (hearLead(data.bids, data.leader?.you === true) && data.state === "live") showOutbid(data);
  document.title = `${data.title} · Souk`;
  at("title").textContent = data.title;
  at("seller").textContent = data.seller?.nickname ?? "somebody who left";
  at("description").textContent = data.description;
  at("picture").hidden = !data.picture;
  if (data.picture) at("picture").src = `${data.picture}?size=256`;
  at("watch").hidden = !member.likely();
  showWatched();
  show();
  if (isMine()) fillIn();
}

function showWatched() {
  at("watch").setAttribute("aria-pressed", String(auction.watched));
  at("watch").textContent = auction.watched ? "Watching" : "Watch";
}

function showTools() {
  at("tools").hidden = !isMine();
  if (!isMine()) return;
  at("reserve").textContent = auction.has_reserve ? amount(auction.reserve) : "none";
  const open = auction.bids === 0 && ["scheduled", "live"].includes(auction.state);
  at("edit").hidden = !open;
  at("drop-picture").hidden = !auction.picture;
}

/** Fills the seller's form in, but for what the seller has changed there. */
function fillIn() {
  const { title, description } = at("edit").elements;
  for (const field of [title, description]) {
    const { name, value } = field;
    // Browsers give fields back what they had before a reload: the first time that is written over.
    const changed = name in filled && value !== filled[name] && value.trim() !== auction[name];
    if (changed) continue;
    field.value = auction[name];
    filled[name] = field.value;
  }
}

/** Shows what changes with time and with bids. */
function show() {
  at("lot").hidden = at("bidding").hidden = at("history").hidden = false;
  at("price").textContent = amount(auction.price);
  const count = auction.bids === 1 ? "1 bid" : `${auction.bids.toLocaleString()} bids`;
  const reserve = !auction.has_reserve ? "" : auction.reserve_met
    ? ", the reserve is met" : ", the reserve is not met";
  at("price-note").textContent = auction.bids === 0 ? "to start with" : `${count}${reserve}`;
  const leads = you !== null && auction.leader?.pseudonym === you;
  at("lead").hidden = !leads;
  at("lead").textContent = isLive() ? "You lead" : "You had the highest bid";
  if (leads) at("outbid").hidden = true;
  at("head").textContent = auction.head;
  at("least").textContent = `at least ${amount(auction.minimum)}`;
  at("amount").placeholder = plain(auction.minimum, auction.currency);
  const buy = auction.buy_now && isLive() && auction.buy_now >= auction.minimum;
  at("buy").hidden = !buy;
  if (buy) at("buy").textContent = `Buy now for ${amount(auction.buy_now)}`;
  showTools();
  showTime();
}

function showTime() {
  if (!auction) return;
  const now = clock.now();
  const { state } = auction;
  const [start, end] = [Date.parse(auction.start_at), Date.parse(auction.ends_at)];
  const live = isLive();
  at("left").classList.toggle("soon", live && end - now <= 60_000);
  at("left").textContent = state === "scheduled" && start > now ? countdown(start - now)
    : live ? countdown(end - now) : "";
  at("state").textContent = state === "cancelled" ? "Withdrawn by the seller"
    : state === "scheduled" ? "Starts in" : live ? "Ends in" : OUTCOMES[auction.outcome]
    ?? "Over";
  const when = new Date(state === "scheduled" ? start : end);
  const moved = auction.extended === 1 ? ", extended once"
    : auction.extended > 1 ? `, extended ${auction.extended} times` : "";
  at("ends").textContent = state === "cancelled" ? "" : `${when.toLocaleString()}${moved}`;
  at("bid").hidden = !live || isMine() || !member.likely();
  at("login").hidden = !live || member.likely();
}

function showBids() {
  const rows = bids.shown(all).map((bid) => {
    const row = document.createElement("tr");
    const who = bid.bidder === you ? "you" : bids.names.get(bid.bidder) ?? bid.bidder;
    const time = new Date(bid.at).toLocaleTimeString();
    for (const text of [bid.sequence.toLocaleString(), who, amount(bid.price), time]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    row.classList.toggle("own", bid.bidder === you);
    return row;
  });
  at("bids").tBodies[0].replaceChildren(...rows);
  at("bids").hidden = rows.length === 0;
  at("no-bids").hidden = rows.length > 0;
  at("earlier").hidden = !bids.hasEarlier && (all || !bids.isLong);
  const points = bids.bids.map((bid) => ({ at: Date.parse(bid.at), price: bid.price }));
  if (!bids.hasEarlier) {
    points.unshift({ at: Date.parse(auction.start_at), price: auction.start_price });
  }
  const until = Math.min(clock.now(), Date.parse(auction.ends_at));
  at("plot").parentElement.hidden = bids.bids.length === 0;
  drawSteps(at("plot"), points, Math.max(until, points.at(-1)?.at ?? 0), amount);
  const low = points[0] ? amount(points[0].price) : "";
  at("course-text").textContent = `The price rose from ${low} to ${amount(auction.price)}.`;
}

function showLive(text, paused) {
  at("live").textContent = text;
  at("live").classList.toggle("paused", paused);
  at("live").hidden = false;
}

/** Takes the state that every message but two has. */
function follow(news) {
  clock.heard(news.now);
  showLive("live", false);
  you = news.you ?? you;
  const { price, minimum, reserve_met, state, outcome, start_at, ends_at, extended, head } = news;
  Object.assign(auction, { price, minimum, reserve_met, state, outcome, start_at, ends_at });
  Object.assign(auction, { extended, head, bids: news.sequence });
  auction.leader = news.leader === null ? null
    : { pseudonym: news.leader, you: news.leader === you };
  if (news.notices?.length) {
    at("news").textContent = news.notices.map((name) => NOTICES[name] ?? name).join(" ");
  }
  // Whoever was away is not sent "outbid": the service does not know that they led before.
  const lost = hearLead(news.sequence, you !== null && news.leader === you);
  if (lost && you !== null && state === "live") showOutbid(news);
  show();
  if (news.notices?.includes("changed")) reload();
  if (state === "ended" && outcome !== null) showSettlement();
}

async function takeBids(news) {
  if (bids.last === undefined) bids.add(news.bids);
  else if (!bids.add(news.bids)) await quietly(() => bids.fill());
  const strangers = isMine() && news.bids.some((bid) => !bids.names.has(bid.bidder));
  if (strangers) await quietly(() => bids.learn());
  showBids();
}

const TOLD = {
  snapshot(news) {
    follow(news);
    takeBids(news);
  },
  bids(news) {
    follow(news);
    takeBids(news);
  },
  state: follow,
  outbid: showOutbid,
  paused() {
    showLive("paused", true);
  },
};

/** For what the page can do without. */
async function quietly(work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}

const reload = () => quietly(async () => take(await ask("GET", api)));

function showSettlement() {
  const leads = you !== null && auction.leader?.pseudonym === you;
  const text = auction.outcome !== "sold" ? OUTCOMES[auction.outcome]
    : leads ? `You bought it for ${amount(auction.price)}.` : `Sold for ${amount(auction.price)}.`;
  at("settled").textContent = text;
  at("settled").hidden = false;
  if (!isMine() || auction.outcome !== "sold") return;
  quietly(async () => {
    const { data } = await ask("GET", `${api}/settlement`);
    const winner = data.winner?.nickname ?? "somebody who left";
    at("settled").textContent = `Sold to ${winner} for ${amount(data.price)}.`;
  });
}

// Bidding.

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function checkBid(values) {
  if (parse(values.amount, auction.currency) === undefined) {
    const example = plain(auction.minimum, auction.currency);
    const text = unclear(values.amount, auction.currency) ?? `Type an amount, as ${example}.`;
    return { field: "amount", text };
  }
  const most = values.max_amount.trim();
  if (most && parse(most, auction.currency) === undefined) {
    const text = unclear(most, auction.currency) ?? "Type an amount, or leave it empty.";
    return { field: "max_amount", text };
  }
}

/** Says what became of a bid that was accepted. */
function sayPlaced(data) {
  // The news may know of later bids, the more so if this is the first answer once more.
  const late = data.sequence < lead.sequence;
  const ours = late ? lead.ours : data.leading;
  const price = amount(late ? auction.price : data.price);
  hearLead(data.sequence, data.leading);
  if (ours) {
    at("outbid").hidden = true;
    say(`Your bid is in. You lead with ${price}.`);
  } else if (data.leading) {
    if (isLive()) showOutbid(auction);
    say(`Your bid was in, but has been outbid meanwhile: ${price}.`);
  } else {
    say(`Your bid is in, but somebody's maximum is higher: ${price}.`);
  }
}

/** Offers the amount that would be accepted now. */
function offerMinimum(minimum) {
  at("offer").hidden = false;
  at("offer").textContent = `Bid ${amount(minimum)}`;
  at("offer").onclick = () => {
    at("amount").value = plain(minimum, auction.currency);
    at("bid").requestSubmit(at("place"));
  };
}

async function placeBid(values) {
  at("offer").hidden = true;
  const json = { amount: parse(values.amount, auction.currency), currency: auction.currency };
  const most = values.max_amount.trim();
  if (most) json.max_amount = parse(most, auction.currency);
  const same = pending?.amount === json.amount && pending?.max_amount === json.max_amount;
  json.bid_id = same ? pending.bid_id : newId();
  pending = json;
  try {
    const { data } = await signedIn(() => ask("POST", `${api}/bids`, { json }));
    pending = null;
    at("bid").reset();
    sayPlaced(data);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // Whether it arrived is known only if there was an answer that says so.
    if (problem.status >= 400 && problem.status < 500) pending = null;
    const { minimum } = problem.body;
    if (problem.code !== "bid_too_low" || !minimum) throw problem;
    showError(at("bid"), "amount", `Too low: the least is ${amount(minimum)} now.`);
    offerMinimum(minimum);
  }
}

// The seller's tools.

async function save(values) {
  const form = at("edit");
  const file = form.elements.picture.files[0];
  const change = {};
  if (values.title.trim() !== auction.title) change.title = values.title.trim();
  if (values.description !== auction.description) change.description = values.description;
  if (Object.keys(change).length > 0) {
    const sent = { json: change, ifMatch: etag };
    take(await signedIn(() => ask("PATCH", api, sent)));
  }
  if (file) {
    const upload = send("PUT", `${api}/picture`, file, () => {});
    take(await signedIn(() => upload.done));
    form.elements.picture.value = "";
  }
  say("Saved.");
}

function wire() {
  onSubmit(at("bid"), "Placing…", checkBid, placeBid);
  at("buy").addEventListener("click", () => {
    at("amount").value = plain(auction.buy_now, auction.currency);
    at("max_amount").value = "";
    at("amount").focus();
    say("Place the bid to buy it at once.");
  });
  onSubmit(at("edit"), "Saving…",
    ({ title }) => title.trim() ? undefined : { field: "title", text: "Say what it is." }, save);
  at("drop-picture").addEventListener("click", () => whileBusy(at("drop-picture"), "Taking it off…",
    async () => {
      try {
        take(await signedIn(() => ask("DELETE", `${api}/picture`)));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        showError(at("edit"), "picture", problem.message);
      }
    }));
  at("cancel").addEventListener("click", () => at("cancel-dialog").showModal());
  at("cancel-close").addEventListener("click", () => at("cancel-dialog").close());
  onSubmit(at("cancel-form"), "Withdrawing…", () => undefined, async () => {
    await signedIn(() => ask("POST", `${api}/cancel`));
    leaveFor("/auctions?list=selling", "The auction is withdrawn.");
  });
  at("watch").addEventListener("click", () => whileBusy(at("watch"), "…", async () => {
    const method = auction.watched ? "DELETE" : "PUT";
    await quietly(() => signedIn(() => ask(method, `${api}/watch`)).then(() => {
      auction.watched = !auction.watched;
    }));
  }).then(showWatched));
  at("earlier").addEventListener("click", () => whileBusy(at("earlier"), "Loading…", async () => {
    // First those that are known and not shown.
    if (all || !bids.isLong) await quietly(() => bids.earlier());
    all = true;
    showBids();
  }));
  at("login").firstElementChild.href = `/login?next=${encodeURIComponent(location.pathname)}`;
  setInterval(showTime, 250);
}

async function start() {
  at("trouble").hidden = true;
  try {
    if (member.likely()) await quietly(async () => ({ data: me } = await ask("GET", "/api/v1/me")));
    take(await ask("GET", api));
    if (isMine()) {
      await quietly(() => bids.earlier());
      // Who knows the bids is sent none until the next one.
      showBids();
    }
    listen(id, {
      after: () => bids.last,
      told: (news) => TOLD[news.type]?.(news),
      lost: () => showLive("paused", true),
    });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    at("trouble").querySelector("p").textContent = problem.message;
    at("trouble").hidden = false;
  } finally {
    at("main").setAttribute("aria-busy", "false");
  }
}

at("trouble").querySelector("button").addEventListener("click", start);
wire();
sayFlash();
await start();
