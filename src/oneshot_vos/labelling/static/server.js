// What the page asks of the program that serves it. Addresses are relative: they keep the token that the page came with.

async function ask(place, options) {
  let answer;
  try {
    answer = await fetch(place, options);
  } catch {
    throw new Error("The program does not answer. Was it ended? Start it again, and open the address that it prints.");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({ error: `the program failed (${answer.status}); its terminal says why` }));
  throw new Error(said.error);
}

const json = async (place, options) => (await ask(place, options)).json();
const of = (video, ...rest) => ["videos", video, ...rest].map(encodeURIComponent).join("/");

export const listVideos = () => json("videos");
export const openVideo = (video) => json(of(video));
export const startPropagation = (video) => json(of(video, "propagation"), { method: "POST" });
export const cancelPropagation = (video) => json(of(video, "propagation"), { method: "DELETE" });
export const propagationStatus = (video, since) => json(`${of(video, "propagation")}?since=${since}`);
export const saveMask = (video, frame, png) => json(of(video, "masks", frame), { method: "PUT", body: png });

export async function loadPicture(video, frame) {
  return createImageBitmap(await (await ask(of(video, "frames", frame))).blob());
}

// { kind: "given" | "made" | "none", ids: Uint8Array, empty for "none" }
export async function loadMask(video, frame) {
  const answer = await ask(of(video, "masks", frame));
  return { kind: answer.headers.get("Mask-Kind"), ids: new Uint8Array(await answer.arrayBuffer()) };
}
