// Lists, reads and downloads everything a hub shows an anonymous caller, with @huggingface/hub, and writes it as JSON.
// Usage: node read.mjs HUB_URL OUTPUT PREFIX   (in a folder with node_modules; the library itself prints to stdout)
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkRepoAccess, downloadFile, fileDownloadInfo, fileExists, listCommits, listFiles, listModels, modelInfo,
  parseSafetensorsMetadata, pathsInfo, snapshotDownload,
} from "@huggingface/hub";

const [, , hubUrl, output, prefix] = process.argv;
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const all = async (items) => { const found = []; for await (const item of items) found.push(item); return found; };
const failure = (error) => ({ error: { status: error.statusCode ?? null, message: String(error.message) } });
const tried = (work) => work().catch(failure);

async function file(repo, revision, entry) {
  const { path } = entry;
  const blob = await downloadFile({ repo, revision, path, hubUrl });
  const data = Buffer.from(await blob.arrayBuffer());
  const info = await fileDownloadInfo({ repo, revision, path, hubUrl });
  const part = await (await downloadFile({ repo, revision, path, hubUrl })).slice(1, 9).arrayBuffer(); // by Range
  return {
    path, oid: entry.oid, lfs: entry.lfs?.oid ?? null, listed: entry.size, size: data.length, probed: info.size,
    etag: info.etag, sha256: sha256(data), part: sha256(Buffer.from(part)),
    exists: await fileExists({ repo, revision, path, hubUrl }),
  };
}

async function snapshot(repo, revision, entries) {
  const cacheDir = await mkdtemp(join(tmpdir(), "peer-"));
  try {
    const folder = await snapshotDownload({ repo, revision, hubUrl, cacheDir });
    const found = {};
    for (const { path } of entries) found[path] = sha256(await readFile(join(folder, path)));
    return found;
  } finally {
    await rm(cacheDir, { recursive: true, force: true });
  }
}

async function header(repo, revision, path) {
  const parsed = await parseSafetensorsMetadata({ repo, revision, path, hubUrl });
  return parsed.sharded ? null : Object.keys(parsed.header).filter((name) => name !== "__metadata__").sort();
}

async function repository(name) {
  const repo = { type: "model", name };
  const { sha } = await modelInfo({ name, hubUrl, additionalFields: ["sha"] });
  const entries = (await all(listFiles({ repo, recursive: true, expand: true, hubUrl, revision: sha })))
    .filter((entry) => entry.type === "file");
  const files = [];
  for (const entry of entries) files.push(await tried(() => file(repo, sha, entry)));
  const paths = entries.map((entry) => entry.path);
  return {
    sha, files,
    commits: (await all(listCommits({ repo, hubUrl }))).map((commit) => commit.oid),
    paths: (await pathsInfo({ repo, revision: sha, paths: [...paths, "no/such/file"], hubUrl })).map((info) => info.path),
    missing: await tried(() => fileDownloadInfo({ repo, revision: sha, path: "no/such/file", hubUrl })),
    snapshot: await tried(() => snapshot(repo, sha, entries)),
    headers: Object.fromEntries(await Promise.all(
      paths.filter((path) => path.endsWith(".safetensors"))
        .map(async (path) => [path, await tried(() => header(repo, sha, path))]),
    )),
  };
}

const listed = await all(listModels({ hubUrl, sort: "lastModified", additionalFields: ["sha", "tags", "library_name"] }));
const repositories = {};
const read = listed.filter(({ name }) => name.startsWith(prefix));
for (const { name } of read) repositories[name] = await tried(() => repository(name));
const absent = await tried(() => checkRepoAccess({ repo: { type: "model", name: "nobody/nothing" }, hubUrl }));
await writeFile(output, JSON.stringify({ listed, repositories, absent }));
