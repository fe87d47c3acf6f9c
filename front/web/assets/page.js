// What all pages share: saying things, field errors, busy buttons, pictures of people, times.

import { Problem } from "./api.js";

// How long a passing message stays, in milliseconds.
const STATUS_MS = 6_000;
const MEMBER = "souk.member";
const FLASH = "souk.flash";
// About the password a form asks for, whatever that form calls it.
const PASSWORD_CODES = ["wrong_credentials", "wrong_password"];

let statusTimer = 0;

/** Says something in the live region for a while. */
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => status.replaceChildren(), STATUS_MS);
}

/** Leaves for another page of this site and says something there. */
export function leaveFor(path, text) {
  if (text) stored(() => sessionStorage.setItem(FLASH, text));
  location.assign(path);
}

/** Says what the page before left to say. */
export function sayFlash() {
  const text = stored(() => sessionStorage.getItem(FLASH));
  if (!text) return;
  stored(() => sessionStorage.removeItem(FLASH));
  say(text);
}

// The session cookie is out of our reach, so whether somebody is logged in is remembered here. It
// is only a hint that saves strangers a refused request.
export const member = {
  likely: () => stored(() => localStorage.getItem(MEMBER)) === "1",
  remember: () => stored(() => localStorage.setItem(MEMBER, "1")),
  forget: () => stored(() => localStorage.removeItem(MEMBER)),
};

// Storage may be switched off; the pages work without it.
function stored(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

/** Where to go after logging in: `next` of the address if it is a path of this site. */
export function nextPath() {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  if (!next.startsWith("/")) return "/profile";
  try {
    const url = new URL(next, location.origin);
    // All of it: a path alone may begin with two slashes, which would name another site.
    return url.origin === location.origin ? url.href : "/profile";
  } catch {
    return "/profile";
  }
}

/** Shows an error at its field, or above the form if the form has no such field. */
export function showError(form, field, text) {
  const slot =
    (field && form.querySelector(`[data-error-for="${CSS.escape(field)}"]`)) ||
    form.querySelector('[data-error-for="form"]') ||
    form.querySelector("[data-error-for]");
  slot.textContent = text;
  slot.hidden = false;
  const input = form.elements.namedItem(slot.dataset.errorFor);
  if (input) {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

/** Takes all errors off a form, and the message of what was done before. */
export function clearErrors(form) {
  document.getElementById("status").replaceChildren();
  for (const slot of form.querySelectorAll("[data-error-for]")) {
    slot.hidden = true;
    slot.replaceChildren();
  }
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
  }
}

/** Shows why it failed; anything that is not a Problem is a defect of ours and goes up. */
export function showProblem(form, problem) {
  if (!(problem instanceof Problem)) throw problem;
  const field = PASSWORD_CODES.includes(problem.code)
    ? form.querySelector('[autocomplete="current-password"]')?.name
    : problem.field;
  showError(form, field, problem.message);
}

/** Shows the `?error=code&field=name` that a form post without script came back with. */
export function showReturned(forms) {
  const asked = new URLSearchParams(location.search);
  const code = asked.get("error");
  if (!code) return;
  const problem = new Problem({ code, field: asked.get("field") ?? "" });
  const slot = `[data-error-for="${CSS.escape(problem.field)}"]`;
  const form = forms.find((each) => each.querySelector(slot));
  showProblem(form ?? forms[0], problem);
  asked.delete("error");
  asked.delete("field");
  const rest = asked.toString();
  history.replaceState(null, "", location.pathname + (rest ? `?${rest}` : ""));
}

/** Runs `work` once at a time while the button says so. The button keeps its focus. */
export async function whileBusy(button, text, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  const label = button.textContent;
  button.setAttribute("aria-disabled", "true");
  button.textContent = text;
  try {
    await work();
  } finally {
    button.removeAttribute("aria-disabled");
    button.textContent = label;
  }
}

/** Takes a form over: own checks, errors at the fields, the button busy meanwhile. */
export function onSubmit(form, busyText, check, work) {
  form.noValidate = true;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.submitter ?? form.querySelector('[type="submit"]');
    await whileBusy(button, busyText, async () => {
      clearErrors(form);
      const values = Object.fromEntries(new FormData(form));
      const wrong = check(values);
      if (wrong) return showError(form, wrong.field, wrong.text);
      try {
        await work(values);
      } catch (problem) {
        showProblem(form, problem);
      }
    });
  });
  form.addEventListener("input", ({ target }) => {
    const slot = form.querySelector(`[data-error-for="${CSS.escape(target.name ?? "")}"]`);
    if (!slot || slot.hidden) return;
    slot.hidden = true;
    slot.replaceChildren();
    target.removeAttribute("aria-invalid");
  });
}

// The rules are the server's; these only save a round trip for the common slips.
/** What is wrong with a username, or undefined. */
export function checkUsername(username, field = "username") {
  const name = username.trim();
  if (!name) return { field, text: "Type a username." };
  if (!/^[a-z0-9_.-]{3,32}$/i.test(name)) {
    return { field, text: "Use 3 to 32 of a–z, 0–9, dot, dash and underscore." };
  }
}

/** What is wrong with a nickname, or undefined. */
export function checkNickname(nickname, field = "nickname") {
  const length = [...nickname.trim()].length;
  if (length < 1 || length > 64) return { field, text: "Use 1 to 64 characters." };
}

/** What is wrong with a new password, or undefined. */
export function checkNewPassword(password, field = "password") {
  if ([...password].length < 8) return { field, text: "Use at least 8 characters." };
  if (new TextEncoder().encode(password).length > 256) {
    return { field, text: "This is too long. Use at most 256 characters." };
  }
}

/** Makes the Show buttons of password fields work. */
export function wireReveals() {
  for (const button of document.querySelectorAll("[data-reveal]")) {
    const input = document.getElementById(button.dataset.reveal);
    const name = input.labels[0].textContent.trim().toLowerCase();
    const set = (shown) => {
      input.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-label", `${shown ? "Hide" : "Show"} the ${name}`);
    };
    button.addEventListener("click", () => set(input.type === "password"));
    input.form.addEventListener("submit", () => set(false));
    set(false);
    button.hidden = false;
  }
}

/** Puts a person's picture, or else their initial, into every [data-avatar] below `root`. */
export function showAvatar(root, user) {
  for (const slot of root.querySelectorAll("[data-avatar]")) {
    const [initial = "?"] = user.nickname;
    if (!user.picture) {
      slot.setAttribute("aria-hidden", "true");
      slot.textContent = initial;
      continue;
    }
    slot.removeAttribute("aria-hidden");
    const image = document.createElement("img");
    image.alt = `Picture of ${user.nickname}`;
    image.src = `${user.picture}?size=${slot.classList.contains("tiny") ? 64 : 256}`;
    slot.replaceChildren(image);
  }
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const STEPS = [["day", 86_400], ["hour", 3_600], ["minute", 60]];

/** Fills a time element: "day" says the date, "ago" how long it is since. */
export function showTime(element, iso, style) {
  const date = new Date(iso);
  const seconds = (date - Date.now()) / 1000;
  const [unit, length] = STEPS.find(([, each]) => -seconds >= each) ?? ["minute", 60];
  element.dateTime = iso;
  element.title = MOMENT.format(date);
  if (style === "day") element.textContent = DAY.format(date);
  else if (-seconds > 30 * 86_400) element.textContent = DAY.format(date);
  else if (-seconds < 60) element.textContent = "just now";
  else element.textContent = AGO.format(Math.ceil(seconds / length), unit);
}
