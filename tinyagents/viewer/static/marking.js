// Words that are searched for, marked where they stand: over the text, which stays as it is.

const MOST_MARKS = 2000;

/**
 * Mark words in what an element shows, and nowhere else any more.
 * @returns the element of the first one
 */
export function mark(node, words) {
  if (!globalThis.CSS?.highlights) return null; // a browser without them shows no marks
  CSS.highlights.delete("found");
  if (!words.length) return null;
  const ranges = [];
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text && ranges.length < MOST_MARKS; text = walker.nextNode()) {
    const lower = text.data.toLowerCase();
    if (lower.length !== text.length) continue; // letters that are two in lower case
    for (const word of words) {
      for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + word.length)) {
        const range = new Range();
        range.setStart(text, at);
        range.setEnd(text, at + word.length);
        ranges.push(range);
      }
    }
  }
  if (ranges.length) CSS.highlights.set("found", new Highlight(...ranges));
  return ranges[0]?.startContainer.parentElement ?? null;
}
