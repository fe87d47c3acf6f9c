// Money in minor units, and how it is written.

/** How many digits a currency has behind the point. */
function digits(currency) {
  try {
    const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
    return format.resolvedOptions().maximumFractionDigits;
  } catch {
    // No such currency: the service says so.
    return 2;
  }
}

/** An amount as people write it. */
export function money(amount, currency) {
  const places = digits(currency);
  const value = amount / 10 ** places;
  try {
    return value.toLocaleString(undefined, { style: "currency", currency });
  } catch {
    return `${value.toFixed(places)} ${currency}`;
  }
}

/** An amount as it stands in a field. */
export function plain(amount, currency) {
  const places = digits(currency);
  const text = String(amount).padStart(places + 1, "0");
  return places === 0 ? text : `${text.slice(0, -places)}.${text.slice(-places)}`;
}

/** Minor units from what somebody typed, or undefined. No float is involved. */
export function parse(text, currency) {
  const found = /^(\d{1,13})(?:[.,](\d+))?$/.exec(text.trim().replaceAll(/[\s'’]/g, ""));
  if (!found) return undefined;
  const places = digits(currency);
  const [, whole, rest = ""] = found;
  if (rest.length > places) return undefined;
  const amount = Number(whole + rest.padEnd(places, "0"));
  return Number.isSafeInteger(amount) && amount > 0 ? amount : undefined;
}
