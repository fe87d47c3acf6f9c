// The lists of auctions, and putting something up for sale.

import { ask, Problem } from "./api.js";
import { Clock, countdown } from "./clock.js";
import { money, parse, plain, unclear } from "./money.js";
import { leaveFor, member, onSubmit, sayFlash } from "./page.js";

const EMPTY = {
  live: "Nothing is for sale right now.",
  ending_soon: "Nothing is for sale right now.",
  selling: "You have not put anything up yet.",
  bidding: "You have not bid on anything yet.",
  watched: "You watch nothing yet. There is a button for it on each auction's page.",
};
// Lists go out of date; a look at the price is one click away.
const REFRESH_MS = 30_000;

const at = (id) => document.getElementById(id);
const clock = new Clock();
const view = { list: "live", next: null, turn: 0 };
const dialog = at("create-dialog");

function stateText(auction) {
  const left = Date.parse(auction.ends_at) - clock.now();
  if (auction.state === "cancelled") return "withdrawn";
  if (auction.state === "scheduled") {
    return `starts in ${countdown(Date.parse(auction.start_at) - clock.now())}`;
  }
  if (auction.state === "live" && left > 0) return `${countdown(left)} left`;
  return { sold: "sold", reserve_not_met: "reserve not met", no_bids: "no bids" }[auction.outcome]
    ?? "ended";
}

function lot(auction) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.className = "card lot-card";
  link.href = `/auctions/${auction.id}`;
  const picture = document.createElement(auction.picture ? "img" : "span");
  picture.className = "lot-thumb";
  if (auction.picture) {
    Object.assign(picture, { src: `${auction.picture}?size=256`, alt: "", loading: "lazy" });
  } else {
    picture.setAttribute("aria-hidden", "true");
    [picture.textContent] = auction.title;
  }
  const title = document.createElement("strong");
  title.textContent = auction.title;
  const price = document.createElement("span");
  price.className = "lot-price";
  price.textContent = money(auction.price, auction.currency);
  const bids = document.createElement("small");
  bids.textContent = auction.bids === 1 ? "1 bid" : `${auction.bids.toLocaleString()} bids`;
  if (auction.leader?.you) bids.textContent += ", you lead";
  const state = document.createElement("small");
  state.className = "lot-state";
  state.textContent = stateText(auction);
  link.append(picture, title, price, bids, state);
  item.append(link);
  item.auction = auction;
  return item;
}

/** Loads a list, or more of it. */
async function load(more = false) {
  const mine = ++view.turn;
  at("trouble").hidden = true;
  at("list").setAttribute("aria-busy", "true");
  try {
    const query = new URLSearchParams({ list: view.list, limit: 24 });
    if (more) query.set("cursor", view.next);
    const { data } = await ask("GET", `/api/v1/auctions?${query}`);
    if (mine !== view.turn) return;
    if (data.items.length > 0) clock.heard(data.items[0].now);
    const items = data.items.map(lot);
    if (more) at("list").append(...items);
    else at("list").replaceChildren(...items);
    if (more) items[0]?.querySelector("a").focus();
    view.next = data.next_cursor;
    view.longer = more;
    at("more").hidden = !view.next;
    at("empty").textContent = EMPTY[view.list];
    at("empty").hidden = at("list").childElementCount > 0;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (mine !== view.turn) return;
    if (problem.status === 401) return signedOut();
    at("trouble").querySelector("p").textContent = problem.message;
    at("trouble").querySelector("button").onclick = () => load(more);
    at("trouble").hidden = false;
  } finally {
    if (mine === view.turn) at("list").removeAttribute("aria-busy");
  }
}

function signedOut() {
  member.forget();
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function choose(list) {
  view.list = list;
  for (const button of document.querySelectorAll("[data-list]")) {
    button.setAttribute("aria-pressed", String(button.dataset.list === list));
  }
  history.replaceState(null, "", list === "live" ? location.pathname : `?list=${list}`);
  at("list").replaceChildren();
  load();
}

/** What the form asks for, as the API takes it; throws a Problem that names the field. */
function terms(values) {
  const currency = values.currency.trim().toUpperCase();
  const wrong = (field, detail) => new Problem({ field, detail });
  const amount = (field, needed) => {
    if (!values[field].trim() && !needed) return undefined;
    const found = parse(values[field], currency);
    if (found === undefined) {
      const example = plain(1250, currency);
      throw wrong(field, unclear(values[field], currency) ?? `Type an amount, as ${example}.`);
    }
    return found;
  };
  const moment = (field) => (values[field] ? new Date(values[field]).toISOString() : undefined);
  const soft = values.window_s || values.extensions;
  return {
    title: values.title.trim(),
    description: values.description.trim() || undefined,
    currency,
    start_price: amount("start_price", true),
    increment: amount("increment", true),
    reserve: amount("reserve"),
    buy_now: amount("buy_now"),
    start_at: moment("start_at"),
    end_at: moment("end_at"),
    soft_close: soft
      ? { window_s: Number(values.window_s), extensions: Number(values.extensions) }
      : undefined,
  };
}

function checkTerms(values) {
  if (!values.title.trim()) return { field: "title", text: "Say what it is." };
  if (!/^[a-z]{3}$/i.test(values.currency.trim())) {
    return { field: "currency", text: "Use three letters, as EUR." };
  }
  if (!values.end_at) return { field: "end_at", text: "Say when it ends." };
  if (Boolean(values.window_s) !== Boolean(values.extensions)) {
    const field = values.window_s ? "extensions" : "window_s";
    return { field, text: "Fill in both, or none." };
  }
}

async function create(values) {
  try {
    const { data } = await ask("POST", "/api/v1/auctions", { json: terms(values) });
    leaveFor(`/auctions/${data.id}`, "It is up for sale.");
  } catch (problem) {
    if (problem.status === 401) return signedOut();
    throw problem;
  }
}

for (const button of document.querySelectorAll("[data-list]")) {
  button.addEventListener("click", () => choose(button.dataset.list));
}
at("more").addEventListener("click", () => load(true));
at("sell").addEventListener("click", () => dialog.showModal());
at("create-close").addEventListener("click", () => dialog.close());
onSubmit(at("create"), "Putting it up…", checkTerms, create);

sayFlash();
at("sell").hidden = !member.likely();
for (const button of document.querySelectorAll("[data-member]")) button.hidden = !member.likely();
const wanted = new URLSearchParams(location.search).get("list");
choose(Object.hasOwn(EMPTY, wanted ?? "") ? wanted : "live");
setInterval(() => {
  for (const { auction, firstChild } of at("list").children) {
    firstChild.querySelector(".lot-state").textContent = stateText(auction);
  }
}, 1000);
// A list that was made longer stays as it is: what somebody reads must not jump.
setInterval(() => document.hidden || view.longer || dialog.open || load(), REFRESH_MS);
