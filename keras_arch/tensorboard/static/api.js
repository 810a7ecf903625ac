// What the server answers, beside this file: tags, vector, images, blob.

const root = new URL('../', import.meta.url);

function address(route, query) {
  const url = new URL(route, root);
  url.search = new URLSearchParams(query);
  return url.href;
}

export async function read(route, query = {}) {
  let response;
  try {
    response = await fetch(address(route, query));
  } catch {
    throw new Error('TensorBoard does not answer. Is it still running?');
  }
  if (!response.ok) throw new Error(`${await response.text()} (${route}, status ${response.status})`);
  return response.json();
}

export const blobAddress = (key, time) => address('blob', { key, time });

// Float32Array of shape (steps, names), row after row.
export function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}
