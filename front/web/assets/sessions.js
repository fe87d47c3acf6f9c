// The list of devices that are logged in.

import { ask, Problem } from "./api.js";
import { say, showTime, whileBusy } from "./page.js";

const list = document.getElementById("sessions");
const title = document.getElementById("sessions-title");
const error = document.getElementById("sessions-error");
const loading = document.getElementById("sessions-loading");
const empty = document.getElementById("sessions-empty");
const others = document.getElementById("revoke-others");
const again = document.getElementById("sessions-again");

/** Wires the list. `signedIn` runs a request of a member. Gives `{ load }`. */
export function wireSessions(signedIn) {
  async function attempt(work) {
    error.hidden = true;
    try {
      await work();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      error.textContent = problem.message;
      error.hidden = false;
      return false;
    }
    return true;
  }

  async function load() {
    loading.hidden = list.childElementCount > 0;
    const loaded = await attempt(async () => {
      const { data } = await signedIn(() => ask("GET", "/api/v1/me/sessions"));
      show(data.items);
    });
    again.hidden = loaded;
    loading.hidden = true;
  }

  function show(items) {
    const ordered = [...items].sort((a, b) =>
      Number(b.current) - Number(a.current) || b.last_seen_at.localeCompare(a.last_seen_at));
    list.replaceChildren(...ordered.map((session) => row(session, revoke)));
    const strangers = items.filter((session) => !session.current).length;
    empty.hidden = strangers > 0;
    others.hidden = strangers === 0;
  }

  async function revoke(session, button) {
    await whileBusy(button, "Logging out…", () =>
      attempt(async () => {
        try {
          const path = `/api/v1/me/sessions/${encodeURIComponent(session.id)}`;
          await signedIn(() => ask("DELETE", path));
        } catch (problem) {
          // Already gone is what was asked for.
          if (problem.status !== 404) throw problem;
        }
        await load();
        // The button went with its row: the keyboard goes on from the heading.
        title.focus();
        say(`${deviceName(session.device)} is logged out.`);
      }));
  }

  others.addEventListener("click", () =>
    whileBusy(others, "Logging out…", () =>
      attempt(async () => {
        await signedIn(() => ask("DELETE", "/api/v1/me/sessions"));
        await load();
        title.focus();
        say("All other devices are logged out.");
      })));
  again.addEventListener("click", load);
  return { load };
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function row(session, revoke) {
  const name = deviceName(session.device);
  const seen = element("time");
  showTime(seen, session.last_seen_at, "ago");
  const since = element("time");
  showTime(since, session.created_at, "day");
  const what = element("div", {},
    element("strong", { textContent: name, title: session.device }),
    session.current ? element("span", { className: "badge", textContent: "This device" }) : "",
    element("small", {}, "Last seen ", seen, ` from ${session.address}`),
    element("small", {}, "Logged in on ", since));
  const item = element("li", {}, what);
  if (!session.current) {
    const button = element("button", {
      type: "button",
      className: "button small plain",
      textContent: "Log out",
    });
    button.setAttribute("aria-label", `Log out ${name}, last seen ${seen.textContent}`);
    button.addEventListener("click", () => revoke(session, button));
    item.append(button);
  }
  return item;
}

// Order matters: every browser claims to be its ancestors, too.
const BROWSERS = [
  [/\bEdgA?\//, "Edge"], [/\bOPR\//, "Opera"], [/\bFirefox\/|\bFxiOS\//, "Firefox"],
  [/\bHeadlessChrome\/|\bChrome\/|\bCriOS\//, "Chrome"], [/\bSafari\//, "Safari"],
];
const SYSTEMS = [
  [/\bAndroid\b/, "Android"], [/\biPhone\b/, "iPhone"], [/\biPad\b/, "iPad"],
  [/\bWindows\b/, "Windows"], [/\bMac OS X\b/, "Mac"], [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

/** A User-Agent as people call it: "Firefox on Linux". Programs keep the name they gave. */
function deviceName(agent) {
  const find = (table) => table.find(([pattern]) => pattern.test(agent))?.[1];
  const [browser, system] = [find(BROWSERS), find(SYSTEMS)];
  if (browser && system) return `${browser} on ${system}`;
  return browser ?? (agent.trim().slice(0, 60) || "Unknown device");
}
