# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of what describes a local project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.servers.directory import PROJECT_FILE, SERVER
from ansible_collections.pgops.supabase.plugins.module_utils.servers.server import Server


@dataclass(kw_only=True)
class LocalProject(Document):
    """project.json: where the project is and how to connect to it."""

    kind: ClassVar[str] = "local_project"
    name: str
    host: str
    port: int
    database: str
    user: str
    superuser: str
    passwords: dict[str, str] = field(repr=False)
    directory: str
    pg_bin: str
    server_version: str
    settings: dict[str, Any]
    # Those that were asked for; the server loads at its start what they need.
    extensions: list[str] = field(default_factory=list)

    @property
    def project_file(self) -> Path:
        """The file this is read from."""
        return Path(self.directory) / PROJECT_FILE

    @property
    def server(self) -> Server:
        """The server of the project."""
        return Server(Path(self.directory) / SERVER, Path(self.pg_bin))

    @property
    def uri(self) -> str:
        """The libpq URI of the project without its password."""
        return f"postgresql://{self.user}@{self.host}:{self.port}/{self.database}"

    def connection(self, database: str | None = None, user: str | None = None) -> ConnectionOptions:
        """How to connect: by default as postgres to the database postgres."""
        role = user or self.user
        return ConnectionOptions(
            login_host=self.host,
            login_port=self.port,
            login_user=role,
            login_password=self.passwords[role],
            login_db=database or self.database,
            ssl_mode="disable",
        )

    def public_dict(self) -> dict[str, Any]:
        """The document without what is secret: what a module may return and a log may hold."""
        document = self.as_dict()
        del document["passwords"]
        return {**document, "uri": self.uri, "project_file": str(self.project_file)}
