// Writes measured values as the pages do.

// Tracking keeps an infinity as the largest number there is.
export function number(value, digits) {
  if (Number.isNaN(value)) return "nan";
  if (Math.abs(value) >= Number.MAX_VALUE) return value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (value !== 0 && (size < 1e-4 || size >= 1e12)) return value.toExponential(3);
  return String(Number(value.toPrecision(digits)));
}
