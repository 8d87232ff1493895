// Numbers and times as a person reads them; the command line has the same rules.

export const STATUS = {
  running: ["●", "running"],
  paused: ["‖", "paused"],
  completed: ["✓", "completed"],
  failed: ["✗", "failed"],
  cancelled: ["■", "cancelled"],
  limited: ["▲", "limited"],
  "cut off": ["✂", "cut off"],
};

export function duration(seconds) {
  if (!(seconds > 0)) return "0.0s";
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${pad(whole % 60)}s`;
  if (whole < 172800) return `${Math.floor(whole / 3600)}h${pad(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86400)}d`;
}

function pad(number) {
  return String(number).padStart(2, "0");
}

export function tokens(n) {
  if (!n) return "0";
  for (const [size, unit] of [[1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return n < 10 * size ? `${(n / size).toFixed(1)}${unit}` : `${Math.floor(n / size)}${unit}`;
  }
  return String(n);
}

export function dollars(usd, unpriced) {
  if (!usd) return unpriced ? "?" : "$0";
  const known = usd < 0.1 ? `$${usd.toFixed(4)}` : `$${usd.toFixed(2)}`;
  return unpriced ? `${known}+?` : known;
}

export function ago(time, now = Date.now() / 1000) {
  const seconds = Math.max(now - time, 0);
  return seconds < 60 ? "just now" : `${duration(seconds)} ago`;
}

export function moment(time) {
  return new Date(time * 1000).toLocaleString();
}

export function clock(time) {
  const at = new Date(time * 1000);
  return `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

export function plural(n, what) {
  return `${n.toLocaleString()} ${what}${n === 1 ? "" : "s"}`;
}

/** A value as text: a text as it is, the rest as JSON. */
export function asText(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** What changes the direction of writing or cannot be seen, made visible. */
export function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (found) => `␛${found.codePointAt(0).toString(16)}`);
}
