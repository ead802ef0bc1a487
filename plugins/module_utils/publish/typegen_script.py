# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Node.js runs: it reads the catalog in one read-only transaction and writes the types as JSON, so that a cut text is no text."""

from __future__ import annotations

SETTINGS = "PGOPS_TYPES"
SCRIPT = """
import { readFileSync } from "node:fs";
import pg from "pg";
import { introspect } from "@supabase/postgrest-typegen/introspection";
import { generateTypescript, sortGeneratorMetadata } from "@supabase/postgrest-typegen/generation";

const { client: login, tls, schemas, role } = JSON.parse(process.env.PGOPS_TYPES);
let ssl = false;
if (tls) {
  ssl = { rejectUnauthorized: tls.verify };
  for (const name of ["ca", "cert", "key"]) if (tls[name]) ssl[name] = readFileSync(tls[name], "utf8");
  if (!tls.host) ssl.checkServerIdentity = () => undefined;
}
let types;
try {
  const client = new pg.Client({ ...login, ssl });
  await client.connect();
  await client.query("begin isolation level repeatable read, read only");
  if (role) await client.query("select pg_catalog.set_config('role', $1, true)", [role]);
  const found = await introspect(client, { includedSchemas: schemas });
  await client.end();
  // Its formatter parses what was generated, and throws where that is no TypeScript.
  types = await generateTypescript(sortGeneratorMetadata(found));
} catch (error) {
  console.error(error.message || error.code || String(error));
  process.exit(1);
}
process.stdout.write(JSON.stringify({ types }));
"""
