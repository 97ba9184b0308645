// Writes measured values as the pages do.

// Tracking keeps an infinity as the largest number there is.
export function number(value, digits) {
  if (Number.isNaN(value)) return "nan";
  if (Math.abs(value) >= Number.MAX_VALUE) return value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e12)) return decimal(value.toExponential(3));
  return decimal(String(Number(value.toPrecision(digits))));
}

// The mark before decimals is the language's, as on the pages.
export function decimal(figure) {
  return document.documentElement.lang === "es" ? figure.replace(".", ",") : figure;
}
