// Links that come from elsewhere.

/** An address that a link may have; none of those that run code. */
export function safeAddress(address) {
  if (!address) return null;
  try {
    const url = new URL(address, window.location.href);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}
