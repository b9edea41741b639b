// Offline use: a service worker keeps the app's files.

/** Installs the service worker, and calls onStored once all files are kept. */
export async function keepFiles(onStored) {
  if (!("serviceWorker" in navigator)) return; // without https
  try {
    await navigator.serviceWorker.register(new URL("../service-worker.js", import.meta.url));
    await navigator.serviceWorker.ready;
    onStored();
  } catch (error) {
    console.warn(`The page is not kept for use without a connection: ${error.message}`);
  }
}
