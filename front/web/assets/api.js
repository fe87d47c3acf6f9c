// The one way in which pages talk to the API: JSON in, JSON or a Problem out.

// How long an answer may take before we say so, in milliseconds.
const PATIENCE_MS = 20_000;

// What to say for a code that comes without a text of its own (form posts bring only the code).
const TEXTS = {
  busy: "The market is very full right now.",
  cross_site: "The request came from another site and was refused.",
  deadline_exceeded: "That took too long and was dropped.",
  invalid_field: "This is not valid.",
  malformed_body: "The form could not be read. Load the page again.",
  payload_too_large: "That is too large.",
  picture_invalid: "The picture is damaged or cut off.",
  picture_too_large: "Pictures can have up to 5 MiB and 6000 × 6000 pixels.",
  picture_unsupported: "Pictures can be PNG, JPEG, WebP or GIF.",
  rate_limited: "That was a little too fast.",
  store_unavailable: "Part of the market is closed for a moment.",
  too_many_failures: "Too many failed attempts.",
  unauthenticated: "Please log in first.",
  unavailable: "The market is closed for a moment.",
  unsupported_media_type: "Pictures can be PNG, JPEG, WebP or GIF.",
  username_taken: "This username is taken. Choose another.",
  version_conflict: "It was changed elsewhere meanwhile.",
  wrong_credentials: "The username or the password is wrong.",
  wrong_password: "The password is wrong.",
};
const UNKNOWN = "Something went wrong on our side. Try again in a moment.";

// Fields that a code is about even when the answer does not name one.
const FIELDS = {
  picture_invalid: "picture",
  picture_too_large: "picture",
  picture_unsupported: "picture",
  unsupported_media_type: "picture",
  payload_too_large: "picture",
  username_taken: "username",
};

// What a text says when it does not know for how long; we then say it better.
const VAGUE = / *(Try again shortly|Slow down|Wait before the next one)\.$/;

/** Why a request failed, with a text that can be shown. */
export class Problem extends Error {
  constructor({ status = 0, code = "", detail = "", field = "", retryAfter = 0, body = {} }) {
    super(detail || TEXTS[code] || UNKNOWN);
    this.status = status;
    this.code = code;
    this.field = field || FIELDS[code] || "";
    // Members that some problems have besides.
    this.body = body;
    if (retryAfter > 0) {
      const text = this.message.replace(VAGUE, "");
      this.message = `${text} Try again in ${inWords(retryAfter)}.`;
    }
  }
}

/** Seconds as a person would say them. */
export function inWords(seconds) {
  const say = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;
  if (seconds < 90) return say(Math.max(1, Math.ceil(seconds)), "second");
  if (seconds < 5400) return say(Math.ceil(seconds / 60), "minute");
  return say(Math.ceil(seconds / 3600), "hour");
}

// Retry-After is a number of seconds or a date.
function retrySeconds(value) {
  if (!value) return 0;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return seconds > 0 ? seconds : 0;
}

function problemOf(status, text, retryAfter) {
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // An answer that is not ours, from something in between: the status has to do.
  }
  return new Problem({
    status,
    code: body.code,
    detail: body.detail,
    field: body.field,
    retryAfter: retrySeconds(retryAfter),
    body,
  });
}

function offline() {
  return new Problem({
    code: "offline",
    detail: "There is no answer. Check your connection and try again.",
  });
}

/** Asks the API. Gives `{ data, etag }`; throws a Problem. */
export async function ask(method, path, { json, ifMatch } = {}) {
  const headers = { accept: "application/json" };
  if (json !== undefined) headers["content-type"] = "application/json";
  if (ifMatch) headers["if-match"] = ifMatch;
  let response, text;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: json === undefined ? undefined : JSON.stringify(json),
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    text = await response.text();
  } catch {
    throw offline();
  }
  if (!response.ok) throw problemOf(response.status, text, response.headers.get("retry-after"));
  return { data: text ? JSON.parse(text) : null, etag: response.headers.get("etag") };
}

/**
 * Sends a file and reports how far it is (0 to 1). Gives `{ done, stop }`: `done` settles like
 * ask(), or with null when `stop` was called. XMLHttpRequest, since fetch tells no upload progress.
 */
export function send(method, path, file, onProgress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open(method, path);
    request.setRequestHeader("accept", "application/json");
    request.setRequestHeader("content-type", file.type);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    };
    request.onload = () => {
      const { status, responseText } = request;
      if (status >= 200 && status < 300) {
        resolve({ data: JSON.parse(responseText), etag: request.getResponseHeader("etag") });
      } else {
        reject(problemOf(status, responseText, request.getResponseHeader("retry-after")));
      }
    };
    request.onerror = () => reject(offline());
    request.onabort = () => resolve(null);
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}
