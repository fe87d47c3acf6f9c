// Money in minor units, and how it is written.

// Digits behind the point where they are not two, as ISO 4217 has them: so the API counts. Browsers
// know those that people still pay with, which are fewer for some (HUF, IQD).
const PLACES = {
  0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
  3: "BHD IQD JOD KWD LYD OMR TND",
  4: "CLF UYW",
};
const EXPONENTS = new Map(Object.entries(PLACES).flatMap(
  ([places, codes]) => codes.split(" ").map((code) => [code, Number(places)])));

/** How many digits a currency has behind the point. If there is no such one, the API says so. */
const digits = (currency) => EXPONENTS.get(currency) ?? 2;

// Spaces and apostrophes only group digits.
const bare = (text) => text.trim().replaceAll(/[\s'’]/g, "");

/** An amount as people write it. */
export function money(amount, currency) {
  const places = digits(currency);
  const value = amount / 10 ** places;
  try {
    return value.toLocaleString(undefined, {
      style: "currency",
      currency,
      minimumFractionDigits: places,
      maximumFractionDigits: places,
    });
  } catch {
    return `${value.toFixed(places)} ${currency}`;
  }
}

/** An amount as it stands in a field: one that `parse` takes. */
export function plain(amount, currency) {
  const places = digits(currency);
  const text = String(amount).padStart(places + 1, "0");
  if (places === 0) return text;
  let rest = text.slice(-places);
  // Three digits could be a group of thousands.
  if (places === 3) rest = rest.endsWith("0") ? rest.slice(0, 2) : `${rest}0`;
  return `${text.slice(0, -places)}.${rest}`;
}

/**
 * What to say of an amount that ends in what may be a group of thousands, or undefined. 1.000 is
 * one to some people and a thousand to others: nobody shall bid the wrong one of the two.
 */
export function unclear(text, currency) {
  const typed = bare(text);
  if (!/^[1-9]\d{0,2}(?:[.,]\d{3})+$/.test(typed)) return undefined;
  const places = digits(currency);
  const parts = typed.split(/[.,]/);
  if (places === 0) return `Write ${parts.join("")}.`;
  if (places < 3 || parts.length > 2) return "Write it without grouping, as 1000 or 1.50.";
  return `Write ${parts.join("")} or ${parts.join(".")}0.`;
}

/** Minor units from what somebody typed, or undefined. No float is involved. */
export function parse(text, currency) {
  const found = /^(\d{1,16})(?:[.,](\d+))?$/.exec(bare(text));
  if (!found || unclear(text, currency)) return undefined;
  const places = digits(currency);
  const [, whole, typed = ""] = found;
  // The zero that makes three digits clear, see `plain`.
  const rest = places === 3 && /^\d{3}0$/.test(typed) ? typed.slice(0, 3) : typed;
  if (rest.length > places) return undefined;
  const amount = Number(whole + rest.padEnd(places, "0"));
  return Number.isSafeInteger(amount) && amount > 0 ? amount : undefined;
}
