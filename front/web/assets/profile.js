// The profile page: who you are, and everything you can change about it.

import { ask, Problem } from "./api.js";
import {
  checkNewPassword, checkNickname, checkUsername, leaveFor, member, onSubmit, say, sayFlash,
  showAvatar, showProblem, showReturned, showTime, wireReveals, whileBusy,
} from "./page.js";
import { wireNotifications } from "./notifications.js";
import { wirePicture } from "./picture.js";
import { wireSessions } from "./sessions.js";

const main = document.getElementById("main");
const details = document.getElementById("details");
const secret = document.getElementById("secret");
const leave = document.getElementById("leave");
const dialog = document.getElementById("leave-dialog");
const loading = document.getElementById("loading");
const trouble = document.getElementById("trouble");
const summary = document.getElementById("summary");

// The account as last seen, and the tag that names this state of it.
let me = null;
let tag = null;

/** Takes a fresh answer of the API as the account's state and shows it. */
function take({ data, etag }) {
  me = data;
  tag = etag ?? `"${data.version}"`;
  for (const slot of document.querySelectorAll("[data-nickname]")) slot.textContent = me.nickname;
  summary.querySelector("[data-username]").textContent = `@${me.username}`;
  summary.querySelector("[data-rating]").textContent = me.rating.toLocaleString();
  showTime(summary.querySelector("[data-since]"), me.created_at, "day");
  showAvatar(document, me);
  document.getElementById("drop-picture").hidden = !me.picture;
  // For password managers: whose password the forms below ask for.
  for (const input of document.querySelectorAll("[data-owner]")) input.value = me.username;
}

/** Writes the account's names into the form. */
function fillNames() {
  details.elements.nickname.value = me.nickname;
  details.elements.username.value = me.username;
}

/** True when the session is over and we are leaving for the login page. */
function sessionOver(problem) {
  if (!(problem instanceof Problem) || problem.code !== "unauthenticated") return false;
  member.forget();
  location.replace("/login?next=/profile");
  return true;
}

/** Runs work of a signed-in member; a session that ended leads to the login page. */
async function signedIn(work) {
  try {
    return await work();
  } catch (problem) {
    if (!sessionOver(problem)) throw problem;
    // The page is on its way out: nothing may follow.
    return new Promise(() => {});
  }
}

async function load() {
  loading.hidden = false;
  trouble.hidden = true;
  try {
    take(await signedIn(() => ask("GET", "/api/v1/me")));
    fillNames();
    member.remember();
    summary.hidden = false;
    sessions.load();
    notifications.load();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    trouble.querySelector("p").textContent = problem.message;
    trouble.hidden = false;
  } finally {
    loading.hidden = true;
    main.setAttribute("aria-busy", "false");
  }
}

async function saveNames({ nickname, username }) {
  if (!me) return say("Your profile is not loaded yet.");
  const change = {};
  if (nickname.trim() !== me.nickname) change.nickname = nickname.trim();
  if (username.trim().toLowerCase() !== me.username) change.username = username.trim();
  if (Object.keys(change).length === 0) {
    fillNames();
    return say("Nothing to save: these are your names already.");
  }
  try {
    take(await signedIn(() => ask("PATCH", "/api/v1/me", { json: change, ifMatch: tag })));
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    take(await signedIn(() => ask("GET", "/api/v1/me")));
    fillNames();
    throw new Problem({
      status: 412,
      detail: "Your profile was changed elsewhere meanwhile. " +
        "These are the current values; make your change again.",
    });
  }
  fillNames();
  say("Saved.");
}

async function changePassword(values) {
  const json = { current: values.current, new: values.new };
  await signedIn(() => ask("PUT", "/api/v1/me/password", { json }));
  secret.reset();
  say("Password changed. Your other devices are logged out.");
  await sessions.load();
}

async function deleteAccount({ password }) {
  await signedIn(() => ask("DELETE", "/api/v1/me", { json: { password } }));
  member.forget();
  leaveFor("/", "Your account is gone. Farewell, and come again.");
}

async function logOut() {
  try {
    await ask("POST", "/api/v1/logout");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (problem.status !== 401) return say(problem.message);
  }
  member.forget();
  leaveFor("/", "You are logged out.");
}

function wire() {
  onSubmit(details, "Saving…",
    ({ nickname, username }) => checkNickname(nickname) ?? checkUsername(username), saveNames);
  onSubmit(secret, "Changing…", (values) =>
    values.current
      ? checkNewPassword(values.new, "new")
      : { field: "current", text: "Type your current password." }, changePassword);
  onSubmit(leave, "Deleting…",
    ({ password }) => password ? undefined : { field: "password", text: "Type your password." },
    deleteAccount);

  document.getElementById("leave-open").addEventListener("click", () => dialog.showModal());
  document.getElementById("leave-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => leave.reset());
  const out = document.getElementById("logout");
  out.addEventListener("click", () => whileBusy(out, "Logging out…", logOut));
  trouble.querySelector("button").addEventListener("click", load);
  // A page brought back from the browser's memory may belong to a session that is over.
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

const sessions = wireSessions(signedIn);
const notifications = wireNotifications(signedIn);
const picture = document.getElementById("picture");
wirePicture(picture, { signedIn, take, fail: (problem) => showProblem(picture, problem) });
wire();
wireReveals();
sayFlash();
load().then(() => showReturned([details, picture]));
